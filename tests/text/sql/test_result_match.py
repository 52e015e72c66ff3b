"""Equal results: the cases that the official evaluators' rules part, and hostile shapes."""

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.text.sql.result_match import RULES, Row, same_bag, same_list, same_set, soft_f1

CELLS = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["a", "b", "1"]), st.floats(0, 2, width=16))


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    width = draw(st.integers(1, 4))
    return draw(st.lists(st.tuples(*[CELLS] * width), max_size=5))


def by_trying_all(gold: list[Row], got: list[Row], ordered: bool) -> bool:
    """Bag equality under some permutation of columns, by enumeration."""
    if len(gold) != len(got) or (gold and len(gold[0]) != len(got[0])):
        return False
    if not gold:
        return True
    for order in itertools.permutations(range(len(gold[0]))):
        moved = [tuple(row[i] for i in order) for row in got]
        if moved == gold if ordered else Counter(moved) == Counter(gold):
            return True
    return False


@settings(max_examples=150, deadline=None)
@given(tables(), st.randoms(use_true_random=False), st.booleans())
def test_rows_and_columns_in_another_order_are_the_same_bag(table: list[Row], random, ordered: bool) -> None:  # type: ignore[no-untyped-def]
    columns = list(range(len(table[0]))) if table else []
    random.shuffle(columns)
    other = [tuple(row[i] for i in columns) for row in table]
    assert same_bag(table, other, ordered)
    random.shuffle(other)
    assert same_bag(table, other, False)


@settings(max_examples=300, deadline=None)
@given(tables(), tables(), st.booleans())
def test_bags_are_equal_exactly_where_trying_all_columns_says_so(
    gold: list[Row], got: list[Row], ordered: bool
) -> None:
    # The evaluator's quick rejection by text parts 1 from 1.0 in some rows; without floats both must agree.
    if not any(isinstance(value, float) for row in [*gold, *got] for value in row):
        assert same_bag(gold, got, ordered) == by_trying_all(gold, got, ordered)
    elif same_bag(gold, got, ordered):
        assert by_trying_all(gold, got, ordered)


def test_each_rule_counts_what_its_benchmark_counts() -> None:
    twice, once, swapped = [(1, "a"), (1, "a"), (2, "b")], [(1, "a"), (2, "b")], [("a", 1), ("b", 2)]
    backwards = [(2, "b"), (1, "a")]
    table = {
        "bag": (
            same_bag(once, swapped, False),
            same_bag(twice, once, False),
            same_bag(once, backwards, False),
        ),
        "set": (
            same_set(once, swapped, False),
            same_set(twice, once, False),
            same_set(once, backwards, False),
        ),
        "list": (
            same_list(once, swapped, False),
            same_list(twice, once, False),
            same_list(once, backwards, True),
        ),
    }
    assert table == {
        "bag": (True, False, True),
        "set": (False, True, True),
        "list": (False, False, False),
    }
    assert not same_bag(once, backwards, True)
    assert set(RULES) == {"bag", "set", "list"}


def test_empty_results_are_equal_and_an_empty_one_equals_no_other() -> None:
    assert same_bag([], [], True)
    assert not same_bag([], [(1,)], False)
    assert not same_bag([(None,)], [], False)


def test_numbers_are_equal_by_value_and_texts_are_no_numbers() -> None:
    assert same_bag([(1,)], [(1.0,)], False)
    assert not same_bag([(1,)], [("1",)], False)


def test_many_equal_columns_take_no_time() -> None:
    # All orders of 14 columns would be 87 billion.
    gold = [(0,) * 14, (1, *(0,) * 13)]
    assert not same_bag(gold, [(0,) * 14, (*(0,) * 12, 1, 1)], False)
    assert same_bag(gold, [(*(0,) * 13, 1), (0,) * 14], False)


def test_columns_whose_values_agree_but_not_their_rows_are_told_apart() -> None:
    gold = [(1, 2, 3), (4, 5, 6)]
    assert not same_bag(gold, [(1, 5, 3), (4, 2, 6)], False)


def test_soft_f1_is_birds() -> None:
    # Worked by hand after the mini-dev rule: rows pair in order, cells count wherever they stand in the row.
    gold = [("Apple", 325), ("Orange", 0), ("Banana", 119)]
    got = [(325, "Apple"), (191, "Orange"), (0, "Banana")]
    # found 1 + 1/2 + 1/2, extra 0 + 1/2 + 1/2, missed 0 + 1/2 + 1/2
    assert soft_f1(gold, got) == 2 / 3
    assert soft_f1(gold, gold) == 1.0
    assert soft_f1([], []) == 1.0
    assert soft_f1(gold, []) == 0.0
    assert soft_f1([], got) == 0.0
    assert soft_f1([(1,), (1,)], [(1,)]) == 1.0
