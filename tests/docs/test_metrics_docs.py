"""docs/metrics.md has a page for every metric there is, and none for what there is not."""

import re
from collections.abc import Iterator

import pytest

from harness import scorers
from harness.schema import Scorer
from harness.tasks.loading import registry
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
PAGES: dict[str, str] = dict(
    re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT.split("\n---\n", 1)[1], re.M | re.S)
)


def all_scorers() -> Iterator[Scorer]:
    yield from scorers.builtin_scorers().values()
    for name in registry.names():
        yield from registry.task(name).scorers


OF_A_JUDGE = {
    "win_share",
    "win_share_decided",
    "unknown",
    "consistent",
    "place_share",
}  # no scorer's
METRICS = sorted({(s.name, name.replace("@1", "@k")) for s in all_scorers() for name in s.metrics([1])})


def page_of(metric: str) -> str:
    """The page that names the metric in its title, or, for `a.part`, a page of `a` that names the part."""
    base, _, part = metric.partition(".")
    for title, body in PAGES.items():
        if base in title.split(", ") and (not part or f"`{metric}`" in body or f"`.{part}`" in body):
            return body
    return ""


@pytest.mark.parametrize(("scorer", "metric"), METRICS)
def test_every_metric_has_a_page_and_a_line_in_the_table(scorer: str, metric: str) -> None:
    assert page_of(metric), f"docs/metrics.md has no page on {metric}"
    table = [line for line in TEXT.splitlines() if line.startswith("| [")]
    base = metric.partition(".")[0]
    who = "".join(line.split("|")[2] for line in table if f"`{base}`" in line.split("|")[1])
    assert f"`{scorer}`" in who, f"the table does not say that {scorer} measures {metric}"


@pytest.mark.parametrize("title", PAGES)
def test_every_page_says_the_same_four_things_and_is_of_a_metric(title: str) -> None:
    for heading in ("Formula", "Source", "Cannot see", "Signature"):
        assert f"**{heading}.**" in PAGES[title]
    known = (
        {metric.partition(".")[0] for _, metric in METRICS} | {scorer for scorer, _ in METRICS} | OF_A_JUDGE
    )
    assert set(title.split(", ")) <= known


def test_the_pages_were_read() -> None:
    assert len(PAGES) >= 13
    assert {"pass@k", "codebleu", "bleu", "valid_rate", "train_overlap"} <= set(PAGES)


def test_metrics_with_a_unit_or_a_direction_of_their_own_exist_and_their_pages_say_so() -> None:
    reduces = {name: reduce for s in all_scorers() for name, reduce in s.metrics([1]).items()}
    numbers = {name for name, reduce in reduces.items() if reduce.unit == "number"}
    lower = {name for name, reduce in reduces.items() if reduce.lower_is_better}
    assert {"perplexity", "ves"} <= numbers
    assert {"perplexity", "train_overlap"} <= lower
    for metric in numbers:
        assert "percentage" in page_of(metric), metric
    for metric in lower - {"ast_similarity.excluded"}:
        assert re.search("less is better", page_of(metric), re.I), metric
