"""What programs may import, and what of that is said of their verdicts."""

import platform
from typing import Any

import numpy as np
import pytest

from harness import sandbox
from harness.sandbox.python import installed, interpreter
from harness.schema import Program, UnitTests

ASK = UnitTests(code="assert seen() == []", entry_point="seen")
# The names that can be imported, of those that are installed beside the harness.
CODE = (
    "import importlib\n"
    "def there(name):\n"
    "    try:\n        importlib.import_module(name)\n    except ImportError:\n        return False\n"
    "    return True\n"
    "def seen():\n    return [name for name in ('numpy', 'pydantic', 'click', 'pip') if there(name)]\n"
)


def seen(packages: tuple[str, ...] | None, isolation: Any) -> str:
    settings = sandbox.Settings(isolation=isolation, workers=1, packages=packages)
    with sandbox.start(settings) as pool:
        ask = ASK.model_copy(update={"code": "got = seen()\nassert not got, ' '.join(got)"})
        return pool.run(Program(code=CODE, tests=ask)).detail


@pytest.mark.parametrize("isolation", ["namespaces", "landlock", "process"])
def test_a_program_sees_what_is_named_and_nothing_else_of_the_environment(isolation: str) -> None:
    assert seen((), isolation) == ""
    assert seen(("numpy",), isolation).startswith("AssertionError: numpy at line")
    assert seen(None, isolation).startswith("AssertionError: numpy pydantic click")


def test_tests_see_what_programs_see() -> None:
    tests = UnitTests(code="import pydantic\nassert f() == 1", entry_point="f")
    with sandbox.start(sandbox.Settings(workers=1)) as pool, pytest.raises(Exception, match="pydantic"):
        pool.run(Program(code="def f(): return 1", tests=tests))


def test_a_named_package_brings_what_it_requires_and_no_extras() -> None:
    found = interpreter.find("", ("pydantic", "no-such-package"), ())
    assert {"pydantic", "pydantic-core", "typing-extensions", "annotated-types"} <= set(found.packages)
    assert "email-validator" not in found.packages  # pydantic[email]
    assert {"pydantic", "pydantic_core", "typing_extensions"} <= set(found.importable)
    assert found.absent == ("no-such-package",)


def test_versions_are_told_of_what_is_visible_alone() -> None:
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as pool:
        assert dict(pool.packages) == {"numpy": np.__version__}
        assert dict(pool.versions(["python"])) == {"python": platform.python_version()}
    with sandbox.start(sandbox.Settings()) as pool:
        assert dict(pool.packages) == {}
    everything = installed.find([], [], True)["packages"]
    with sandbox.start(sandbox.Settings(packages=None)) as pool:
        assert dict(pool.packages) == everything
        assert {"numpy", "pydantic", "pytest"} <= set(everything)
