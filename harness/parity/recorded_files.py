"""How each published recording holds its outputs and verdicts: one function for each layout."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from harness.parity.recordings import (
    Outputs,
    Problems,
    RecordedOutput,
    at,
    document,
    evalplus,
    numbered,
    passed,
)
from harness.schema import Completion, IOCase, IOCases, Problem, Query, Source, UnitTests
from harness.tasks import humaneval_infilling
from harness.tasks.mbpp_plus import release_tests

MBPP_REFLEXION = "mbpp/outputs/reflexion__mbpp-py._reflexion_5_gpt-4_pass_at_k_1_py.jsonl"


def bare(name: str, check: IOCases | UnitTests) -> Problem:
    """A problem of which the recording has the tests and nobody asks the question."""
    return Problem(id=name, question="", solution="", check=check)


def program(text: str) -> Completion:
    return Completion(text=text, form="program")


def reflexion_mbpp(verdict: str) -> Outputs:
    """Under the tests that the recording has itself; they are not MBPP's."""

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        del problems
        for row in source.rows(at(MBPP_REFLEXION), ("name", "entry_point", "test", "completion", verdict)):
            tests = row["test"].partition("def test_check")[0] + f"\ncheck({row['entry_point']})"
            problem = bare(row["name"], UnitTests(code=tests, entry_point=row["entry_point"]))
            yield RecordedOutput(row["name"], problem, program(row["completion"]), passed(row[verdict]))

    return outputs


# ---------------------------------------------------------------- MBPP+

MBPP_PLUS = "mbpp_plus/MbppPlus-v0.1.0.jsonl"


def on_base_inputs(place: str) -> Outputs:
    """EvalPlus' eval_results.json of MBPP+, of which only the inputs are asked that MBPP itself has."""

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        del problems
        rows = source.rows(at(MBPP_PLUS), ("task_id", "base_input", "canonical_solution"))
        checks = {row["task_id"]: release_tests({**row, "plus_input": []})[1] for row in rows}
        yield from evalplus(place, plus=False)(source, {name: bare(name, checks[name]) for name in checks})

    return outputs


# ---------------------------------------------------------------- APPS

CODERL = {name: f"apps/coderl_outputs/{name}" for name in ("0111", "4184")}
CODERL_FILES = ("input_output.json", "gen_solutions.json", "baseline_solutions.json")
MAPCODER = "apps/mapcoder_outputs/ChatGPT-Direct.jsonl"


def coderl(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
    """`result`: true, false (a wrong answer), -1 (a run-time error), -2 (a compile error)."""
    del problems
    for name, folder in CODERL.items():
        cases, *files = CODERL_FILES
        tests = document(source, f"{folder}/{cases}")
        given = zip(tests["inputs"], tests["outputs"], strict=True)
        check = IOCases(
            cases=tuple(IOCase(given=one, expected=expected) for one, expected in given),
            fn_name=tests.get("fn_name", ""),
        )
        for file in files:
            for number, row in enumerate(document(source, f"{folder}/{file}")):
                sample = f"{name} {file.partition('_')[0]} {number}"
                yield RecordedOutput(
                    sample, bare(name, check), program(row["code"]), CODERL_KINDS[str(row["result"])]
                )


CODERL_KINDS = {"True": "passed", "False": "failed", "-1": "error", "-2": "compile_error"}


def same_kind(recorded: str, own: str) -> bool:
    return own == recorded or (recorded, own) == ("error", "timeout")


def mapcoder(verdict: str) -> Outputs:
    """The author's verdict `recorded_is_solved` where it is to be trusted, or that of the `recheck`."""

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        del problems
        seen: Counter[str] = Counter()
        for row in source.rows(at(MAPCODER), ("id", "test_list", "source_codes", verdict)):
            cases = tuple(
                IOCase(given=test["input"], expected="\n".join(map(str, test["output"])))
                for test in row["test_list"]
            )
            problem = bare(str(row["id"]), IOCases(cases=cases))
            name = numbered(problem.id, seen[problem.id])
            seen[problem.id] += 1
            if verdict == "recheck" or row["recorded_verdict_trustworthy"]:
                yield RecordedOutput(name, problem, program(row["source_codes"][0]), passed(row[verdict]))

    return outputs


# ---------------------------------------------------------------- BigCodeBench

BIGCODEBENCH = "bigcodebench/outputs/1.5b-base"


def bigcodebench_files(subset: str) -> tuple[str, str]:
    """What was said, cleaned; its official verdicts."""
    name = f"{BIGCODEBENCH}/{subset}/completion-sanitized-calibrated"
    return f"{name}.jsonl", f"{name}{'_hard' if subset == 'hard' else ''}_eval_results.json"


def bigcodebench(subset: str) -> Outputs:
    said, judged = bigcodebench_files(subset)

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        verdicts = document(source, judged)["eval"]
        for row in source.rows(at(said), ("task_id", "solution")):
            name = row["task_id"]
            (verdict,) = verdicts[name]
            status = "passed" if verdict["status"] == "pass" else verdict["status"]
            yield RecordedOutput(name, problems[name], program(row["solution"]), status)

    return outputs


# ---------------------------------------------------------------- SQL

FULL_DEV = 1034  # rows of the development set; a part of it has places of its own
DAIL = "spider/outputs/dail_gpt4.verdicts.jsonl"


def dail(verdict: str) -> Outputs:
    """Against the gold query that the official evaluator was given; dev.json's were mended later."""

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        asked = list(problems.values())
        index = "index" if len(asked) < FULL_DEV else "dev_index"
        for row in source.rows(at(DAIL), (index, "gold", "pred", verdict)):
            problem = asked[row[index]]
            assert isinstance(problem.check, Query)
            check = problem.check.model_copy(update={"sql": row["gold"]})
            against = problem.model_copy(update={"solution": row["gold"], "check": check})
            yield RecordedOutput(problem.id, against, program(row["pred"]), passed(row[verdict]))

    return outputs


# ---------------------------------------------------------------- CRUXEval

CODELLAMA = "cruxeval/outputs/codellama-7b/scored_input.json"


def codellama(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
    """Ten samples a row."""
    recorded = document(source, CODELLAMA)
    for name, texts in recorded["raw_generations"].items():
        verdicts = recorded["raw_scored_generations"][name]
        for number, (text, right) in enumerate(zip(texts, verdicts, strict=True)):
            yield RecordedOutput(numbered(name, number), problems[name], Completion(text=text), passed(right))


def thought_files(predict: str) -> tuple[str, str, str]:
    """What was said, its official verdict, its official extraction."""
    folder = f"cruxeval/outputs/1.5b-base/{predict}-cot"
    return tuple(f"{folder}/{name}.json" for name in ("completion_raw", "completion_scored", "completion"))  # type: ignore[return-value]


def thoughts(predict: str, reading: bool = False) -> Outputs:
    """Chains of thought behind their prompts, which have one example and open the thought."""
    raw, scored, extracted = thought_files(predict)

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        found: dict[str, list[Any]] = (
            document(source, extracted) if reading else document(source, scored)["raw_scored_generations"]
        )
        for name, (text,) in document(source, raw).items():
            said = Completion(text=text.split("[THOUGHT]\n", 2)[2])
            (official,) = found[name]
            verdict = official if reading else passed(official)
            yield RecordedOutput(name, problems[name], said, verdict)

    return outputs


# ---------------------------------------------------------------- LiveCodeBench

O1_MINI = "livecodebench/outputs/o1-mini-2024-09-12.json"


def livecodebench(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
    """The official extraction of each output; the tests are not part of the recording."""
    del problems
    for row in source.rows(at(O1_MINI), ("question_id", "starter_code", "output_list", "code_list")):
        called = re.search(r"def (\w+)\(self", row["starter_code"])
        name = row["question_id"]
        check = IOCases(cases=(IOCase(given="", expected=""),), fn_name=called[1] if called else "")
        yield RecordedOutput(
            name, bare(name, check), Completion(text=row["output_list"][0]), row["code_list"][0]
        )


# ---------------------------------------------------------------- HumanEval Infilling

INFILLING = ("humaneval_infilling/example_problem.jsonl", "humaneval_infilling/example_samples.jsonl")
FILLS = (7, 8, 9)  # of the ten samples those that leave `return 1`; upstream's README says that 30 % pass


def infilling_example(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
    """Upstream's own example, whose verdicts it gives as a share."""
    del problems
    (row,) = source.rows(at(INFILLING[0]), humaneval_infilling.FIELDS)
    asked = humaneval_infilling.problem(row)
    for number, sample in enumerate(source.rows(at(INFILLING[1]), ("completion",))):
        said = Completion(text=sample["completion"], form="continuation")
        yield RecordedOutput(numbered(asked.id, number), asked, said, passed(number in FILLS))


# ---------------------------------------------------------------- MultiPL-E


def multipl_e_files(language: str) -> tuple[str, str, str]:
    folder = "multipl_e/outputs/1.5b-base"
    return (
        f"multipl_e/prompts/humaneval-{language}.jsonl",
        f"{folder}/pred_{language}_output.jsonl",
        f"{folder}/humaneval-{language}-details.json",
    )


def multipl_e(language: str) -> Outputs:
    """Programs without their tests, cut at the stop tokens, and by the row's name whether they passed."""
    _, said, judged = multipl_e_files(language)

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        verdicts = {name: rows[0][1] for name, rows in document(source, judged).items()}
        for row in source.rows(at(said), ("task_id", "generation")):
            name = row["task_id"]
            verdict = "passed" if verdicts[name]["passed"] else verdicts[name]["result"][:40]
            yield RecordedOutput(name, problems[name], program(row["generation"]), verdict)

    return outputs
