"""MBPP+: 378 of MBPP's functions with 35 times the tests (Liu et al., 2023; EvalPlus v0.2.0).

One row of the release: prompt '\"\"\"\\nWrite a function to add numbers.\\nassert add(1, 2) == 3\\n\"\"\"',
base_input [[1, 2]], plus_input [[0, -1], ...], atol 0 -> canonical_solution "def add(a, b): ...". It is
judged as humaneval_plus is. `release = "v0.1.0"` has 21 problems more, since found to be
broken. The hub's rows (text in `prompt`, reference in `code`) bring a test program; that
is run as it is. Ids are EvalPlus' own (Mbpp/2) in both forms.
"""

import ast
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, get_args

from harness.errors import ConfigError, DataError, unknown
from harness.schema import (
    Card,
    DataFile,
    HubFile,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    UnitTests,
)
from harness.tasks.families import evalplus
from harness.tasks.mbpp import CHAT, INSTRUCTION, PLAIN  # the two tasks differ in their tests alone
from harness.text.extract import whole_program

Release = Literal["v0.2.0", "v0.1.0"]
SIZES: Mapping[Release, int] = {"v0.2.0": 378, "v0.1.0": 399}
HUB_FILE = HubFile(
    repo="evalplus/mbppplus",
    revision="b2d74c91837c3f2a20c1299ae98133cbe7cfa077",
    path="data/test-00000-of-00001-d5781c9c51e02795.parquet",
)
RELEASE = ("entry_point", "canonical_solution", "base_input", "plus_input", "atol")
HUB = ("code", "test", "test_list")

InputForm = Callable[[list[Any]], list[Any]]


def _tuples_at_depth(value: Any, depth: int) -> Any:
    """`value` with the lists `depth` levels below it made tuples."""
    return tuple(value) if depth == 0 else [_tuples_at_depth(item, depth - 1) for item in value]


def _deep_tuples(value: Any) -> Any:
    return tuple(map(_deep_tuples, value)) if isinstance(value, list) else value


def _pairs(given: list[Any]) -> list[Any]:
    return [tuple(tuple(item) for item in argument) for argument in given]


def _mixed(given: list[Any]) -> list[Any]:
    return [tuple(tuple(item) if isinstance(item, list) else item for item in given[0])]


def _records(given: list[Any]) -> list[Any]:
    return [{key: tuple(value) for key, value in given[0].items()}, *given[1:]]


# JSON has no tuples, sets or complex numbers: the release lists what each problem's inputs were. Form ->
# numbers of the problems (EvalPlus, mbpp_deserialize_inputs).
INPUT_FORMS: tuple[tuple[InputForm, str], ...] = (
    (
        lambda given: _tuples_at_depth(given, 1),
        "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809",
    ),
    (lambda given: _tuples_at_depth(given, 2), "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780"),
    (lambda given: [_tuples_at_depth(given[0], 1), *given[1:]], "75 413 444 753"),
    (lambda given: [given[0], tuple(given[1])], "106 750"),
    (lambda given: [[set(item) if isinstance(item, list) and item else {} for item in given[0]]], "115"),
    (lambda given: [float(given[0]), complex(given[1])], "124"),
    (lambda given: [tuple(given[0]), *given[1:]], "250 307 405 446 617 720 763 808"),
    (lambda given: [complex(given[0])], "252"),
    (_pairs, "259 401 445"),
    (_mixed, "278"),
    (_records, "722"),
    (lambda given: list(_deep_tuples(given)), "580 615 791"),
)
INPUT_FORM: Mapping[str, InputForm] = {
    number: shape for shape, numbers in INPUT_FORMS for number in numbers.split()
}

# Problems whose text leaves the answer's order or form open (EvalPlus, _special_oracle.py).
COMPARED_AS_SETS = (
    "similar_elements find_char_long common_in_nested_lists extract_singly larg_nnum intersection_array "
    "find_dissimilar Diff"
)
COMPARED_AS_TRUTH = "check_str text_match_three text_starta_endb"
JUDGES: Mapping[str, str] = {
    **dict.fromkeys(COMPARED_AS_SETS.split(), "set(got) == set(wanted)"),
    **dict.fromkeys(
        COMPARED_AS_TRUTH.split(), "(got if isinstance(got, bool) else got is not None) == bool(wanted)"
    ),
    "are_equivalent": "True",  # the text does not say what is equivalent
    "sum_div": "got == 0 or " + evalplus.AGREES,
    # Two readings of "height", and of numbers of different lengths.
    "surface_Area": "upright_pyramid(given, got, atol) or " + evalplus.AGREES,
    "digit_distance_nums": "padded_digits(given, got) or " + evalplus.AGREES,
}


def release_tests(row: Mapping[str, Any]) -> tuple[str, UnitTests]:
    """The reference of a row of EvalPlus' release, and its tests."""
    shape = INPUT_FORM.get(row["task_id"].rpartition("/")[2], list)
    shaped = {key: [shape(given) for given in row[key]] for key in ("base_input", "plus_input")}
    code = row["canonical_solution"]
    judge = JUDGES.get(row["entry_point"], evalplus.AGREES)
    return code, evalplus.tests({**row, **shaped}, code, judge)


def _parse(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rows' own "\\d" and the like
        return ast.parse(code)


def _hub(row: Mapping[str, Any]) -> tuple[str, UnitTests]:
    """The row's own program; its last line calls the function by name."""
    code = row["code"].replace("\r\n", "\n")
    called = [call.func.id for call in _calls("\n".join(row["test_list"]))]
    defined = {node.name for node in _parse(code).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    name = next((each for each in called if each in defined), "")
    return code, UnitTests(code=row["test"], entry_point=name, limits=evalplus.LIMITS)


def _calls(tests: str) -> list[Any]:
    nodes = ast.walk(_parse(tests))
    return [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


def _question(row: Mapping[str, Any]) -> str:
    """The sentence and assertions: the release has both as a docstring, the hub in two fields."""
    if "base_input" in row:
        return str(row["prompt"]).strip().removeprefix('"""').removesuffix('"""').strip()
    return "\n".join([row["prompt"], *row["test_list"]])


def _load(file: DataFile, split: Split, source: Source) -> Iterable[Problem]:
    if split != "test":
        return
    for row in source.rows(file, ("task_id", "prompt")):
        release = "base_input" in row
        if missing := [field for field in (RELEASE if release else HUB) if field not in row]:
            raise DataError(f"{file.name}, row {row['task_id']}: field {missing[0]!r} is missing")
        code, check = (release_tests if release else _hub)(row)
        name = str(row["task_id"])
        yield Problem(
            id=name if name.startswith("Mbpp/") else f"Mbpp/{name}",
            question=_question(row),
            solution=code.strip("\n"),
            check=check,
        )


def task(release: Release = "v0.2.0") -> Task:
    if release not in SIZES:
        raise ConfigError(f"task 'mbpp_plus': {unknown('release', release, get_args(Release))}")
    file = DataFile("mbpp_plus", f"MbppPlus-{release}.jsonl", HUB_FILE if release == "v0.2.0" else None)
    return Task(
        name="mbpp_plus",
        version=3,
        load=partial(_load, file),
        templates=(PLAIN, INSTRUCTION, CHAT),
        extract=whole_program,
        scorers=(evalplus.scorer(f"MBPP+ {release}"),),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title=f"MBPP+: {SIZES[release]} problems of MBPP with 35 times the tests",
            paper="Liu et al. 2023, arXiv 2305.01210",
            licence="Apache-2.0 (MBPP: CC BY 4.0)",
            tags=("functions",),
            url="https://github.com/evalplus/mbppplus_release/releases/tag/v0.2.0",
            sizes={"test": SIZES[release]},
            elsewhere="EvalPlus: 768 tokens, bfloat16; a chat is asked for a whole script, its opening given",
            setting="pass@1, greedy, zero-shot; 512 new tokens",
            files=(file,),
        ),
    )
