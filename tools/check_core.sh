#!/usr/bin/env bash
# What the core install promises, in a folder with a tasks.py of somebody else: size, packages, every command.
# usage: check_core.sh BIN
set -euo pipefail
bin=$(cd "$1" && pwd)
cd "$(mktemp -d)"
echo 'raise SystemExit("a tasks.py of somebody else was imported")' > tasks.py
"$bin/python" - <<'PY'
import importlib.metadata as metadata
from pathlib import Path

import harness

names = sorted({dist.name.lower() for dist in metadata.distributions()} - {"pip", "setuptools", "wheel"})
site = Path(harness.__file__).parents[1]
skipped = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
files = (p for p in site.rglob("*") if p.is_file() and p.relative_to(site).parts[0].split("-")[0] not in skipped)
size = sum(p.stat().st_size for p in files) / 1e6
print(f"core: {len(names)} packages, {size:.0f} MB: {' '.join(names)}")
assert len(names) <= 25, "more than 25 packages"
assert size < 200, "more than 200 MB"
PY
"$bin/python" - <<'PY'
import json

from harness.files import packaged, read

rows = [json.loads(line) for line in read(packaged("tasks/mini/humaneval/HumanEval.jsonl")).splitlines()]
for name, broken in (("right", 0), ("half", 33)):
    with open(f"{name}.jsonl", "w") as file:
        for i, row in enumerate(rows):
            text = "    return 0\n" if i < broken else row["canonical_solution"]
            file.write(json.dumps({"task_id": row["task_id"], "completion": text}) + "\n")
PY
export PATH="$bin:$PATH"
set -x
harness tasks > /dev/null
harness score humaneval --data mini --completions right.jsonl --out right > /dev/null
python -m harness score humaneval --data mini --completions half.jsonl --out half
harness score conala --data mini --completions right.jsonl --partial > /dev/null && exit 1 || test $? = 2
harness compare half right --flips 0
harness report half right --out report.html
harness leaderboard . --out site > /dev/null
harness gate right --baseline baseline.json --write
harness gate right --baseline baseline.json
harness gate half --baseline baseline.json && exit 1 || test $? = 1
harness export right --format evalplus --out evalplus.jsonl
harness doctor > /dev/null
harness export right --format parquet --out right.parquet && exit 1 || test $? = 2
harness run --task humaneval --model none --data mini && exit 1 || test $? = 2
