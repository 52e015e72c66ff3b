"""Which values come from where in a Python text: CodeBLEU's data flow, as a multiset of triples.

Rules and quirks are those of CodeXGLUE's script (Guo et al., 2021, GraphCodeBERT; Ren et al., 2020,
CodeBLEU), because they are the metric's definition: a name's first occurrence defines it; a word is traced to
the last places that defined it, across branches; loops run twice, so that what the body defines reaches its
start; `a.b[0] = c` defines a, b and 0; the two sides of an assignment are paired child by child where their
numbers of children agree.

Repaired, because they are faults and no definition: a loop with an `else` keeps its body; a string is never
taken apart (there that loses the data flow of the whole text, as do some broken texts); `not in` and `is not`
are operators and no variables; a token that is missing in broken text is no variable, nor are names side by
side, which are prose; letters outside ASCII do not shift the words; several sources come in the order of the
text (there: of a hash table seeded anew in each process); depth is no limit.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING

from harness.text.python_tree import ParsedSource, Word, significant_children

if TYPE_CHECKING:
    from tree_sitter import Node

COMES_FROM, COMPUTED_FROM = "comes from", "computed from"
MAX_REPEATED_DEPTH = (
    6  # loops nested deeper than this are followed once, or the work would double with each level
)

Step = Callable[[], None]
States = dict[Word, tuple[int, ...]]  # the places where each word was last defined
Triple = tuple[int, str, tuple[int, ...]]  # variable, relation, its sources; variables numbered by appearance


@dataclass(slots=True, eq=False)
class DataFlowWalk:
    """The walk over one text, and what it learns of each place: relation, sources, and whether it was
    visited again.

    A stack of steps stands for recursion; a step may push others. `outer` is the number of the innermost
    BINDING node around a stretch of text, `loops` how many loops are. `branch_changes` has for each branch that is
    being followed what it changed: the words and their states before, so that thousands of branches cost what they
    change.
    """

    source: ParsedSource
    steps: list[Step] = field(default_factory=list)
    states: States = field(default_factory=dict)
    branch_changes: list[dict[Word, tuple[int, ...] | None]] = field(default_factory=list)
    sources: dict[int, tuple[Word, ...]] = field(default_factory=dict)
    # The places whose relation is COMPUTED_FROM; it is COMES_FROM elsewhere.
    computed: set[int] = field(default_factory=set)
    revisited: set[int] = field(default_factory=set)
    traced: set[int] = field(default_factory=set)  # the places that are a source of another

    def run(self) -> None:
        root = self.source.root
        self.walk(root.start_byte, root.end_byte, -1, 0)
        while self.steps:
            self.steps.pop()()

    def visit(self, node: "Node", outer: int, loops: int) -> Step:
        start, end, later = node.start_byte, node.end_byte, outer + 1
        if later < len(self.source.bind_starts) and self.source.bind_starts[later] < end:
            return partial(self.walk, start, end, outer, loops)
        return partial(self.use, *self.source.word_range(start, end))

    def walk(self, start: int, end: int, outer: int, loops: int) -> None:
        """Follow a stretch of text: its words one by one, and each BINDING node in it in its own way."""
        binds, starts, words = self.source.binds, self.source.bind_starts, self.source.starts
        number, place = bisect_left(starts, start, outer + 1), bisect_left(words, start)
        while number < len(starts) and (at := starts[number]) < end:
            node, kind = binds[number]
            stop = node.end_byte
            if stop > end:  # it is around the stretch
                number += 1
                continue
            if place < len(words) and words[place] < at:
                self.use(place, bisect_left(words, at, place))
            steps = self.steps_of(node, kind, number, loops)
            if number + 1 < len(starts) and starts[number + 1] < stop:
                self.steps.append(partial(self.walk, stop, end, number, loops))
                self.steps += reversed(steps)
                return
            for step in steps:  # there are no others inside: none of them pushes any
                step()
            number += 1
            place = bisect_left(words, stop, place)
        if place < len(words) and words[place] < end:
            self.use(place, bisect_left(words, end, place))

    def steps_of(self, node: "Node", kind: str, number: int, loops: int) -> list[Step]:
        """The steps that a BINDING node amounts to."""
        match kind:
            case "assignment" | "augmented_assignment":
                return self.define_pairwise(node, number, loops)
            case "for_in_clause":
                last = significant_children(node)[-1]
                return self.define_whole(node.child_by_field_name("left"), last, COMPUTED_FROM, number, loops)
            case "default_parameter":
                name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
                return self.define_whole(name, value, COMES_FROM, number, loops)
            case "if_statement":
                return self.follow_branches(node, number, loops)
            case "for_statement":
                steps = self.define_pairwise(node, number, loops + 1)
                if body := node.child_by_field_name("body"):  # and an `else` after it
                    steps.append(partial(self.walk, body.start_byte, node.end_byte, number, loops + 1))
                return steps * loop_passes(loops)
            case "while_statement":
                return [self.visit(node, number, loops + 1)] * loop_passes(loops)
        # A comprehension: its clauses come before the value that uses their names.
        below = sorted(node.named_children, key=lambda child: child.type != "for_in_clause")
        return [self.visit(child, number, loops) for child in below]

    def define_whole(
        self, target: "Node | None", source: "Node | None", relation: str, number: int, loops: int
    ) -> list[Step]:
        """Follow the source, then define the target by it. Nothing if one is missing, as in broken texts."""
        if target is None or source is None:
            return []
        places = self.source.word_range
        to, by = places(target.start_byte, target.end_byte), places(source.start_byte, source.end_byte)
        return [self.visit(source, number, loops), partial(self.bind, *to, *by, relation)]

    def define_pairwise(self, node: "Node", number: int, loops: int) -> list[Step]:
        """Define the left side by the right, child by child where they have equally many children."""
        target, source = node.child_by_field_name("left"), node.child_by_field_name("right")
        if target is None or source is None:
            return []  # `x: int` defines nothing
        targets, sources = (
            assignment_elements(target),
            assignment_elements(source) if target.child_count else [],
        )
        if len(targets) != len(sources) or not targets:
            return self.define_whole(target, source, COMPUTED_FROM, number, loops)
        steps = [
            self.define_whole(t, s, COMPUTED_FROM, number, loops)
            for t, s in zip(targets, sources, strict=True)
        ]
        return [follow for follow, _ in steps] + [bind for _, bind in steps]

    def follow_branches(self, node: "Node", number: int, loops: int) -> list[Step]:
        """First condition and body, then each clause from the states before, then all ends together."""
        exits = list[States]()
        first, clauses = list[Step](), list[Step]()
        otherwise = False
        for child in node.named_children:
            if child.type in ("elif_clause", "else_clause"):
                otherwise |= child.type == "else_clause"
                clauses += [partial(self.end_branch, exits), self.visit(child, number, loops)]
            else:
                first.append(self.visit(child, number, loops))
        if not otherwise:
            exits.append({})  # no branch may be taken
        self.branch_changes.append({})
        return [*first, *clauses, partial(self.join_branches, exits)]

    def end_branch(self, exits: list[States]) -> None:
        """A branch is over: keep what it defined, and take it back for the next one."""
        before = self.branch_changes[-1]
        exits.append({word: self.states[word] for word in before})
        for word, places in before.items():
            if places is None:
                del self.states[word]
            else:
                self.states[word] = places
        before.clear()

    def join_branches(self, exits: list[States]) -> None:
        """What may hold after any of the branches; a word that one of them leaves alone keeps what it had."""
        self.end_branch(exits)
        self.branch_changes.pop()
        found: dict[Word, list[tuple[int, ...]]] = {}
        for changed in exits:
            for word, places in changed.items():
                found.setdefault(word, []).append(places)
        for word, of_some in found.items():
            kept = self.states.get(word) if len(of_some) < len(exits) else None
            self.define(word, tuple(dict.fromkeys(chain(*of_some, kept or ()))))

    def define(self, word: Word, places: tuple[int, ...]) -> None:
        if self.branch_changes:
            before = self.branch_changes[-1]
            if word not in before:
                before[word] = self.states.get(word)
        self.states[word] = places

    def use(self, first: int, after: int) -> None:
        """Trace words to where they were defined; an unknown name is defined by being there."""
        words, names, states, sources = self.source.words, self.source.names, self.states, self.sources
        for place in range(first, after):
            word = words[place]
            known = states.get(word)
            if known is None:
                by: tuple[Word, ...] = ()
                if names[place]:
                    self.define(word, (place,))
            else:
                by = (word,)
                self.traced.update(known)
            if place in sources:
                self.add(place, COMES_FROM, by)
            else:
                sources[place] = by

    def bind(self, first: int, after: int, by_first: int, by_after: int, relation: str) -> None:
        """Define the target's words by the source's."""
        words = self.source.words
        by = tuple(words[by_first:by_after])
        if first < after:
            self.traced.update(range(by_first, by_after))
        for place in range(first, after):
            for sources in [by] if relation == COMPUTED_FROM else [(word,) for word in by]:
                self.add(place, relation, sources)
            self.define(words[place], (place,))

    def add(self, place: int, relation: str, sources: tuple[Word, ...]) -> None:
        known = self.sources.get(place)
        if known is None:
            self.sources[place] = sources
            if relation == COMPUTED_FROM:
                self.computed.add(place)
        else:
            self.revisited.add(place)
            if sources != known:
                self.sources[place] = tuple(dict.fromkeys(known + sources))


def assignment_elements(node: "Node") -> list["Node"]:
    return [child for child in significant_children(node) if child.type != ","]


def loop_passes(loops: int) -> int:
    return 2 if loops < MAX_REPEATED_DEPTH else 1


def data_flow(source: ParsedSource) -> Counter[Triple]:
    """The triples (variable, relation, sources) of a text, with variables numbered in order of appearance.

    Only words that have a source or are one count. A renamed variable leaves the triples as they are.
    """
    if not source.binds and len(set(source.words)) == len(source.words):
        return Counter()  # nothing binds, nothing is named again
    flow = DataFlowWalk(source)
    flow.run()
    words, computed, revisited, traced = source.words, flow.computed, flow.revisited, flow.traced
    number = defaultdict[Word, int](count().__next__).__getitem__
    triples: list[Triple] = []
    for place, sources in sorted(flow.sources.items()):
        if sources or place in traced:
            if place in revisited:
                sources = tuple(dict.fromkeys(sources))
            by = tuple(map(number, sources))
            triples.append((number(words[place]), COMPUTED_FROM if place in computed else COMES_FROM, by))
    return Counter(triples)
