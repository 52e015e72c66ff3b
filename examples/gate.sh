#!/usr/bin/env bash
# A change held against a baseline, as in CI: recorded completions, no model. Exit code: 0 passed, 1 regression.
#   examples/gate.sh COMPLETIONS FOLDER
set -euo pipefail
completions=$1 folder=$2
score() { harness score humaneval --data mini --completions "$1" --out "$folder/$2"; }

score results/baselines/humaneval.jsonl good
harness gate "$folder/good" --baseline "$folder/baseline.json" --write

score "$completions" changed
harness gate "$folder/changed" --baseline "$folder/baseline.json" --before "$folder/good" \
    --junit "$folder/gate.xml" --comment "$folder/comment.md"
