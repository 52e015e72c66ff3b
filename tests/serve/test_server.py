"""`harness serve` as a process: how it starts, how it ends, and the trainers' example against it."""

import importlib.util
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx2
import pytest

from tests.support import judge_service
from tests.support.command import mini_humaneval
from tests.support.judge_service import TOKEN, Served
from tests.support.paths import ROOT

ROW = mini_humaneval()[0]
SAMPLE = {"problem": ROW["task_id"], "completion": ROW["canonical_solution"], "form": "continuation"}


def test_a_service_that_is_told_to_stop_answers_what_it_has_begun(tmp_path: Path) -> None:
    del tmp_path
    with judge_service.command("humaneval", "--data", "mini") as service:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answers: list[httpx2.Response] = []

        def ask(samples: list[dict[str, Any]]) -> None:
            url = f"{service.url}/v1/verdicts"
            answers.append(httpx2.post(url, json={"samples": samples}, headers=headers, timeout=60))

        ask([SAMPLE])
        different = [{**SAMPLE, "completion": f"{SAMPLE['completion']}    # {i}\n"} for i in range(60)]
        asking = threading.Thread(target=ask, args=(different,))
        asking.start()
        url = f"{service.url}/metrics"
        while "\nharness_judge_samples 60" not in httpx2.get(url, headers=headers).text:
            assert asking.is_alive()
            time.sleep(0.02)
        service.process.send_signal(signal.SIGTERM)
        asking.join()
        assert service.process.wait(30) == 0
    assert [each.status_code for each in answers] == [200, 200]
    assert [row["status"] for row in answers[1].json()["verdicts"]] == ["passed"] * 60


def test_it_stops_also_when_it_is_told_to_right_after_its_start() -> None:
    with judge_service.command() as service:
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0


def test_open_to_the_network_it_wants_a_token_and_answers_whoever_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with judge_service.command("--host", "0.0.0.0") as service:
        port = service.url.rpartition(":")[2]
        own = socket.gethostbyname(socket.gethostname())  # of this machine, as others reach it

        def status(path: str, **headers: str) -> int:
            return httpx2.get(f"http://{own}:{port}{path}", headers=headers, trust_env=False).status_code

        assert (status("/health"), status("/v1/tasks")) == (200, 401)
        assert status("/v1/tasks", Authorization="Bearer another token") == 401
        assert status("/v1/tasks", Authorization=f"Bearer {TOKEN}") == 200
        # Which name it is asked by is of no account, since no page in a browser has the token.
        assert status("/v1/tasks", Authorization=f"Bearer {TOKEN}", Host="judge.example") == 200
    monkeypatch.delenv("HARNESS_JUDGE_TOKEN", raising=False)
    command = [sys.executable, "-m", "harness", "serve", "--host", "0.0.0.0", "--port", port]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is open to the network: set HARNESS_JUDGE_TOKEN" in refused.stderr


@pytest.fixture
def example(served: Served, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """examples/grpo_reward.py, pointed at the service."""
    monkeypatch.setenv("HARNESS_JUDGE_URL", served.url)
    monkeypatch.setenv("HARNESS_JUDGE_TOKEN", TOKEN)
    spec = importlib.util.spec_from_file_location("grpo_reward", ROOT / "examples" / "grpo_reward.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reward_functions_of_the_example_are_those_that_trl_and_verl_call(example: ModuleType) -> None:
    right = f"```python\n{ROW['prompt']}{ROW['canonical_solution']}```"
    name = ROW["task_id"]
    assert example.judged(prompts=["", ""], completions=[right, "no"], problem_id=[name, name]) == [1.0, 0.0]
    chat = [[{"role": "assistant", "content": right}]]
    assert example.judged(completions=chat, problem_id=[name], trainer_state=None) == [1.0]
    given = {
        "data_source": "humaneval",
        "ground_truth": name,
        "extra_info": {"num_turns": None},
    }  # as verl does
    assert [example.compute_score(solution_str=text, **given) for text in ("no", right)] == [0.0, 1.0]
    assert {"id": name, "question": ROW["prompt"]} in example.ask("/v1/tasks/humaneval")["problems"]
    with pytest.raises(RuntimeError, match="no problem 'x'"):
        example.rewards("humaneval", ["x"], ["y"])


def test_the_example_trains_ten_steps_on_rewards_of_the_service(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a trainer that calls the reward function as TRL 1.16 does, and generates references and nonsense."""
    references = {row["prompt"]: row["prompt"] + row["canonical_solution"] for row in mini_humaneval()}
    given: list[float | None] = []

    class Trainer:
        def __init__(self, model: str, reward_funcs: Any, args: Any, train_dataset: Any) -> None:
            assert (ROOT / model / "config.json").exists()
            self.reward, self.args, self.rows = reward_funcs, args, list(train_dataset)

        def train(self) -> None:
            for step in range(self.args.max_steps):
                row = self.rows[step % len(self.rows)]
                completions = [references[row["prompt"]], "no"]
                given.extend(
                    self.reward(
                        prompts=[row["prompt"]] * 2,
                        completions=completions,
                        completion_ids=[[1], [2]],
                        problem_id=[row["problem_id"]] * 2,
                        trainer_state=None,
                    )
                )

    trl = ModuleType("trl")
    vars(trl).update(GRPOConfig=SimpleNamespace, GRPOTrainer=Trainer)
    monkeypatch.setitem(sys.modules, "trl", trl)
    example.main()
    assert given == [1.0, 0.0] * 10
