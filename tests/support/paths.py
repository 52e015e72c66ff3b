"""Where the repository is, for tests that read its files or start commands in it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = ROOT / "tests" / "sandbox" / "attacks"
