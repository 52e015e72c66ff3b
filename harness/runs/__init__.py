"""From a config to a folder of records: plan, generate, judge, summary. Start with `run.py`."""
