"""HumanEvalPack: repairing, explaining and writing the functions of HumanEval in six languages (OctoPack, 2023).

One row: declaration "def add(a, b):\\n", buggy_solution "    return a - b\\n", test "check(add)" -> the function's
rest `\\n    return a + b\\n`. `kind` is what is asked for:

    fix_tests    the buggy function and its tests -> the function; the paper's HumanEvalFix
    fix_docs     the buggy function with its docstring -> the function
    synthesize   the docstring, as an instruction -> the function
    describe     the function -> what it does, in words; measured against the docstring
    explain      the words of a run of `describe`, which `explanations` names -> the function; HumanEvalExplain

HumanEvalExplain takes two runs, as upstream, and so two calls of a model for each answer; they may be two models.
Prompts `plain` (upstream's "instruct"), `continue` and `octocoder` are upstream's to the letter. Programs are put
together and judged as HumanEval-X's (tasks/humaneval_x.py), with the pack's own tests.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from harness import scorers
from harness.errors import ConfigError, DataError, unknown
from harness.files import decode, lines, parse_json, read
from harness.schema import (
    Card,
    Check,
    Completion,
    DataFile,
    InlineTests,
    Problem,
    Reference,
    Sampling,
    Source,
    Split,
    Task,
    Template,
)
from harness.tasks import humaneval_x
from harness.tasks.families import single_source
from harness.text.extract import Reading, by_entry_point

Language = Literal["python", "java", "cpp", "javascript", "go", "rust"]
Kind = Literal["fix_tests", "fix_docs", "synthesize", "describe", "explain"]
Row = Mapping[str, Any]

FIELDS = (
    *("task_id", "prompt", "declaration", "canonical_solution", "buggy_solution", "test", "entry_point"),
    *("docstring", "instruction"),
)
# Upstream's, without Go's `struct`, which cut answers; those of other languages end where their block closes.
STOPS: Mapping[str, tuple[str, ...]] = {
    "python": ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\nassert"),
    "go": ("\n//", "\nfunc main(", "\nfunc"),
}
# OctoCoder's pass@1 in the paper: Python, JavaScript, Java, Go, C++, Rust.
PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "fix_tests": ("30.4", "28.4", "30.6", "30.2", "26.1", "16.5"),
    "explain": ("35.1", "24.5", "27.3", "21.1", "24.1", "14.8"),
    "synthesize": ("46.2", "39.2", "38.2", "30.4", "35.6", "23.4"),
}
ORDER = ("python", "javascript", "java", "go", "cpp", "rust")


def _templates(language: str, kind: Kind) -> tuple[Template, ...]:
    """`continue` asks nothing; `chat_begun` has the answer begun as upstream has it in the formats of chat models."""
    _, fence, word, _ = humaneval_x.LANGUAGES[language]
    stop = STOPS.get(language, ())
    if kind == "describe":
        asked = "{instruction}\n{lead}{question}{tail}"
        return (
            Template(
                name="plain", question="{question}{tail}\n{instruction}", answer="\n{solution}", stop=stop
            ),
            Template(
                name="octocoder",
                style="instruction",
                question=f"Question: {asked}\n\nAnswer:",
                answer="\n{solution}",
                stop=stop,
            ),
            Template(name="chat", style="chat", question="{instruction}\n{question}"),
        )
    found = [
        Template(name="plain", question="{context_first}\n\n{lead}{question}", stop=stop),
        Template(
            name="octocoder",
            style="instruction",
            question="Question: {context_last}\n\nAnswer:\n{lead}{question}",
            stop=stop,
        ),
        Template(
            name="chat",
            style="chat",
            question="{context_last}\n\nReply with the whole "
            f"{word} code in one code block. It begins:\n```{fence}\n{{question}}\n```",
            answer=f"```{fence}\n{{question}}{{solution}}```",
        ),
        Template(
            name="chat_begun",
            style="chat",
            question="{context_last}",
            prefill="{lead}{question}",
            answer="{lead}{question}{solution}",
            stop=stop,
        ),
    ]
    if kind == "synthesize":
        found.insert(1, Template(name="continue", stop=stop))
    return tuple(found)


# ---------------------------------------------------------------- problems


def _base(row: Row, language: str, documented: bool) -> str:
    """How the function begins. In Rust the prompt has a main function; the declaration gets one, as upstream."""
    if documented:
        return str(row["prompt"])
    return f"fn main(){{}}\n{row['declaration']}" if language == "rust" else str(row["declaration"])


def _asked(row: Row, language: str, kind: Kind, explanation: str) -> tuple[str, str]:
    """(instruction, what it is about); the latter is empty where the instruction says all."""
    match kind:
        case "synthesize":
            return row["instruction"].strip(), ""
        case "explain":
            word = humaneval_x.LANGUAGES[language][2]
            return f"Write functional code in {word} according to the description.", explanation
        case "describe":
            return (
                "Provide a concise natural language description of the code using at most "
                f"{len(row['docstring'])} characters.",
                _base(row, language, False) + row["canonical_solution"],
            )
    context = _base(row, language, kind == "fix_docs") + row["buggy_solution"]
    tests = f"\n{row['test']}" if kind == "fix_tests" else ""
    return f"Fix bugs in {row['entry_point']}.", context + tests


def _check(row: Row, language: str) -> Check:
    """HumanEval-X's; with upstream's headers in C++, and in Go with the packages that only the test names."""
    if language == "go":
        return _go_check(row)
    check: Check = humaneval_x.build_check(language, row, silent=True)
    if language == "cpp" and isinstance(check, InlineTests):
        check = check.model_copy(update={"before": f"{single_source.PACK_CPP_INCLUDES}{check.before}"})
    return check


def _go_check(row: Row) -> Check:
    packages = single_source.go_packages(row["test"], row["test_setup"])
    block = "".join(f'    "{package}"\n' for package in packages)
    setup = row["test_setup"].replace("import (\n", f"import (\n{block}", 1)
    check: Check = humaneval_x.build_check("go", {**row, "test_setup": setup}, silent=True)
    return check


def _described(row: Row, language: str, name: str) -> Problem:
    instruction, code = _asked(row, language, "describe", "")
    question = code.strip()
    lead, _, tail = code.partition(question)
    return Problem(
        id=name,
        question=question,
        solution=row["docstring"],
        check=Reference(texts=(row["docstring"],)),
        parts={"instruction": instruction, "lead": lead, "tail": tail, "code": row["canonical_solution"]},
    )


def _problem(row: Row, language: str, kind: Kind, name: str, explanation: str = "") -> Problem:
    """Raises ValueError for a test whose end is not found."""
    if kind == "describe":
        return _described(row, language, name)
    instruction, context = _asked(row, language, kind, explanation)
    base = _base(row, language, kind in ("synthesize", "fix_docs"))
    first = f"{context}\n{instruction}" if context else instruction
    last = f"{instruction}\n{context}" if context else instruction
    question = base.strip()
    return Problem(
        id=name,
        question=question,
        solution=f"\n{row['canonical_solution']}",
        check=_check(row, language),
        group="" if kind == "synthesize" else row.get("bug_type", ""),
        cluster=row["task_id"],
        parts={
            "context_first": first.lstrip(),
            "context_last": last,
            "lead": base[: len(base) - len(base.lstrip())],
        },
    )


def _explanations(run: str, source: Source) -> Mapping[str, list[str]]:
    """The answers of a run of `describe`, in order, by the ids of their rows."""
    path = Path(run).expanduser() / "judgements.jsonl"
    blob = read(path)
    found: dict[str, dict[int, str]] = {}
    for number, line in lines(decode(blob, path)):
        row = parse_json(line, f"{path}:{number}")
        if not isinstance(row, dict) or not str(row.get("problem_id")).startswith("describe/"):
            raise DataError(f"{path}:{number}: expected an answer of a run with options.kind=describe")
        found.setdefault(row["problem_id"].removeprefix("describe/"), {})[row["index"]] = row["answer"]
    source.note("humanevalpack/explanations", hashlib.sha256(blob).hexdigest())
    return {name: [texts[index] for index in sorted(texts)] for name, texts in found.items()}


def _names(task_id: str, kind: Kind, explained: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """(id, explanation) of each problem that a row makes. Only what is asked as HumanEval asks it has the row's own
    id: recorded answers are told apart by it (harness/backends/replay/rows.py).
    """
    if kind == "synthesize":
        yield task_id, ""
    elif kind == "explain":
        if task_id not in explained:
            raise DataError(f"the explanations have none of {task_id}")
        for index, text in enumerate(explained[task_id]):
            yield f"explain/{task_id}" + (f"/{index}" if index else ""), text
    else:
        yield f"{kind}/{task_id}", ""


# ---------------------------------------------------------------- answers


def description(problem: Problem, completion: Completion) -> str:
    """The text within the docstring's length and without lines of the code, so that it gives nothing away."""
    text = completion.text.strip()[: len(problem.solution)].rstrip()
    for line in map(str.strip, problem.parts["code"].split("\n")):
        if len(line) > 20:
            text = text.replace(line, "")
    return text


def program(language: str, problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """The program without its tests."""
    setup = getattr(problem.check, "before", "")
    if completion.form == "program":
        made = _recorded_program(language, completion.text, setup)
    else:
        begun = problem.model_copy(update={"question": f"{problem.question}\n"})
        made = humaneval_x.program(language, begun, completion, read, single_source.close_block)
    return single_source.strip_rust_main(made) if language == "rust" else made


def _recorded_program(language: str, text: str, setup: str) -> str:
    """A whole program as upstream stores it, with the imports that it adds before judging."""
    match language:
        case "python":
            return single_source.python_imports(text) + text
        case "cpp":
            return text.partition("int main")[0]
        case "go":
            return single_source.continue_go_program("", text, setup)
    return text


def _setting(language: str, kind: Kind) -> str:
    calls = {
        "describe": "the first of two calls of a model; its answers are for kind = explain",
        "explain": "the second of two calls of a model for each answer",
    }.get(kind, "one call of a model for each answer")
    said = "n = 20, temperature 0.2, pass@1; " + calls
    if kind not in PUBLISHED:
        return f"{said}; no number published in the paper's tables"
    return f"{said}. Published for OctoCoder: {PUBLISHED[kind][ORDER.index(language)]}"


def _load(
    language: str, kind: Kind, explanations: str, file: DataFile
) -> Callable[[Split, Source], Iterable[Problem]]:
    fields = (*FIELDS, "import", "test_setup") if language == "go" else FIELDS

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return
        explained = _explanations(explanations, source) if kind == "explain" else {}
        for row in source.rows(file, fields):
            for name, text in _names(row["task_id"], kind, explained):
                try:
                    yield _problem(row, language, kind, name, text)
                except ValueError as error:
                    source.skip(name, str(error))

    return load


def task(language: Language = "python", kind: Kind = "fix_tests", explanations: str = "") -> Task:
    """`explanations`: the folder of a run with kind = describe."""
    for option, given, known in (("language", language, Language), ("kind", kind, Kind)):
        if given not in get_args(known):
            raise ConfigError(f"task 'humanevalpack': {unknown(option, given, get_args(known))}")
    if (kind == "explain") != bool(explanations):
        raise ConfigError(
            "task 'humanevalpack': kind 'explain' and options.explanations, the folder of a run with kind"
            " 'describe', go together"
        )

    def humanevalpack_program(
        problem: Problem, completion: Completion, read: Reading = by_entry_point
    ) -> str:
        return program(language, problem, completion, read)

    short, word = humaneval_x.LANGUAGES[language][1:3]
    file = DataFile("humanevalpack", f"{short}/humanevalpack.jsonl")
    return Task(
        name="humanevalpack",
        version=1,
        load=_load(language, kind, explanations, file),
        templates=_templates(language, kind),
        extract=description if kind == "describe" else humanevalpack_program,
        scorers=(scorers.chrf,) if kind == "describe" else (scorers.unit_tests,),
        sampling=Sampling(max_tokens=1024),
        packages=("numpy",),
        card=Card(
            title=f"HumanEvalPack: {kind}, {word}",
            paper="Muennighoff et al. 2023, arXiv 2308.07124",
            licence="MIT",
            tags=("functions", "repair", "explanation"),
            languages=get_args(Language),
            url="https://github.com/bigcode-project/octopack",
            sizes={"test": 164},
            setting=_setting(language, kind),
            files=(file,),
        ),
    )
