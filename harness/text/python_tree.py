"""Python text -> its words and the shapes of its subtrees: what CodeBLEU's last two parts look at.

tree-sitter reads any text, wrong Python too. One pass over its tree, without recursion, so that depth is no
limit. Comments, line continuations and docstrings are left out of *what is read from the tree*; the text is
never edited, so no string literal is lost by mistake and no line is indented differently.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import compress, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

IGNORED = frozenset({"comment", "line_continuation"})
# Nodes that bind names or branch. The data flow has a way for each of them; most else it reads in order.
BINDING = frozenset(
    {
        "assignment",
        "augmented_assignment",
        "for_in_clause",
        "default_parameter",
        "if_statement",
        "for_statement",
        "while_statement",
    }
)
# What `parse_source` does with a kind of node: nothing special; it is a word, and has no children; and so on.
PLAIN, WORD, STRING, BINDS, STATEMENT, SKIPPED = range(6)
ROLES = {
    **dict.fromkeys(("identifier", "integer", "float", "true", "false", "none"), WORD),
    **dict.fromkeys(BINDING, BINDS),
    **dict.fromkeys(IGNORED, SKIPPED),
    "string": STRING,
    "expression_statement": STATEMENT,
}
ERROR = 65535  # tree-sitter's number for it

# A node's kind, then each named child's field and what its shape is known by: its number, or its kind where
# it has no named children.
Shape = tuple[object, ...]
Word = bytes | None


@dataclass(slots=True, eq=False)
class ParsedSource:
    """What one pass finds in a text.

    A *word* is what may carry a value: an identifier or a literal, a whole string being one word. `starts`
    are the words' offsets in bytes, `names` tells the identifiers. `binds` are the BINDING nodes with their
    kinds, in the text's order, outer before inner. `shapes` are the numbers of the shapes of all subtrees that are more
    than a token, as far as they have a number.
    """

    root: "Node"
    words: list[Word] = field(default_factory=list)
    names: list[bool] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    binds: "list[tuple[Node, str]]" = field(default_factory=list)
    bind_starts: list[int] = field(default_factory=list)
    shapes: list[int] = field(default_factory=list)

    def word_range(self, start: int, end: int) -> tuple[int, int]:
        """The first place of the words between two offsets in bytes, and the first after them."""
        first = bisect_left(self.starts, start)
        return first, bisect_left(self.starts, end, first)


@cache
def parser() -> "Parser":
    import tree_sitter_python
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_python.language()))


@cache
def node_kinds() -> dict[int, tuple[str, int]]:
    """The kinds of nodes but punctuation and keywords, by tree-sitter's numbers: names and roles."""
    language = parser().language
    assert language is not None
    found = {ERROR: ("ERROR", PLAIN)}
    for number in range(language.node_kind_count):
        if language.node_kind_is_named(number) and (name := language.node_kind_for_id(number)):
            found[number] = (name, ROLES.get(name, PLAIN))
    return found


def parse_source(text: str, shape_id: Callable[[Shape], int | None]) -> ParsedSource:
    """Parse a text as Python and read its tree. Never fails; what is no Python becomes ERROR nodes.

    A shape is a node's kind and its named children's fields and shapes: what tree-sitter prints as
    s-expression. `shape_id` gives each its number, or None to leave it out with every shape that holds it.
    """
    source = text.encode("utf-8", "surrogatepass")
    tree = parser().parse(source)
    root = tree.root_node
    broken = root.has_error
    parsed = ParsedSource(root)
    if root.child_count == 0:
        number = shape_id((root.type,))
        parsed.shapes.extend([] if number is None else [number])
        return parsed
    _read_tree(parsed, tree, source, shape_id)
    if broken:
        drop_prose(parsed, source)
    return parsed


def _read_tree(
    parsed: ParsedSource, tree: "Tree", source: bytes, shape_id: Callable[[Shape], int | None]
) -> None:
    """Put the tree's words and shapes into `parsed`, in one pass over its nodes."""
    broken = tree.root_node.has_error
    words, names, starts, shapes = parsed.words, parsed.names, parsed.starts, parsed.shapes
    kind_of = node_kinds().get
    cursor = tree.walk()
    down, right, up = cursor.goto_first_child, cursor.goto_next_sibling, cursor.goto_parent
    above: list[list[object]] = []  # the ancestors' shapes so far
    shape: list[object] = []  # the parent's
    string = -1  # how deep the string literal lies that we are inside of
    # This loop is most of what CodeBLEU costs: what happens to every node is written out.
    while True:
        node: Node = cursor.node  # type: ignore[assignment]  # None only before the first node
        known = kind_of(node.kind_id)
        if known is None:  # punctuation and keywords: neither word nor shape, unless missing
            if broken and node.is_missing:
                shape += (None, str(node))
        else:
            kind, role = known
            if role == WORD:
                if string < 0:
                    start = node.start_byte
                    word = source[start : node.end_byte]
                    if word and word != kind.encode():  # a missing token has no text
                        words.append(word)
                        names.append(kind == "identifier")
                        starts.append(start)
                shape += (cursor.field_id, str(node) if broken and node.is_missing else kind)
            elif role < STATEMENT or (role == STATEMENT and not is_docstring(node, shape, above)):
                shape.append(cursor.field_id)
                if string < 0:
                    if role == STRING:
                        string = len(above)
                        add_word(parsed, node, kind)
                    elif role == BINDS:
                        add_bind(parsed, node, kind)
                if down():
                    above.append(shape)
                    shape = [kind]
                    continue
                if string < 0:
                    add_word(parsed, node, kind)
                shape.append(token_label(node) if broken else kind)
        while not right():
            if not up():
                return
            done = shape
            shape = above.pop()
            number = shape_id(tuple(done))
            if number is not None:
                shapes.append(number)
            shape.append(number if len(done) > 1 else done[0])
            if len(above) == string:
                string = -1


def add_word(parsed: ParsedSource, node: "Node", kind: str) -> None:
    word = node.text
    if word and word != kind.encode():
        parsed.words.append(word)
        parsed.names.append(kind == "identifier")
        parsed.starts.append(node.start_byte)


def drop_prose(parsed: ParsedSource, source: bytes) -> None:
    """Leave out names with nothing but blanks between them: no Python, but words of a sentence.

    Repeated words would pass for data flow, and a sentence for a tenth of a program.
    """
    prose = set()
    for place, (start, after) in enumerate(pairwise(parsed.starts)):
        if parsed.names[place] and parsed.names[place + 1]:
            end = start + len(parsed.words[place] or b"")
            if not source[end:after].strip(b" \t"):
                prose |= {place, place + 1}
    keep = [place not in prose for place in range(len(parsed.words))]
    parsed.words[:] = compress(parsed.words, keep)
    parsed.names[:] = compress(parsed.names, keep)
    parsed.starts[:] = compress(parsed.starts, keep)


def add_bind(parsed: ParsedSource, node: "Node", kind: str) -> None:
    """Add a BINDING node, and before a comprehension's clause the node that the clause is in."""
    binds, starts = parsed.binds, parsed.bind_starts
    if kind == "for_in_clause" and (parent := node.parent):
        at = bisect_left(starts, parent.start_byte)
        while at < len(binds) and binds[at][0].end_byte > parent.end_byte:
            at += 1
        if at == len(binds) or binds[at][0] != parent:
            binds.insert(at, (parent, parent.type))
            starts.insert(at, parent.start_byte)
    binds.append((node, kind))
    starts.append(node.start_byte)


def token_label(node: "Node") -> str:
    """A token's kind in a tree with errors: a missing token is not the token, nor one bad letter another."""
    return str(node) if node.is_missing or node.is_error else node.type


def significant_children(node: "Node") -> list["Node"]:
    """A node's children without what is left out everywhere; a string has none."""
    return [] if node.type == "string" else [child for child in node.children if child.type not in IGNORED]


def is_docstring(statement: "Node", body: list[object], above: list[list[object]]) -> bool:
    """Whether a statement is the docstring of a module, class or function that has something else in it too.

    `body` is the shape so far of what the statement is in, `above` are those of the nodes around. A text or a
    body that is nothing but a string keeps it. Formatted strings and bytes are no docstrings.
    """
    if len(body) > 1 or body[0] not in ("module", "block"):
        return False
    if body[0] == "block" and above[-1][0] not in ("function_definition", "class_definition"):
        return False
    literal = statement.child(0)
    if literal is None or literal.type not in ("string", "concatenated_string") or statement.child_count > 1:
        return False
    earlier, later = statement.prev_named_sibling, statement.next_named_sibling
    while earlier is not None and earlier.type in IGNORED:
        earlier = earlier.prev_named_sibling
    while later is not None and later.type in IGNORED:
        later = later.next_named_sibling
    parts = literal.children if literal.type == "concatenated_string" else [literal]
    prefixes = b"".join((part.text or b"").partition(b"'")[0].partition(b'"')[0] for part in parts)
    return earlier is None and later is not None and not set(prefixes.lower()) & set(b"fb")
