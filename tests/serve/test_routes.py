"""What the routes of a service answer; each judges for real."""

import json
import re
from typing import Any

import httpx2
import pytest

from harness.serve import posted
from harness.serve.app import OPERATIONS
from tests.support.command import mini_humaneval
from tests.support.judge_service import Served

ROW = mini_humaneval()[0]
ID, RIGHT = ROW["task_id"], {"completion": ROW["canonical_solution"], "form": "continuation"}
WRONG = {"completion": "    return None\n", "form": "continuation"}
LEAKING = {"completion": "    raise ValueError(numbers)\n", "form": "continuation"}


def test_verdicts_by_name_are_rows_of_judgements(served: Served) -> None:
    samples = [{"problem": ID, **RIGHT}, {"problem": ID, **WRONG}]
    answer = served.post("/v1/verdicts", task="humaneval", samples=samples).json()
    assert [(row["problem_id"], row["index"], row["status"]) for row in answer["verdicts"]] == [
        (ID, 0, "passed"),
        (ID, 1, "failed"),
    ]


def test_no_answer_holds_the_tests_or_the_reference_of_a_problem(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [
        served.client.get("/v1/tasks").text,
        served.client.get("/v1/tasks/humaneval").text,
        served.post("/v1/verdicts", task="humaneval", samples=[{"problem": ID, **WRONG}]).text,
        served.post("/v1/verdicts", task="humaneval", samples=[{"problem": ID, **LEAKING}]).text,
    ]
    assert ID in told[1]
    for text in told:
        assert ROW["canonical_solution"].strip() not in text
        assert ROW["test"] not in text
        assert "assert" not in text
    assert "[1, 2, 3, 4]" not in told[3].partition("raise")[2]  # what the tests call it with
    monkeypatch.setattr(served.service, "shows_errors", True)  # then they do
    shown = [
        served.post("/v1/verdicts", task="humaneval", samples=[{"problem": ID, **each}]).text
        for each in (WRONG, LEAKING)
    ]
    assert "assert candidate([1, 2, 3, 4]) == 6" in shown[0]
    assert "[1, 2, 3, 4]" in shown[1].partition("raise")[2]


def test_a_stream_has_each_verdict_as_a_line(served: Served) -> None:
    asked = {"task": "humaneval", "samples": [{"problem": ID, **RIGHT}] * 3, "stream": True}
    with served.client.stream("POST", "/v1/verdicts", json=asked) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert [(line["index"], line["status"]) for line in lines] == [(i, "passed") for i in range(3)]


def test_rewards_are_floats_or_vectors(served: Served) -> None:
    program = f"```python\n{ROW['prompt']}{ROW['canonical_solution']}```"
    asked: dict[str, Any] = {"task": "humaneval", "problems": [ID, ID], "completions": [program, "no"]}
    assert served.post("/v1/rewards", **asked).json() == {"rewards": [1.0, 0.0]}
    assert served.post("/v1/rewards", **asked, vector=True).json() == {"rewards": [[1.0], [0.0]]}
    served.post("/v1/rewards", **{**asked, "problems": [ID]}).json()
    short = served.post("/v1/rewards", **{**asked, "problems": [ID]})
    assert (short.status_code, short.json()["error"]["message"]) == (
        422,
        "1 problems and 2 completions: one for each",
    )


POSTED: list[tuple[str, dict[str, Any]]] = [
    ("def f(x): return x + 1", {"kind": "unit_tests", "code": "assert f(1) == 2", "entry_point": "f"}),
    ("print(2 * int(input()))", {"kind": "io_cases", "cases": [{"given": "2\n", "expected": "4\n"}]}),
    (
        "def f(x): return 2 * x",
        {"kind": "io_cases", "fn_name": "f", "cases": [{"given": [2], "expected": 4}]},
    ),
    (
        "SELECT a FROM t WHERE a > 1",
        {
            "kind": "query",
            "sql": "SELECT a FROM t WHERE NOT a <= 1",
            "script": "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2)",
        },
    ),
]


@pytest.mark.parametrize(("answer", "check"), POSTED)
def test_a_posted_program_is_judged_by_what_comes_with_it(
    served: Served, answer: str, check: dict[str, Any]
) -> None:
    wrong = answer.replace("2", "3").replace("+ 1", "+ 2").replace("> 1", "> 0")
    samples = [{"answer": text, "check": check} for text in (answer, wrong)]
    verdicts = served.post("/v1/checks", samples=samples).json()["verdicts"]
    assert [row["status"] for row in verdicts] == ["passed", "failed"]


@pytest.mark.parametrize(
    ("case", "fn_name", "why"),
    [
        ({"given": 5, "expected": "1"}, "", "cases.0: given and expected have to be texts"),
        ({"given": "5", "expected": 1}, "", "cases.0: given and expected have to be texts"),
        ({"given": "5", "expected": 1}, "f", "cases.0: given has to be the list of f's arguments"),
    ],
)
def test_a_case_of_the_other_kind_is_the_askers_mistake(
    served: Served, case: dict[str, Any], fn_name: str, why: str
) -> None:
    check = {"kind": "io_cases", "cases": [case], "fn_name": fn_name}
    answer = served.post("/v1/checks", samples=[{"answer": "", "check": check}])
    assert (answer.status_code, why in answer.json()["error"]["message"]) == (422, True), answer.text


def test_a_bug_of_ours_is_told_once_and_not_to_be_asked_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posted, "judge", lambda *_: 1 / 0)
    samples = [{"answer": "", "check": POSTED[0][1]}]
    answer = served.post("/v1/checks", samples=samples)
    assert (answer.status_code, "retry-after" in answer.headers) == (500, False)
    assert answer.json()["error"]["message"] == "the service failed: ZeroDivisionError"
    (line,) = served.post("/v1/checks", samples=samples, stream=True).text.splitlines()
    assert json.loads(line) == {"error": "the service failed: ZeroDivisionError", "fault": True}


def test_a_posted_program_asks_for_no_more_than_a_share_of_the_machine(served: Served) -> None:
    check = {**POSTED[0][1], "limits": {"cpu_s": 1e6}}
    answer = served.post("/v1/checks", samples=[{"answer": POSTED[0][0], "check": check}])
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        422,
        "samples.0.check: limits.cpu_s = 1e+06: at most 600 here",
    )


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("ATTACH '/tmp/other' AS other", "not authorized"),
        ("CREATE TABLE t (a); VACUUM INTO '/tmp/copy'", "authorization denied"),
        ("PRAGMA journal_mode = WAL", "not authorized"),
        ("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(100000000))", "too big"),
        ("CREATE TABLE", "incomplete input"),
    ],
)
def test_a_posted_script_makes_tables_and_does_nothing_else(served: Served, script: str, why: str) -> None:
    check = {"kind": "query", "sql": "SELECT 1", "script": script}
    answer = served.post("/v1/checks", samples=[{"answer": "SELECT 1", "check": check}])
    assert answer.status_code == 422
    assert why in answer.json()["error"]["message"]


def test_run_code_answers_as_sandbox_fusion(served: Served) -> None:
    ran = served.post(
        "/run_code", language="python", code="import sys\nprint(input())\nsys.exit(3)", stdin="hi"
    )
    assert ran.json() == {
        "status": "Failed",
        "message": "exit status 3",
        "compile_result": None,
        "run_result": {
            "status": "Finished",
            "execution_time": ran.json()["run_result"]["execution_time"],
            "return_code": 3,
            "stdout": "hi\n",
            "stderr": "",
        },
        "executor_pod_name": None,
        "files": {},
    }
    slow = served.post("/run_code", language="python", code="while True: pass", run_timeout=0.3).json()
    assert (slow["status"], slow["run_result"]["status"]) == ("Failed", "TimeLimitExceeded")
    wrong = served.post("/run_code", language="python", code="def f(:").json()["run_result"]
    assert (wrong["return_code"], "invalid syntax" in wrong["stderr"]) == (1, True), wrong
    other = served.post("/run_code", language="pytest", code="")
    assert "post the program with its tests to /v1/checks" in other.text


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        (
            {"task": "humanevl", "samples": [{"problem": ID, **RIGHT}]},
            404,
            "no task 'humanevl'. Did you mean",
        ),
        ({"samples": [{"problem": ID, **RIGHT}]}, 404, "no task ''"),
        ({"task": "humaneval", "samples": [{"problem": "x", **RIGHT}]}, 404, "humaneval: no problem 'x'"),
        ({"task": "humaneval", "samples": []}, 422, "samples = []"),
        ({"task": "humaneval", "sample": []}, 422, "no key 'sample'. Did you mean 'samples'?"),
        ({"task": "humaneval", "scorer": "x", "samples": [{"problem": ID, **RIGHT}]}, 422, "no scorer 'x'"),
    ],
)
def test_a_mistake_is_one_line_and_says_what_would_be_right(
    served: Served, fields: dict[str, Any], status: int, message: str
) -> None:
    answer = served.post("/v1/verdicts", **fields)
    assert (answer.status_code, message in answer.json()["error"]["message"]) == (status, True), answer.text


def test_half_a_surrogate_pair_is_a_program_like_any_other(served: Served) -> None:
    body = (
        b'{"task": "humaneval", "samples": [{"problem": "%s", "completion": "x = \'\\ud800\'"}]}'
        % ID.encode()
    )
    answer = served.client.post("/v1/verdicts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    here = served.service.judges["humaneval"].verdict(ID, "x = '\ud800'")
    assert answer.json()["verdicts"][0] == here.model_copy(update={"error": ""}).model_dump(mode="json")


def test_every_route_is_described_and_each_reference_leads_somewhere(served: Served) -> None:
    described = httpx2.get(f"{served.url}/openapi.json").json()
    public = {operation.path for operation in OPERATIONS if operation.asks}
    assert public | {"/health", "/metrics", "/v1/tasks", "/v1/tasks/{name}"} == set(described["paths"])
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))
    assert names == set(described["components"]["schemas"])
    assert {"VerdictRequest", "Judgement"} <= names
    assert described["paths"]["/health"]["get"]["security"] == []
    assert "application/x-ndjson" in described["paths"]["/v1/verdicts"]["post"]["responses"]["200"]["content"]


def test_health_needs_no_token_and_metrics_count_what_was_judged(served: Served) -> None:
    assert httpx2.get(f"{served.url}/health").json()["status"] == "ok"
    served.post("/v1/verdicts", task="humaneval", samples=[{"problem": ID, **RIGHT}])
    served.post("/v1/programs", settings={}, programs=[{"code": "pass"}])
    text = served.client.get("/metrics").text
    assert re.search(r'^harness_judge_verdicts_total\{task="programs",status="passed"\} \d+$', text, re.M)
    assert 'status=""' not in text  # the end of a batch is no verdict
    (count,) = re.findall(
        r'^harness_judge_verdicts_total\{task="humaneval",status="passed"\} (\d+)$', text, re.M
    )
    assert int(count) >= 1
    assert re.search(r'^harness_judge_requests_total\{path="/v1/verdicts",status="200"\} \d+$', text, re.M)
    assert re.search(r"^harness_judge_workers 1$", text, re.M)
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) harness_judge_\w+ .+|harness_judge_\w+(\{.+\})? \S+", line), line
