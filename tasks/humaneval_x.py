"""HumanEval-X: the functions of HumanEval in Python, Java, C++, JavaScript, Go and Rust (Zheng et al., 2023).

One row: prompt `/* Add. */\\nconst add = (a, b) => {\\n` -> rest of the function `  return a + b\\n}\\n`, and a test
in the same language. `language` is one of LANGUAGES; `python_cn` has Chinese docstrings. Programs are put together as
upstream does (tasks/families/single_source.py). Python's tests run outside the candidate's process; those of the
other languages are compiled together with it, so their verdicts are `in_process`
(tasks/families/completion_marker.py).

`silent=false` lets JavaScript programs print, which upstream takes for a failure: there `console.assert`, that only
prints, decides. Recorded completions (`completion`, `generation`) continue the prompt to the letter, save that
Python's end at the first line that is not indented.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from harness import scorers
from harness.errors import ConfigError, unknown
from harness.schema import (
    Card,
    Completion,
    DataFile,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
    UnitTests,
)
from harness.tasks.families import single_source
from harness.text.extract import Reading, Wanted, by_entry_point, python_code

Language = Literal["python", "java", "cpp", "javascript", "js", "go", "rust", "python_cn"]
Row = Mapping[str, Any]

# The language that runs, upstream's short name in files, the word for prompts, how a comment line begins there.
LANGUAGES: Mapping[str, tuple[str, str, str, str]] = {
    "python": ("python", "python", "Python", "#"),
    "java": ("java", "java", "Java", "//"),
    "cpp": ("cpp", "cpp", "C++", "//"),
    "javascript": ("javascript", "js", "JavaScript", "//"),
    "go": ("go", "go", "Go", "//"),
    "rust": ("rust", "rust", "Rust", "//"),
    "python_cn": ("python", "python_cn", "Python", "#"),
}
FIELDS = ("task_id", "prompt", "canonical_solution", "test")
# What begins the next thing: a model that continues has finished the function. Closing braces are kept, so it is
# never those; what else comes after the function is cut by `extract`.
STOPS: Mapping[str, tuple[str, ...]] = {
    "python": ("\nclass", "\ndef", "\n#", "\nif", "\nprint", "\n@"),
    "java": ("\npublic class", "\nclass "),
    "cpp": ("\nint main",),
    "javascript": ("\nconsole.", "\nmodule.exports"),
    "go": ("\nfunc main", "\nfunc Test", "\npackage "),
    "rust": ("\nfn main", "\n#[cfg(test)]", "\nmod tests"),
}


def templates(language: str, word: str, comment: str) -> tuple[Template, ...]:
    """The study's prompt names the language in a comment of its own."""
    fence = LANGUAGES[language][1]
    return (
        Template(name="plain", style="plain", stop=(*STOPS[language], "\n```")),
        Template(
            name="codefuse",
            style="instruction",
            question=f"<|role_start|>human<|role_end|>{comment} language: {word}\n{{question}}"
            "<|role_start|>bot<|role_end|>",
            answer=f"```{fence}\n{{question}}{{solution}}\n```",
        ),
        Template(
            name="instruction",
            style="instruction",
            question=f"### Instruction:\nComplete this {word} function.\n```{fence}\n{{question}}```\n"
            f"### Response:\n```{fence}\n",
            answer="{question}{solution}```",
            stop=("\n```",),
        ),
        Template(
            name="chat",
            style="chat",
            question=f"Complete this {word} function. Reply with the whole program in one code block.\n"
            f"```{fence}\n{{question}}```",
            answer=f"```{fence}\n{{question}}{{solution}}```",
        ),
    )


def files(name: str) -> tuple[DataFile, ...]:
    """Where the rows may lie: CodeFuseEval's copy, or a folder with the benchmark's own files."""
    file = f"humaneval_{name}.jsonl"
    return (
        DataFile("codefuse_eval", f"code_completion/{file}"),
        DataFile("humaneval-x", file),
        DataFile("humaneval_x", file),
    )


def build_check(language: str, row: Row, silent: bool) -> Any:
    if language == "python":
        calls = re.findall(r"^check\((\w+)\)", row["test"], re.MULTILINE)
        entry = calls[-1] if calls else ""
        setup = single_source.python_imports(row["test"] + row["prompt"]) + row["prompt"]
        return UnitTests(code=row["test"], entry_point=entry, setup=setup, limits=single_source.LIMITS)
    return single_source.inline_tests(language, row["test"], row["prompt"], row.get("test_setup", ""), silent)


def repair_python_prompt(prompt: str) -> str:
    """With the line end that the Chinese prompts lack, and without the stray quotation mark of Python/142 there,
    which makes every answer to it a syntax error.
    """
    prompt = re.sub(r'^ *"\n(?= *""")', "", prompt, flags=re.MULTILINE)
    return prompt if prompt.endswith("\n") else f"{prompt}\n"


def entry_point(prompt: str) -> str:
    """The name of the function that the prompt begins, in any of the languages."""
    last = prompt.rstrip().split("\n")[-1]
    found = re.search(r"(?:const|let|var)\s+(\w+)\s*=|(\w+)\s*\(", last)
    return (found[1] or found[2]) if found else ""


def program(
    language: str,
    problem: Problem,
    completion: Completion,
    read: Reading = by_entry_point,
    truncate: Callable[[str, str], str] = single_source.truncate_completion,
) -> str:
    """The program without its tests. `truncate`: where what continues the prompt ends (language, code)."""
    prompt, text = problem.question, completion.text
    setup = getattr(problem.check, "before", "")
    if completion.form == "program":
        return single_source.strip_go_imports(text) if language == "go" else text
    if language == "python":
        return _python_program(prompt, completion, read)
    if completion.form == "output":
        code = read(text, _wanted(language, prompt)).replace("\r\n", "\n")
        if defines_entry_point(language, prompt, code):
            return _whole_program(language, prompt, code, setup)
        text = truncate(language, code)
    return single_source.continue_go_program(prompt, text, setup) if language == "go" else prompt + text


def _python_program(prompt: str, completion: Completion, read: Reading) -> str:
    if completion.form != "output":
        body = single_source.python_body(completion.text)
        return single_source.python_imports(prompt + body) + prompt + body
    found = re.findall(r"^def\s+(\w+)", prompt, re.MULTILINE)
    wanted = Wanted(name=found[-1] if found else "", prompt=prompt)
    code = python_code.dedent_definition(read(completion.text, wanted), wanted.name)
    if not wanted.is_answer(code, python_code.parse(code)):
        code = single_source.python_body(code)
    made = python_code.assemble_program(prompt, wanted.name, code)
    return python_code.hoist_future_imports(single_source.python_imports(prompt + code) + made)


def _wanted(language: str, prompt: str) -> Wanted:
    def fits(code: str, tree: object) -> bool:
        del tree
        return defines_entry_point(language, prompt, code)

    return Wanted(language, entry_point(prompt), prompt, fits)


def defines_entry_point(language: str, prompt: str, code: str) -> bool:
    """Whether code in another language than Python has the function itself and does not continue the prompt."""
    entry = re.escape(entry_point(prompt))
    signature = {
        "java": r"\bclass\s+Solution\b",
        "javascript": rf"\bfunction\s+{entry}\b|(?:const|let|var)\s+{entry}\s*={single_source.JS_FUNCTION}",
        "go": rf"^func\s+{entry}\s*\(",
        "rust": rf"\bfn\s+{entry}\s*[<(]",
        "cpp": rf"^[\w:<>,&* \t]+[\s&*]{entry}\s*\([^;]{{0,2000}}\)\s*{{",
    }[language]
    return bool(entry) and re.search(signature, code, re.MULTILINE) is not None


def _whole_program(language: str, prompt: str, code: str, setup: str) -> str:
    """The program of code that has the function itself: with what the prompt imports."""
    match language:
        case "cpp":
            heads = [line for line in prompt.split("\n") if line.startswith(("#include", "using namespace"))]
            code = single_source.truncate_completion("cpp", code)
        case "java":
            heads = [line for line in prompt.split("\n") if line.startswith("import ") and line not in code]
        case "rust":
            code = single_source.strip_rust_main(code)
            uses = [line for line in prompt.split("\n") if line.startswith("use ")]
            heads = [] if re.search(r"^use ", code, re.MULTILINE) else uses
        case "go":
            code = re.sub(r"^package \w+\n", "", code, flags=re.MULTILINE)
            return single_source.continue_go_program(
                "", re.sub(r'^import (?:\([^)]*\)|"[^"]*")\n', "", code, flags=re.M), setup
            )
        case _:
            heads = []
    return "\n".join([*heads, code])


def _load(
    language: str, where: Sequence[DataFile], silent: bool
) -> Callable[[Split, Source], Iterable[Problem]]:
    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return
        file = next((file for file in where if source.find(file)), where[0])
        more = ("import", "test_setup") if language == "go" else ()
        for row in source.rows(file, (*FIELDS, *more)):
            row = row if language != "python" else {**row, "prompt": repair_python_prompt(row["prompt"])}
            try:
                check = build_check(language, row, silent)
            except ValueError as error:
                source.skip(row["task_id"], str(error))
                continue
            yield Problem(
                id=row["task_id"], question=row["prompt"], solution=row["canonical_solution"], check=check
            )

    return load


def task(language: Language = "python", silent: bool = True) -> Task:
    name = "javascript" if language == "js" else language
    if name not in LANGUAGES:
        raise ConfigError(f"task 'humaneval_x': {unknown('language', language, LANGUAGES)}")
    runs, short, word, comment = LANGUAGES[name]

    def humaneval_x_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
        return program(runs, problem, completion, read)

    where = files(short)
    return Task(
        name="humaneval_x",
        version=2,
        load=_load(runs, where, silent),
        templates=templates(runs, word, comment),
        extract=humaneval_x_program,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title=f"HumanEval-X: functions from docstrings, {word}",
            paper="Zheng et al. 2023, arXiv 2303.17568",
            licence="Apache-2.0",
            tags=("functions",),
            languages=tuple(dict.fromkeys(runs for runs, *_ in LANGUAGES.values())),
            url="https://github.com/THUDM/CodeGeeX",
            sizes={"test": 164},
            setting="pass@1, greedy, zero-shot (arXiv 2311.02303); pass@1, 10, 100 of 200 samples (arXiv 2303.17568)",
            files=where[:1],
        ),
    )
