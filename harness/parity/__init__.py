"""The judge held against recorded outputs with official verdicts: `harness doctor --parity`.

sets.py         which recordings there are: where they lie, how the verdict is read, what differs and why
recordings.py   what a set is made of
certify.py      outputs -> task, extractor, scorer, sandbox -> the certificate
"""
