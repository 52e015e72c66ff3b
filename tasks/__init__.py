"""The benchmarks, one small file each; `mini/` holds the project's own rows, `demo/` its demo model."""
