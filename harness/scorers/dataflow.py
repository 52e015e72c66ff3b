"""Which values come from where in a Python text: CodeBLEU's data flow, as a multiset of triples.

Rules and quirks are those of CodeXGLUE's script (Guo et al., 2021, GraphCodeBERT; Ren et al., 2020,
CodeBLEU), because they are the metric's definition: a name's first occurrence defines it; a word is traced to
the last places that defined it, across branches; loops run twice, so that what the body defines reaches its
start; `a.b[0] = c` defines a, b and 0; the two sides of an assignment are paired child by child where their
numbers of children agree.

Repaired, because they are faults and no definition: a loop with an `else` keeps its body; a string is never
taken apart (there that loses the data flow of the whole text); letters outside ASCII do not shift the words;
the order of several sources is that of the text (there: of a hash table seeded anew in each process); depth
is no limit.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.scorers.pytree import Reading, Word, children

if TYPE_CHECKING:
    from tree_sitter import Node

COMES, COMPUTED = "comes from", "computed from"
REPEATED = 6  # loops nested deeper than this are followed once, or the work would double with each level

Places = frozenset[int]
States = dict[Word, Places]  # where each word was last defined
Triple = tuple[int, str, tuple[int, ...]]  # variable, relation, its sources; variables numbered by appearance


@dataclass
class Origin:
    """Where the word at one place comes from; `seen` counts how often the walk came by."""

    relation: str
    sources: list[Word]
    seen: int = 1


@dataclass
class Fork:
    """The states before an if statement and after each of its branches that was walked."""

    entry: States
    exits: list[States] = field(default_factory=list)


@dataclass(frozen=True)
class Visit:
    node: "Node"
    loops: int  # how many loops it is inside of


@dataclass(frozen=True)
class Bind:
    """Define the words of a node by the words of another; a default value counts as a copy, the rest as
    computed."""

    target: "Node"
    source: "Node"
    relation: str


@dataclass(frozen=True)
class Branch:
    """Walk an elif or else clause from the states before the if statement."""

    fork: Fork
    node: "Node"
    loops: int


@dataclass(frozen=True)
class Join:
    fork: Fork


Step = Visit | Bind | Branch | Join


@dataclass
class Flow:
    """The walk over one tree: a stack of steps instead of recursion."""

    reading: Reading
    states: States = field(default_factory=dict)
    origins: dict[int, Origin] = field(default_factory=dict)
    linked: set[int] = field(default_factory=set)  # the places that have a source in the text or are one

    def run(self) -> None:
        steps: list[Step] = [Visit(self.reading.root, 0)]
        while steps:
            match steps.pop():
                case Visit(node, loops):
                    if self.reading.may_bind(node):
                        steps += reversed(self.plan(node, loops))
                    else:
                        self.use(self.reading.span(node))
                case Bind(target, source, relation):
                    self.bind(self.reading.span(target), self.reading.span(source), relation)
                case Branch(fork, node, loops):
                    fork.exits.append(self.states)
                    self.states = dict(fork.entry)
                    steps.append(Visit(node, loops))
                case Join(fork):
                    self.states = merged([*fork.exits, self.states])

    def plan(self, node: "Node", loops: int) -> Sequence[Step]:
        """The steps that a node which binds or branches, or holds such a node, amounts to."""
        match node.type:
            case "assignment" | "augmented_assignment":
                # Without a right side (`x: int`) nothing is defined.
                return paired(node.child_by_field_name("left"), node.child_by_field_name("right"), loops)
            case "for_in_clause":
                return whole(node.child_by_field_name("left"), children(node)[-1], COMPUTED, loops)
            case "default_parameter":
                name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
                return whole(name, value, COMES, loops)
            case "if_statement":
                return self.fork(node, loops)
            case "for_statement":
                header = paired(node.child_by_field_name("left"), node.child_by_field_name("right"), loops)
                inner = [child for child in children(node) if child.type in ("block", "else_clause")]
                return [*header, *(Visit(child, loops + 1) for child in inner)] * passes(loops)
            case "while_statement":
                return [Visit(child, loops + 1) for child in children(node)] * passes(loops)
        below = children(node)
        if not below:
            self.use(self.reading.span(node))
        # A comprehension's clauses come before the value that uses their names.
        below.sort(key=lambda child: child.type != "for_in_clause")
        return [Visit(child, loops) for child in below]

    def fork(self, node: "Node", loops: int) -> list[Step]:
        """First the condition and the body, then each clause from the states before, then all ends together."""
        fork = Fork(entry=dict(self.states))
        steps: list[Step] = []
        clauses: list[Step] = []
        otherwise = False
        for child in children(node):
            if child.type in ("elif_clause", "else_clause"):
                clauses.append(Branch(fork, child, loops))
                otherwise |= child.type == "else_clause"
            else:
                steps.append(Visit(child, loops))
        if not otherwise:
            fork.exits.append(fork.entry)  # no branch may be taken
        return [*steps, *clauses, Join(fork)]

    def use(self, span: range) -> None:
        """Trace words to where they were defined; an unknown name is defined by being there."""
        words, names, states = self.reading.words, self.reading.names, self.states
        for place in span:
            word = words[place]
            places = states.get(word)
            if places is not None:
                self.linked |= places
                self.linked.add(place)
                self.add(place, COMES, [word])
            else:
                if names[place]:
                    states[word] = frozenset((place,))
                self.add(place, COMES, [])

    def bind(self, target: range, source: range, relation: str) -> None:
        """Define the target's words by the source's."""
        words = self.reading.words[source.start : source.stop]
        if words and target:
            self.linked.update(source)
            self.linked.update(target)
        for place in target:
            for sources in [words] if relation == COMPUTED else [[word] for word in words]:
                self.add(place, relation, sources)
            self.states[self.reading.words[place]] = frozenset((place,))

    def add(self, place: int, relation: str, sources: list[Word]) -> None:
        origin = self.origins.get(place)
        if origin is None:
            self.origins[place] = Origin(relation, sources)
        else:
            origin.sources = list(dict.fromkeys(origin.sources + sources))
            origin.seen += 1


def passes(loops: int) -> int:
    return 2 if loops < REPEATED else 1


def whole(target: "Node | None", source: "Node | None", relation: str, loops: int) -> list[Step]:
    """Visit the source, then define the target by it. Nothing where either is missing, as in broken texts."""
    if target is None or source is None:
        return []
    return [Visit(source, loops), Bind(target, source, relation)]


def paired(target: "Node | None", source: "Node | None", loops: int) -> list[Step]:
    """Bind child by child where both sides have equally many, else as a whole."""
    if target is None or source is None:
        return []
    targets = [child for child in children(target) if child.type != ","]
    sources = [child for child in children(source) if child.type != ","]
    if len(targets) != len(sources) or not targets:
        return whole(target, source, COMPUTED, loops)
    pairs = zip(targets, sources, strict=True)
    return [*(Visit(s, loops) for s in sources), *(Bind(t, s, COMPUTED) for t, s in pairs)]


def merged(states: list[States]) -> States:
    """What may hold after any of several branches."""
    out = dict(states[0])
    for other in states[1:]:
        for word, places in other.items():
            known = out.get(word)
            out[word] = places if known is None else known | places
    return out


def data_flow(reading: Reading) -> Counter[Triple]:
    """The triples (variable, relation, sources) of a text, with variables numbered in order of appearance.

    Only words that have a source or are one count. A renamed variable leaves the triples as they are.
    """
    flow = Flow(reading)
    flow.run()
    numbers: dict[Word, int] = {}
    triples: Counter[Triple] = Counter()
    for place in sorted(flow.linked & flow.origins.keys()):
        origin = flow.origins[place]
        sources = tuple([numbers.setdefault(word, len(numbers)) for word in origin.sources])
        variable = numbers.setdefault(reading.words[place], len(numbers))
        triples[variable, origin.relation, sources] += 1
    return triples
