"""Rewards for training from a judge's service: for TRL's GRPO, for verl, and ten steps of the embedded model with TRL.

    harness serve humaneval --data mini                         # in one terminal; or on another machine, with a token
    pip install trl && python examples/grpo_reward.py           # in another

The tests stay with the service: a trainer names the problem and posts the completion. A reward is 1 or 0, None where
the judge itself failed (TRL leaves such a sample out). Nothing of the harness is imported here.
"""

import json
import os
import time
import urllib.error
import urllib.request

URL = os.environ.get("HARNESS_JUDGE_URL", "http://127.0.0.1:8017")
TASK = "humaneval"
TRIES = 8


def ask(path, fields=None):
    """The service's answer; when it has too much to do, or restarts, asked again."""
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("HARNESS_JUDGE_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = None if fields is None else json.dumps(fields).encode()
    for attempt in range(TRIES):
        request = urllib.request.Request(URL + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=900) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise RuntimeError(json.load(error)["error"]["message"]) from None
            time.sleep(float(error.headers.get("Retry-After", 1)))
        except urllib.error.URLError as error:
            if attempt == TRIES - 1:
                raise RuntimeError(f"no service at {URL}: {error.reason}") from None
            time.sleep(min(30, 2**attempt))
    raise RuntimeError(f"{URL} has too much to do")


def rewards(task, problems, completions):
    return ask("/v1/rewards", {"task": task, "problems": problems, "completions": completions})["rewards"]


def judged(completions, problem_id, **columns):
    """A reward function of TRL (`reward_funcs=judged`); the data set has a column `problem_id`."""
    texts = [each if isinstance(each, str) else each[-1]["content"] for each in completions]
    return rewards(TASK, list(problem_id), texts)


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **ignored):
    """A reward function of verl, which calls it for each completion, in many threads at a time:

        reward.custom_reward_function.path=examples/grpo_reward.py      # before 0.9 without `reward.`

    `data_source` of a row names the task and `reward_model.ground_truth` the problem. A None is no number there: where
    the judge failed three times, training stops rather than learns from it.
    """
    for _ in range(3):
        (reward,) = rewards(data_source, [ground_truth], [solution_str])
        if reward is not None:
            return reward
    raise RuntimeError(f"{data_source} {ground_truth}: the judge failed three times")


def main():
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    problems = ask(f"/v1/tasks/{TASK}")["problems"]
    rows = [{"prompt": each["question"], "problem_id": each["id"]} for each in problems]
    settings = GRPOConfig(
        output_dir="results/grpo",
        max_steps=10,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=64,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
    )
    GRPOTrainer(
        "tasks/demo/model", reward_funcs=judged, args=settings, train_dataset=Dataset.from_list(rows)
    ).train()


if __name__ == "__main__":
    main()
