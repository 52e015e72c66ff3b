"""A second reading of CodeBLEU's definition, slow and plain, to hold the first against; and pairs for both.

Nothing here is shared with harness/scorers: recursion in place of a stack, strings in place of numbers,
fractions in place of floats, Python's own `ast` to find docstrings.
"""

import ast
import math
import random
import re
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import tree_sitter_python
from tree_sitter import Language, Parser

PARSER = Parser(Language(tree_sitter_python.language()))
KEYWORDS = """
False None True and as assert async await break class continue def del elif else except finally for from
global if import in is lambda nonlocal not or pass raise return try while with yield match case type
"""

BLOCKS = '''
with open(path) as f:
    data = f.read()
print(data)
---
def add(a, b=1, *rest, c=None):
    return a + b + sum(rest)
---
def area(r):
    """The area of a circle.

    r is its radius.
    """
    # pi is near enough
    pi = 3.14
    return pi * r ** 2  # squared
---
def fib(n):
    a, b = 0, 1
    while a < n:
        print(a)
        a, b = b, a + b
    return a
---
def first(xs, want):
    for i, x in enumerate(xs):
        if x == want:
            found = i
            break
    else:
        found = -1
    return found
---
def sign(x):
    if x > 0:
        s = 1
    elif x < 0:
        s = -1
    else:
        s = 0
    return s
---
class Point:
    """A place."""
    def __init__(self, x, y):
        self.x = x
        self.y = y
        self.name = 'point'
    def norm(self):
        return (self.x ** 2 + self.y ** 2) ** 0.5
---
def merge(a, b):
    out = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            out.append(a[i])
            i += 1
        else:
            out.append(b[j])
            j += 1
    out.extend(a[i:])
    return out + b[j:]
---
def table(rows):
    best = {}
    for key, value in rows:
        for part in value.split(','):
            if key in best and best[key] > len(part):
                continue
            best[key] = len(part)
    return best
---
try:
    value = int(text)
except ValueError as error:
    value = 0
    log(f'{error} in {text!r}')
result = value if value is not None else default
'''

SNIPPETS = [
    "x.sort(reverse=True)",
    "print('hello')",
    "' '.join(w for w in words if w not in stop)",
    "df.groupby('a')['b'].mean().reset_index()",
    "a, b = f(x), y",
    "sorted(d.items(), key=lambda kv: (-kv[1], kv[0]))[:10]",
    "total = sum(i * i for i in range(n) if i % 2 == 0)",
    "matrix = [[0 for _ in range(n)] for _ in range(m)]",
    "lookup = {name: index for index, name in enumerate(names)}",
    "re.sub(r'[^a-z]+', '-', 'Grüße aus Köln')",
    *BLOCKS.strip("\n").split("\n---\n"),
]


# ---------------------------------------------------------------- pairs


def perturbed(code: str, rng: random.Random) -> str:
    """The code as a model might have it: renamed, cut off, with lines or words lost, or another problem's."""
    documented = '"""' in code or "'''" in code
    match rng.randrange(3 if documented else 7):
        case 0:
            return code
        case 1:
            names = sorted(set(re.findall(r"\b[a-z_]+\b", code)) - set(KEYWORDS.split()))
            return re.sub(rf"\b{rng.choice(names)}\b", "renamed", code) if names else code
        case 2:
            return rng.choice(SNIPPETS)
        case 3:
            lines = code.split("\n")
            del lines[rng.randrange(len(lines))]
            return "\n".join(lines)
        case 4:
            return code[: rng.randrange(len(code) // 2, len(code))]
        case 5:
            words = re.split(r"(\W+)", code)
            at = rng.randrange(0, len(words), 2)
            return "".join([*words[:at], rng.choice(["1", "x", "y + z"]), *words[at + 1 :]])
    return code.replace("for ", "for  ").replace("+", "-").replace("==", "!=")


def pairs(n: int, seed: int) -> list[tuple[str, str]]:
    """n pairs (reference, answer)."""
    rng = random.Random(seed)
    return [(code, perturbed(code, rng)) for code in (rng.choice(SNIPPETS) for _ in range(n))]


# ---------------------------------------------------------------- n-grams


def bleu(reference: str, answer: str) -> float:
    want, got = reference.split(), answer.split()
    shares = []
    for n in (1, 2, 3, 4):
        w, g = grams(want, n), grams(got, n)
        hits = sum(min(g[gram], w[gram]) for gram in g)
        shares.append(Fraction(hits, max(1, sum(g.values()))) or Fraction(1, 10 * max(1, sum(g.values()))))
        if n == 1 and not hits:
            return 0.0
    return mean_and_penalty(shares, len(got), len(want))


def weighted(reference: str, answer: str) -> float:
    want, got = reference.split(), answer.split()
    shares = []
    for n in (1, 2, 3, 4):
        w, g = grams(want, n), grams(got, n)
        worth = {
            gram: Fraction(1, 5) if n == 1 and gram[0] not in KEYWORDS.split() else Fraction(1) for gram in w
        }
        hits = sum(worth[gram] * min(g[gram], w[gram]) for gram in w)
        total = max(Fraction(1), sum((worth[gram] * w[gram] for gram in w), Fraction(0)))
        if n == 1 and not hits:
            return 0.0
        shares.append(hits / total if hits else Fraction(1, 10) / total)
    return mean_and_penalty(shares, len(got), len(want))


def grams(tokens: list[str], n: int) -> Counter:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def mean_and_penalty(shares: list[Fraction], length: int, wanted: int) -> float:
    product = math.prod(map(float, shares)) ** 0.25
    return product if length >= wanted else product * math.exp(1 - wanted / length)


# ---------------------------------------------------------------- the tree


class Reading:
    """A parsed text and the two things that are left out of it: docstrings and words of prose."""

    def __init__(self, text: str) -> None:
        self.source = text.encode()
        self.root = PARSER.parse(self.source).root_node
        self.docstrings = docstrings(text)
        self.prose: set[int] = set()
        if self.root.has_error:
            leaves = self.words(self.root)
            for (a, left, named), (b, _, also) in pairwise(leaves):
                if named and also and not self.source[a + len(left) : b].strip(b" \t"):
                    self.prose |= {a, b}

    def below(self, node):
        """The node's children that count, each with its field."""
        return [
            (node.field_name_for_child(i), child)
            for i, child in enumerate(node.children)
            if child.type not in ("comment", "line_continuation")
            and not (child.type == "expression_statement" and child.start_point[0] in self.docstrings)
        ]

    def shape(self, node) -> str:
        if node.is_missing or (node.is_error and not node.children):
            return str(node)
        inner = [
            (f"{name}: " if name else "") + self.shape(child)
            for name, child in self.below(node)
            if child.is_named or child.is_missing
        ]
        return f"({' '.join([node.type, *inner])})"

    def shapes(self, node) -> list[str]:
        return [self.shape(node)] + [s for _, c in self.below(node) if c.children for s in self.shapes(c)]

    def words(self, node) -> list[tuple[int, bytes, bool]]:
        """(offset, text, whether it is a name) of every word of a node."""
        if node.type == "string" or not node.children:
            here = (
                node.is_named
                and node.text
                and node.text != node.type.encode()
                and node.type
                not in (
                    "comment",
                    "line_continuation",
                )
            )
            keep = here and node.start_byte not in self.prose
            return [(node.start_byte, node.text, node.type == "identifier")] if keep else []
        return [word for _, child in self.below(node) for word in self.words(child)]


def docstrings(text: str) -> set[int]:
    """The lines on which a docstring starts that is not alone in its body; found by Python's own parser."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set()
    bodies = [n.body for n in ast.walk(tree) if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef)]
    return {
        body[0].lineno - 1
        for body in bodies
        if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    }  # fmt: skip


def syntax(reference: str, answer: str) -> float:
    want, got = Reading(reference), Reading(answer)
    wanted, there = want.shapes(want.root), set(got.shapes(got.root))
    return sum(shape in there for shape in wanted) / len(wanted)


# ---------------------------------------------------------------- data flow


def flow(reading: Reading, node, known: dict) -> tuple[list, dict]:
    """Events (offset, text, relation, source texts, source offsets) of a node, and what is known after it."""
    if node.type == "string" or not node.children:
        events, after = [], dict(known)
        for at, text, is_name in reading.words(node):
            if text in after:
                events.append((at, text, "uses", [text], sorted(after[text])))
            else:
                events.append((at, text, "uses", [], []))
                if is_name:
                    after[text] = {at}
        return events, after
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    children = [child for _, child in reading.below(node)]
    match node.type:
        case "assignment" | "augmented_assignment":
            return assign(reading, left, right, known) if left and right else ([], dict(known))
        case "for_in_clause":
            events, after = flow(reading, children[-1], known)
            return define(reading, left, children[-1], events, after) if left else ([], dict(known))
        case "default_parameter":
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            events, after = flow(reading, value, known)
            for at, text, _ in reading.words(name):
                events += [(at, text, "uses", [t], [a]) for a, t, _ in reading.words(value)]
                after[text] = {at}
            return events, after
        case "if_statement":
            return branch(reading, children, known)
        case "for_statement" | "while_statement":
            events, after = [], dict(known)
            for _ in range(2):
                if node.type == "for_statement":
                    if left and right:
                        more, after = assign(reading, left, right, after)
                        events += more
                    inner = [c for c in children if c.type in ("block", "else_clause")]
                else:
                    inner = children
                more, after = in_turn(reading, inner, after)
                events += more
            return events, after
    clauses = [child for child in children if child.type == "for_in_clause"]
    return in_turn(reading, clauses + [child for child in children if child not in clauses], known)


def in_turn(reading, nodes, known):
    events, after = [], dict(known)
    for node in nodes:
        more, after = flow(reading, node, after)
        events += more
    return events, after


def branch(reading, children, known):
    clauses = [child for child in children if child.type in ("elif_clause", "else_clause")]
    events, after = in_turn(reading, [child for child in children if child not in clauses], known)
    ends = [after]
    for clause in clauses:
        more, end = flow(reading, clause, known)
        events += more
        ends.append(end)
    if not any(clause.type == "else_clause" for clause in clauses):
        ends.append(known)
    return events, {text: set().union(*(end.get(text, ()) for end in ends)) for end in ends for text in end}


def assign(reading, left, right, known):
    lefts = [c for _, c in reading.below(left) if c.type != ","] if left.type != "string" else []
    rights = [c for _, c in reading.below(right) if c.type != ","] if right.type != "string" else []
    if len(lefts) != len(rights) or not lefts:
        lefts, rights = [left], [right]
    events, after = in_turn(reading, rights, known)
    for one, other in zip(lefts, rights, strict=True):
        events, after = define(reading, one, other, events, after)
    return events, after


def define(reading, left, right, events, after):
    sources = reading.words(right)
    for at, text, _ in reading.words(left):
        events = [*events, (at, text, "made of", [t for _, t, _ in sources], [a for a, _, _ in sources])]
        after = {**after, text: {at}}
    return events, after


def triples(text: str) -> Counter:
    reading = Reading(text)
    events, _ = flow(reading, reading.root, {})
    linked = {at for at, _, _, _, places in events if places} | {p for *_, places in events for p in places}
    numbers: dict[bytes, int] = {}
    found = []
    for place in sorted({at for at, *_ in events} & linked):
        here = [event for event in events if event[0] == place]
        sources = [source for event in here for source in event[3]]
        if len(here) > 1:
            sources = sorted(set(sources), key=sources.index)
        for name in [*sources, here[0][1]]:
            numbers.setdefault(name, len(numbers))
        found.append((numbers[here[0][1]], here[0][2], tuple(numbers[source] for source in sources)))
    return Counter(found)


def dataflow(reference: str, answer: str) -> float:
    want, got = triples(reference), list(triples(answer).elements())
    hits = 0
    for triple in want.elements():
        if triple in got:
            got.remove(triple)
            hits += 1
    return hits / want.total() if want else 0.0
