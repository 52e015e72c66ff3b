"""Evaluate code language models: generate completions, judge them in a sandbox, summarise with intervals.

Start with `harness/runs/run.py`; the flow of data and the layers are drawn in README.md.
"""

__version__ = "0.1.0"
