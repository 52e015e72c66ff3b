"""The demo model's corpus: the same for the same seed, and without what the mini benchmarks ask."""

import hashlib
from itertools import islice

from tools.demo_model import corpus


def test_a_seed_gives_the_same_corpus_as_when_the_model_was_trained() -> None:
    texts = "".join(row.text for row in islice(corpus.rows(0), 300))
    digest = hashlib.sha256(texts.encode()).hexdigest()
    assert digest == "f57f9d99e36b55a917cfb303621eddd987cb8f5a02859d0a583c18ffdcb5059e"


def test_questions_of_the_mini_benchmarks_are_kept_out() -> None:
    reserved = corpus.reserved()
    assert len(reserved.questions) > 100
    question = next(iter(sorted(reserved.questions)))
    row = corpus.Row((corpus.Turn(corpus.INSTRUCTION.format(question), "x"),))
    assert not reserved.allows(row)
