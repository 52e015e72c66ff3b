"""How much a run's numbers hang on how its completions were read.

readings.py         which other extractors are plausible for a task
audit.py            a finished run opened, read by each of them and kept as audit.json: `audit`
rereading.py        the reading itself: what differs is judged, what flips is kept
parse_failures.py   why answers do not parse or compile, by kind
record.py           audit.json, and the line that a reader of the run's number has to see
report.py           the table, and the samples that flip
wrappings.py        a task's references as chat models wrap them, read back: for `harness doctor --task`
"""
