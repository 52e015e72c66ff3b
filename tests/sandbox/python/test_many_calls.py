"""Tests that ask thousands of times: verdict and message are those of asking one by one, whatever the program does."""

import marshal
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import sandbox
from harness.sandbox.python import input_chunks, many_calls, plain_bytes
from harness.sandbox.values import codec
from harness.schema import Limits, Program, UnitTests
from harness.tasks.families import evalplus

LIMITS = Limits(cpu_s=1.0, wall_s=5.0, memory_mb=512, output_kb=64)
REFERENCE = "def f(x, more=()):\n    more and more.append(x)\n    return {}"


def asked(value: str, count: int, judge: str = evalplus.AGREES, inputs: Any = None) -> UnitTests:
    row = {
        "entry_point": "f",
        "atol": 0,
        "base_input": [[n] for n in range(count)] if inputs is None else inputs,
        "plus_input": [],
    }
    return evalplus.tests(row, REFERENCE.format(value), judge)


@pytest.fixture(scope="module")
def pool() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        yield pool


HEAD = "import os, sys, struct, collections\ncalls = 0\ndef f(x, more=()):\n    global calls\n    calls += 1\n    "
FRAME = "frame = {}\n    os.write({}, struct.pack('<I', len(frame)) + frame)\n    "
PLAIN = "[x, str(x), float(x)]"
SQUARE = "x * x"
PROGRAMS: list[tuple[str, str, str]] = [
    # what the reference returns, the program's body, its verdict
    (PLAIN, "return [x, str(x), float(x)]", "passed"),
    (PLAIN, "return [x, str(x), float(x) if x != 1500 else 0.0]", "failed"),
    (PLAIN, "return (x, str(x), float(x))", "failed"),
    (PLAIN, "return [x, str(x), float(x) if x % 7 else x]", "passed"),
    ("{1: x, 2: x}", "return {2: x, 1: x}", "passed"),
    ("x / 3", "return x / 3 + 1e-9", "passed"),
    ("float('nan') if x == 700 else x", "return float('nan') if x == 700 else x", "failed"),
    ("float('inf') * x", "return float('inf') * x", "failed"),
    ("-0.0", "return 0.0", "passed"),
    (SQUARE, "return collections.namedtuple('T', 'a')(1)", "failed"),
    ("(x, 1)", "return collections.namedtuple('T', 'a b')(x, 1)", "passed"),
    ("b'ab'", "return bytearray(b'ab')", "passed"),
    ("[1, 2]", "return iter([1, 2])", "failed"),
    (SQUARE, "return x * x if x < 1500 else 1 / 0", "error"),
    (SQUARE, "if x == 1500: raise ValueError(x)\n    return x * x", "error"),
    (SQUARE, "if x == 1500: raise AssertionError\n    return x * x", "error"),
    (SQUARE, "if x == 1500: sys.exit(0)\n    return x * x", "error"),
    (SQUARE, "if x == 1500: os._exit(0)\n    return x * x", "error"),
    (SQUARE, "if x == 1500: os.abort()\n    return x * x", "signal"),
    (SQUARE, "while x == 1500: pass\n    return x * x", "timeout"),
    (SQUARE, "while x == 1500: pass\n    return x * x if x != 1499 else 0", "failed"),
    (SQUARE, "if x == 1500: os.abort()\n    return x * x if x != 1499 else 0", "failed"),
    (SQUARE, "if x == 1500: print('z' * 99999)\n    return x * x", "output"),
    (SQUARE, "if x == 1500: print('z' * 99999)\n    return x * x if x != 1499 else 0", "failed"),
    (SQUARE, "if x == 1500: return 'z' * (17 << 20)\n    return x * x", "output"),
    (SQUARE, "return x * x if x < 1500 else 3 ** 20000", "failed"),
    (SQUARE, "return calls * calls - 2 * calls + 1", "passed"),
    ("'y' * 40000", "return 'y' * 40000", "passed"),
    ("'y' * 40000", "return 'y' * (40000 - (x == 1500))", "failed"),
    # What is aimed at the way itself.
    (SQUARE, FRAME.format("b'V' + b'i' + bytes(4)", 5) + "return x * x", "failed"),
    (SQUARE, FRAME.format("b'!'", 5) + "return x * x", "error"),
    (SQUARE, FRAME.format("b'V[' + b'\\xff' * 3 + b'\\x7f'", 5) + "return x * x", ""),
    (SQUARE, "os.ftruncate(5, 0)\n    return x * x", ""),
    (SQUARE, "if calls == 3: os.close(5)\n    return x * x", "error"),
    (SQUARE, FRAME.format("b'B'", 3) + "return x * x", "error"),
    (SQUARE, FRAME.format("b'O'", 3) + "return x * x", "error"),
    (SQUARE, "os.close(3)\n    return x * x", "error"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "body", "status"), PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_verdict_is_that_of_asking_one_by_one(
    pool: sandbox.Pool, value: str, body: str, status: str
) -> None:
    many = asked(value, 2000)
    found = [pool.run(Program(code=HEAD + body, tests=many, limits=LIMITS)) for _ in range(2)]
    assert [each.judge for each in found] == ["outside"] * 2
    assert found[0].status == found[1].status
    if not status:  # depends on what is seen when, and is no pass
        assert found[0].status != "passed"
        return
    assert found[0].status == status, found[0]
    single = UnitTests(
        setup=many.setup.replace("differing", "each"),
        code=many.code.replace("differing", "each"),
        entry_point="f",
    )
    if "os.write" not in body and "os.close" not in body:
        alone = pool.run(Program(code=HEAD + body, tests=single, limits=LIMITS))
        assert (alone.status, alone.detail) == (found[0].status, found[0].detail)


def test_values_that_must_be_read_pass_by_no_bytes(pool: sandbox.Pool) -> None:
    """Without a reference, and where it says NaN: no bytes are those of a right value."""
    forged = HEAD + "return x"
    for payload in ("b''", "b'V'", "b'!'", "b'VN'"):
        body = HEAD + FRAME.format(payload, 5) + "return float('nan')"
        for chosen in (asked("float('nan')", 50), asked("x", 50, judge="got == 'right'")):
            assert pool.run(Program(code=body, tests=chosen, limits=LIMITS)).status != "passed"
    assert (
        pool.run(Program(code=forged, tests=asked("x", 50, judge="got >= 0"), limits=LIMITS)).status
        == "passed"
    )


def test_arguments_are_copies_and_messages_name_them_unchanged(pool: sandbox.Pool) -> None:
    chosen = asked("len(more)", 0, inputs=[[n, [1, 2]] for n in range(300)])
    right = "def f(x, more):\n    more += [5]\n    return len(more)"
    assert pool.run(Program(code=right, tests=chosen, limits=LIMITS)).status == "passed"
    wrong = right + " + (x == 200)"
    result = pool.run(Program(code=wrong, tests=chosen, limits=LIMITS))
    assert (result.status, result.detail.split(" at line")[0]) == ("failed", "AssertionError: f(200, [1, 2])")


def test_a_program_that_is_wrong_at_once_does_not_compute_the_rest(pool: sandbox.Pool) -> None:
    slow = "import time\ndef f(x):\n    end = time.process_time() + 0.004\n    while time.process_time() < end: pass\n"
    result = pool.run(Program(code=slow + "    return x + 1", tests=asked("x", 200), limits=LIMITS))
    assert (result.status, result.cpu_s < 0.3) == ("failed", True), result


def test_a_call_has_its_own_limit_among_many(pool: sandbox.Pool) -> None:
    """A second, where the reference took less than a quarter of one."""
    body = "end = time.process_time() + {} * (x == 700)\n    while time.process_time() < end: pass\n    return x * x"
    limits = LIMITS.model_copy(update={"cpu_s": 10.0, "wall_s": 10.0})
    for seconds, status in ((0.7, "passed"), (3.0, "timeout")):
        code = HEAD.replace("import os", "import time, os") + body.format(seconds)
        result = pool.run(Program(code=code, tests=asked(SQUARE, 1000), limits=limits))
        assert (result.status, result.cpu_s < 2) == (status, True), result
        assert result.detail == (
            "" if status == "passed" else "one call takes more CPU time than its tests allow"
        )


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_calls, "_KEPT_BYTES", 3000)
    monkeypatch.setattr(input_chunks, "_INPUT_BYTES", 500)
    for turn in range(5):
        chunks = many_calls._chunks(b"%d" % turn, lambda given: (given, 1.0), [[n] for n in range(100)])
        assert [given for chunk in chunks for given in marshal.loads(chunk.request)] == [
            [n] for n in range(100)
        ]
        assert len(chunks) > 1
    assert len(many_calls._kept) == 1


# ---------------------------------------------------------------- the bytes

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(1 << 200), 1 << 200)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
)
KEYS = st.integers() | st.text() | st.booleans()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
)


@given(VALUES)
def test_what_is_written_is_read(value: Any) -> None:
    data = plain_bytes.dumps(value)
    assert data is not None
    back = plain_bytes.loads(data)
    assert back == value
    assert repr(back) == repr(value) or isinstance(value, set | frozenset | list | tuple | dict)
    assert type(back) is type(value)


@given(VALUES, st.integers(min_value=1))
def test_a_value_that_is_cut_short_is_malformed(value: Any, missing: int) -> None:
    data = plain_bytes.dumps(value)
    assert data is not None
    with pytest.raises(codec.Malformed):
        plain_bytes.loads(data[: -(missing % len(data)) or -1])


@settings(max_examples=300)
@given(st.binary() | st.binary().map(lambda tail: b"(" + struct.pack("<i", len(tail)) + tail))
def test_any_bytes_are_plain_data_or_malformed(data: bytes) -> None:
    try:
        value = plain_bytes.loads(data)
    except codec.Malformed:
        return
    again = plain_bytes.dumps(value)
    assert again is not None
    assert type(plain_bytes.loads(again)) is type(value)
    assert plain_bytes.dumps(plain_bytes.loads(again)) == again or isinstance(value, set | frozenset)


def test_code_is_not_read_and_many_digits_take_no_quadratic_time() -> None:
    with pytest.raises(codec.Malformed):
        plain_bytes.loads(marshal.dumps(compile("1", "x", "eval"), plain_bytes.VERSION))
    begin = time.process_time()
    assert plain_bytes.loads(plain_bytes.dumps(1 << 4_000_000) or b"") == 1 << 4_000_000
    assert time.process_time() - begin < 3
