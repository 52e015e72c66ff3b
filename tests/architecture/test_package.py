"""What is installed: `harness` and nothing else, whole, however it is installed and wherever it is called."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.errors import EXTRAS
from tests.support import slow_tests
from tests.support.paths import ROOT

# A line that only the command's own `tasks` would print.
SHADOW = "raise SystemExit('a tasks.py of somebody else was imported')\n"


SHIPPED = ("harness", "tasks", "tests/sandbox/attacks", "results/reference")


def tracked(*arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split("\n")[:-1]


def shipped() -> set[str]:
    """Every file that an installation must hold, as it is called there."""
    found = set()
    for name in tracked("--cached", "--others", "--exclude-standard", *SHIPPED):
        path = ROOT / name
        if path.is_symlink() or not path.is_file():
            continue
        name = name.replace("tests/sandbox/attacks/", "harness/sandbox/attacks/")
        name = name.replace("results/reference/", "harness/results/report/reference/")
        found.add(f"harness/{name}" if name.startswith("tasks/") else name)
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and an sdist of the checkout, and a wheel of that sdist; by a copy, so that nothing is left behind."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    folder = tmp_path_factory.mktemp("built")
    copy = folder / "copy"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", str(copy)], check=True)
    for name in tracked("--modified", "--others", "--exclude-standard"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    for name in tracked("--deleted"):
        (copy / name).unlink(missing_ok=True)
    build = "from setuptools import build_meta; print(build_meta.build_{}('{}'))"
    for kind, where in (("sdist", copy), ("wheel", copy)):
        subprocess.run(
            [sys.executable, "-c", build.format(kind, folder)], cwd=where, check=True, capture_output=True
        )
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    again = folder / "again"
    again.mkdir()
    subprocess.run(
        [sys.executable, "-c", build.format("wheel", again)], cwd=source, check=True, capture_output=True
    )
    return {"wheel": wheel, "sdist": sdist, "wheel of the sdist": next(again.glob("*.whl"))}


@pytest.mark.parametrize("kind", ["wheel", "wheel of the sdist"])
def test_a_wheel_holds_every_file_of_the_harness_and_nothing_else(built: dict[str, Path], kind: str) -> None:
    with zipfile.ZipFile(built[kind]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (top,) = [name for name in wheel.namelist() if name.endswith("top_level.txt")]
        assert wheel.read(top) == b"harness\n"
    assert names == shipped()


def test_an_installed_wheel_works_beside_a_tasks_module_of_somebody_else(
    built: dict[str, Path], tmp_path: Path
) -> None:
    """The script and `python -m harness`, in a folder with a tasks.py, and with a tasks/ package."""
    site = tmp_path / "site"
    with zipfile.ZipFile(built["wheel"]) as wheel:
        wheel.extractall(site)
    code = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"
    for name in ("tasks.py", "tasks/__init__.py"):
        here = tmp_path / name.partition(".")[0].replace("/", "-")
        (here / name).parent.mkdir(parents=True)
        (here / name).write_text(SHADOW, encoding="utf-8")
        for command in (["-m", "harness"], ["-c", code]):
            done = subprocess.run(
                [sys.executable, *command, "tasks", "conala", "--data", "mini", "--prompt"],
                cwd=here,
                env={**os.environ, "PYTHONPATH": str(site)},
                capture_output=True,
                text=True,
            )
            assert (done.returncode, done.stderr) == (0, ""), done
            assert done.stdout.startswith("# conala/test/0")


def test_a_core_environment_says_which_extra_a_command_lacks(built: dict[str, Path], tmp_path: Path) -> None:
    """As in `pip install codelm-harness`: each optional package hidden, by a finder that knows none of them."""
    hidden = sorted(EXTRAS)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {hidden!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harness", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    for arguments, extra in (
        (("run", "--task", "humaneval", "--model", "x", "--data", "mini"), "hf"),
        (("train", "--task", "conala", "--model", "x", "--data", "mini"), "hf"),
        (("quickstart",), "hf"),
        (("data", "fetch", "humaneval"), "hf"),
    ):
        done = harness(*arguments)
        assert done.returncode == 2, done
        assert done.stderr.count("\n") == 1
        assert f"pip install 'codelm-harness[{extra}]'" in done.stderr


def test_every_extra_that_a_message_may_name_is_one_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])
    core = {line.partition(">")[0].partition("=")[0] for line in project["dependencies"]}
    assert not core & {name.replace("_", "-") for name in EXTRAS}


def test_the_list_of_slow_tests_names_tests_that_there_are() -> None:
    for name in slow_tests.listed() | slow_tests.listed(slow_tests.LONG):
        path, _, function = name.partition("::")
        function = function.rpartition("::")[2]
        named = rf"def {function}\(|^from .* import .*\b{function}\b"  # a fixture may be another file's
        assert re.search(named, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), name
