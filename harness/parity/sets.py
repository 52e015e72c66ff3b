"""The recordings that the judge is held against, and the known cause of each verdict that differs.

A new one is an entry here: its files, its task, how its outputs are read (recorded_files.py has the layouts).
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from harness.parity import recorded_files as recorded
from harness.parity.recordings import ParitySet, evalplus, references, rows_by_id, same_text
from harness.tasks.families import translated_tests

HUMANEVAL = "humaneval/HumanEval.jsonl"
REFLEXION = "humaneval/outputs/reflexion__simple_1_text-davinci-003_pass_at_k_1.jsonl"
LLAMA3 = "humaneval/outputs/llama3-exp/8b-instruct-repeatlots/samples_eval_results.json"
PLUS = "humaneval_plus/HumanEvalPlus-v0.1.10.jsonl"
QWEN_PLUS = "humaneval_plus/outputs/qwen25coder-1.5b-base/generated_eval_results.json"
QWEN_MBPP = "mbpp_plus/outputs/qwen25coder-1.5b-base/generated_eval_results.json"
SPIDER = ("spider/dev.json", "spider/tables.json", "spider/database/concert_singer/concert_singer.sqlite")
CRUXEVAL = "cruxeval/cruxeval.jsonl"

STOPPED = "a wrong answer first, an exception in a later case; a run stops at the first case that fails"
AS_SET = "right as a set; that recording's EvalPlus did not yet compare this task as sets"
TOO_SLOW = (
    "sums up to ten million by loops, as its reference does: on a slow machine that takes longer than EvalPlus'"
    " 60 s a task"
)
REMOVEPREFIX = (
    "the function calls str.removeprefix or removesuffix, which the recording's Python, before 3.9, had not"
)
OPENED_TWICE = (
    "the block is opened twice; the official extraction finds nothing there, and the judge said wrong"
)

ONE_SPACE = "the author's judge ran all programs in one name space:"
SUMS = (
    "mbpp_170_sum_range_list",
    "mbpp_422_find_Average_Of_Cube",
    "mbpp_724_power_base_sum",
    "mbpp_419_round_and_sum",
    "mbpp_598_armstrong_number",
)
NO_SUCH_PATH = (
    "its test expects that the folder /non/existent/path is not there; on the recording's machine it was"
)


def _bigcodebench(subset: str, causes: dict[str, str]) -> ParitySet:
    """Rows whose libraries the judging Python has; the others are not run."""
    return ParitySet(
        name=f"bigcodebench/qwen25coder-1.5b-base-{subset}",
        files=("bigcodebench/BigCodeBench.jsonl", *recorded.bigcodebench_files(subset)),
        task="bigcodebench",
        options={"subset": subset},
        outputs=recorded.bigcodebench(subset),
        causes=causes,
    )


NO_BC = "the function calls bc, which the recording's machine had not"
STR_SPLIT = "str_split of an empty text is empty since PHP 8.2; the recording's PHP gave one empty text"
UNCAUGHT = "ends in an uncaught exception; the recording's judge looked for failed assertions alone"
UNCAUGHT_ROWS = tuple(
    f"HumanEval_{row}"
    for row in (
        *("18_how_many_times", "19_sort_numbers", "20_find_closest_elements"),
        *("67_fruit_distribution", "116_sort_array", "148_bf"),
    )
)

CODERL = ParitySet(
    name="apps/coderl",
    files=tuple(f"{folder}/{name}" for folder in recorded.CODERL.values() for name in recorded.CODERL_FILES),
    task="apps",
    options={"stop_early": True},
    split=None,
    outputs=recorded.coderl,
)


def _thoughts(predict: str, causes: tuple[str, ...] = ()) -> tuple[ParitySet, ParitySet]:
    """A recorded chain of thought's verdicts, and how it is read."""
    raw, scored, extracted = recorded.thought_files(predict)
    judged = ParitySet(
        name=f"cruxeval/{predict}-cot",
        files=(CRUXEVAL, raw, scored),
        task="cruxeval",
        options={"predict": predict},
        outputs=recorded.thoughts(predict),
        causes=dict.fromkeys(causes, REMOVEPREFIX),
    )
    read = replace(
        judged,
        name=f"{judged.name}-reading",
        files=(CRUXEVAL, raw, extracted),
        outputs=recorded.thoughts(predict, reading=True),
        reading=True,
        agrees=same_text,
        causes={},
    )
    return judged, read


def _multipl_e(language: str, causes: Mapping[str, str] = MappingProxyType({})) -> ParitySet:
    return ParitySet(
        name=f"multipl_e/{language}",
        files=recorded.multipl_e_files(language),
        task="multipl_e",
        options={"language": language},
        needs=translated_tests.LANGUAGES[language].runs,
        outputs=recorded.multipl_e(language),
        causes=causes,
    )


SETS = (
    ParitySet(
        name="humaneval/codefuse-13b",
        files=(HUMANEVAL, "humaneval/outputs/CodeFuse-13B.jsonl"),
        task="humaneval",
        outputs=rows_by_id("humaneval/outputs/CodeFuse-13B.jsonl", "verdict", "continuation"),
    ),
    ParitySet(
        name="humaneval/reflexion-davinci-003",
        files=(HUMANEVAL, REFLEXION),
        task="humaneval",
        outputs=rows_by_id(REFLEXION, "recheck_prompt_plus_completion", "continuation"),
    ),
    ParitySet(
        name="humaneval/reflexion-davinci-003-author",
        files=(HUMANEVAL, REFLEXION),
        task="humaneval",
        outputs=rows_by_id(REFLEXION, "recorded_is_solved", "continuation"),
        causes={
            "HumanEval/133": f"{ONE_SPACE} `math` is what another imports",
            "HumanEval/143": f"{ONE_SPACE} `is_prime` is that of HumanEval/31",
            "HumanEval/150": f"{ONE_SPACE} `is_prime` is that of HumanEval/31",
        },
    ),
    ParitySet(
        name="humaneval/llama3-8b-instruct",
        files=(HUMANEVAL, LLAMA3),
        task="humaneval",
        outputs=evalplus(LLAMA3, plus=False),
    ),
    ParitySet(
        name="humaneval/qwen25coder-1.5b-base",
        files=(HUMANEVAL, QWEN_PLUS),
        task="humaneval",
        outputs=evalplus(QWEN_PLUS, plus=False),
    ),
    ParitySet(name="humaneval_plus/references", files=(PLUS,), task="humaneval_plus", outputs=references),
    ParitySet(
        name="humaneval_plus/llama3-8b-instruct",
        files=(PLUS, LLAMA3),
        task="humaneval_plus",
        outputs=evalplus(LLAMA3, plus=True),
        causes={
            "HumanEval/21": "one value of five is 1.1e-16 below the reference's; EvalPlus' tolerance of 1e-6 for"
            " floats, applied since that recording, allows it"
        },
    ),
    ParitySet(
        name="humaneval_plus/qwen25coder-1.5b-base",
        files=(PLUS, QWEN_PLUS),
        task="humaneval_plus",
        outputs=evalplus(QWEN_PLUS, plus=True),
    ),
    ParitySet(
        name="mbpp_plus/references",
        files=(recorded.MBPP_PLUS,),
        task="mbpp_plus",
        options={"release": "v0.1.0"},
        outputs=references,
        causes={"Mbpp/599": TOO_SLOW},
    ),
    ParitySet(
        name="mbpp_plus/qwen25coder-1.5b-base",
        files=(recorded.MBPP_PLUS, QWEN_MBPP),
        task="mbpp_plus",
        options={"release": "v0.1.0"},
        outputs=evalplus(QWEN_MBPP, plus=True),
        causes={
            "Mbpp/2": AS_SET,
            "Mbpp/579": AS_SET,
            "Mbpp/599": TOO_SLOW,
        },
    ),
    ParitySet(
        name="mbpp_plus/qwen25coder-1.5b-base-base-inputs",
        files=(recorded.MBPP_PLUS, QWEN_MBPP),
        task="mbpp_plus",
        options={"release": "v0.1.0"},
        split=None,
        outputs=recorded.on_base_inputs(QWEN_MBPP),
        causes=dict.fromkeys(("Mbpp/2", "Mbpp/232", "Mbpp/249"), AS_SET),
    ),
    ParitySet(
        name="mbpp/reflexion-gpt-4",
        files=(recorded.MBPP_REFLEXION,),
        task="mbpp",
        split=None,
        outputs=recorded.reflexion_mbpp("recheck"),
    ),
    ParitySet(
        name="mbpp/reflexion-gpt-4-author",
        files=(recorded.MBPP_REFLEXION,),
        task="mbpp",
        split=None,
        outputs=recorded.reflexion_mbpp("recorded_is_solved"),
        causes=dict.fromkeys(SUMS, f"{ONE_SPACE} `sum` is that of mbpp_126_sum"),
    ),
    CODERL,
    replace(
        CODERL,
        name="apps/coderl-kinds",
        agrees=recorded.same_kind,
        causes={
            "0111 baseline 0": "a function that holds the program is never called: it prints nothing, a wrong answer",
            "4184 gen 14": "a NameError while the module's lines run; the published scorer runs them to compile",
            "4184 gen 15": STOPPED,
            "4184 gen 16": STOPPED,
            "4184 baseline 0": "the function asked for is inside another: the program defines none of that name",
        },
    ),
    ParitySet(
        name="apps/mapcoder-chatgpt",
        files=(recorded.MAPCODER,),
        task="apps",
        options={"stop_early": True},
        split=None,
        outputs=recorded.mapcoder("recorded_is_solved"),
    ),
    ParitySet(
        name="apps/mapcoder-chatgpt-recheck",
        files=(recorded.MAPCODER,),
        task="apps",
        options={"stop_early": True},
        split=None,
        outputs=recorded.mapcoder("recheck"),
    ),
    _bigcodebench(
        "full",
        {
            "BigCodeBench/288": NO_SUCH_PATH,
            "BigCodeBench/756": "shutil.move is given a Path, which that recording's Python 3.8 does not take",
            "BigCodeBench/773": "it writes into the root folder, which programs here may only read",
        },
    ),
    _bigcodebench("hard", {}),
    ParitySet(
        name="spider/dail-gpt4-execution",
        files=(*SPIDER, recorded.DAIL),
        task="spider",
        scorer="sql_execution",
        outputs=recorded.dail("exec_match"),
    ),
    ParitySet(
        name="spider/dail-gpt4-exact-match",
        files=(*SPIDER, recorded.DAIL),
        task="spider",
        scorer="exact_set_match",
        outputs=recorded.dail("exact_match"),
    ),
    ParitySet(name="spider/gold", files=SPIDER, task="spider", scorer="sql_execution", outputs=references),
    ParitySet(
        name="wikisql/gold",
        files=("wikisql/dev.jsonl",),
        task="wikisql",
        options={"execute": False},
        split="validation",
        scorer="lf_accuracy",
        outputs=references,
    ),
    ParitySet(
        name="cruxeval/codellama-7b-input",
        files=(CRUXEVAL, recorded.CODELLAMA),
        task="cruxeval",
        options={"predict": "input"},
        outputs=recorded.codellama,
    ),
    *_thoughts("output"),
    *_thoughts("input", ("sample_296", "sample_409", "sample_531", "sample_548")),
    ParitySet(
        name="humaneval_infilling/example",
        files=recorded.INFILLING,
        task="humaneval_infilling",
        split=None,
        outputs=recorded.infilling_example,
    ),
    _multipl_e("java"),
    _multipl_e("js"),
    _multipl_e("sh", dict.fromkeys(("HumanEval_47_median", "HumanEval_92_any_int"), NO_BC)),
    _multipl_e("php", {"HumanEval_16_count_distinct_characters": STR_SPLIT}),
    _multipl_e("cs", dict.fromkeys(UNCAUGHT_ROWS, UNCAUGHT)),
    _multipl_e("ts"),
    ParitySet(
        name="livecodebench/o1-mini-reading",
        files=(recorded.O1_MINI,),
        task="livecodebench",
        split=None,
        reading=True,
        agrees=same_text,
        outputs=recorded.livecodebench,
        causes={"3637": OPENED_TWICE, "abc384_g": OPENED_TWICE},
    ),
)
