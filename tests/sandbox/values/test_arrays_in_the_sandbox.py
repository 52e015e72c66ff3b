"""Arrays and frames through the sandbox: judged outside, lies do not pass, other interpreters do as well.

HARNESS_DS1000_PYTHON names an interpreter with pandas before 2, for the tests that need one.
"""

import os
import platform
import subprocess
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from harness import sandbox
from harness.errors import UserError
from harness.schema import Program, UnitTests

OLD_PYTHON = os.environ.get("HARNESS_DS1000_PYTHON", "")
needs_old_python = pytest.mark.skipif(
    not OLD_PYTHON, reason="set HARNESS_DS1000_PYTHON to a Python with pandas 1.5 (make ds1000-env)"
)
DOUBLE = "def f(x):\n    return x * 2\n"
TESTS = UnitTests(
    code="import numpy as np, pandas as pd\n"
    "np.testing.assert_array_equal(f(np.arange(3)), [0, 2, 4])\n"
    "pd.testing.assert_frame_equal(f(pd.DataFrame({'a': [1]})), pd.DataFrame({'a': [2]}))",
    entry_point="f",
    arrays=True,
)


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def box(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    with sandbox.start(
        sandbox.Settings(isolation=request.param, workers=1, preload=("numpy", "pandas"))
    ) as pool:
        yield pool


def test_arrays_and_frames_are_judged_outside(box: sandbox.Pool) -> None:
    right = box.run(Program(code=DOUBLE, tests=TESTS))
    assert (right.status, right.judge) == ("passed", "outside")
    wrong = box.run(Program(code=DOUBLE.replace("2", "3"), tests=TESTS))
    assert (wrong.status, wrong.judge) == ("failed", "outside")


LIES = {
    "a subclass equal to everything": "import numpy as np\nclass L(np.ndarray):\n"
    "    def __eq__(self, other): return True\n"
    "    def __array_function__(self, *rest): return None\n"
    "def f(x): return np.zeros(3).view(L)",
    "an object that says it is an array": "import numpy as np\nclass L:\n"
    "    def __array__(self, *rest): return np.array([0, 2, 4])\n"
    "    def __eq__(self, other): return True\n"
    "def f(x): return L()",
    "a class that takes the name": "import numpy as np\nclass ndarray(np.ndarray): pass\n"
    "ndarray.__module__ = 'numpy'\nnp.ndarray = ndarray\ndef f(x): return (x * 2).view(ndarray)",
    "a patched comparison": "import numpy as np\nnp.testing.assert_array_equal = lambda *rest: None\n"
    "def f(x): return x",
    "a patched codec": "import sys\ndef f(x):\n"
    "    world = sys._getframe(1).f_globals\n"
    "    world['codec']._put = lambda value, out, *rest: out.extend(b'L\\x00')\n"
    "    return x * 2",
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_about_an_array_does_not_pass(box: sandbox.Pool, name: str) -> None:
    assert box.run(Program(code=LIES[name], tests=TESTS)).status in {"failed", "error"}
    assert box.run(Program(code=DOUBLE, tests=TESTS)).status == "passed"


def test_preloaded_modules_are_there_and_their_memory_is_not_the_programs(box: sandbox.Pool) -> None:
    code = "import sys\nassert 'pandas' in sys.modules\nx = bytearray(900 << 20)"
    assert box.run(Program(code=code)).status == "passed"
    assert box.run(Program(code="x = bytearray(1300 << 20)")).status == "memory"
    assert box.versions(["python"]) == {"python": platform.python_version()}
    assert box.packages["pandas"] == pd.__version__


def test_a_program_leaves_nothing_in_a_preloaded_module(box: sandbox.Pool) -> None:
    assert box.run(Program(code="import numpy\nnumpy.pi = 3")).status == "passed"
    assert box.run(Program(code="import numpy\nassert numpy.pi > 3.1")).status == "passed"


def test_an_interpreter_that_is_not_python_or_lacks_a_module_is_a_user_error() -> None:
    for chosen, complaint in [
        (sandbox.Settings(python="no/such/python"), "no such program; expected a path like ENV/bin/python"),
        (sandbox.Settings(python="/bin/sh"), "does not run as Python"),
        (sandbox.Settings(preload=("numpy", "no_such_module")), "has no no_such_module"),
    ]:
        with sandbox.start(chosen) as pool, pytest.raises(UserError, match=complaint) as caught:
            pool.run(Program(code=""))
        assert "\n" not in str(caught.value)


@needs_old_python
@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
def test_another_environments_interpreter_runs_programs_and_tests(isolation: Any) -> None:
    code = DOUBLE + "import pandas\nassert pandas.__version__[0] == '1'\n"
    tests = TESTS.model_copy(update={"code": f"{TESTS.code}\nassert pd.__version__[0] == '1'"})
    with sandbox.start(
        sandbox.Settings(isolation=isolation, workers=1, python=OLD_PYTHON, preload=("numpy", "pandas"))
    ) as pool:
        assert pool.run(Program(code=code, tests=tests)).status == "passed"
        assert pool.packages["pandas"].startswith("1.")


@needs_old_python
def test_the_codecs_tests_hold_on_the_other_interpreters_libraries_as_well() -> None:
    """The codec alone, over there: classes differ between the versions of pandas."""
    code = (
        "import sys, types\n"
        "for name in ('harness', 'harness.sandbox', 'harness.sandbox.values'):\n"
        "    sys.modules[name] = m = types.ModuleType(name)\n"
        "    m.__path__ = [sys.argv[1] + '/' + name.replace('.', '/')]\n"
        "from harness.sandbox.values import arrays, codec\nimport pandas as pd, numpy as np\n"
        "cross = lambda v: codec.decode(codec.encode(v, describe=arrays.describe), build=arrays.build)\n"
        "fixed = pd.to_datetime(['2015-12-01 00:00:00-06:00'])\n"
        "for i in [pd.Index([1, 2]), pd.Index([1.5]), pd.date_range('2020', periods=2, tz='US/Eastern'), fixed,\n"
        "          pd.MultiIndex.from_product([[1], ['a']]), pd.RangeIndex(2), pd.CategoricalIndex(['a'])]:\n"
        "    assert type(cross(i)) is type(i)\n"
        "    pd.testing.assert_index_equal(cross(i), i, exact=True)\n"
        "    f = pd.DataFrame({'a': pd.Series(list(i)), 'b': np.arange(len(i))})\n"
        "    f.index = i\n    pd.testing.assert_frame_equal(cross(f), f, check_freq=True)\n"
        "print('same')"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(sandbox.__path__[0])))
    done = subprocess.run([OLD_PYTHON, "-c", code, root], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("same\n", "")
