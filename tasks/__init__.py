"""The benchmarks, one small file each; `mini/` holds the project's own rows, `demo/` the weights of its demo models."""
