"""Falsified tests: one expectation is another, the text stays a program, and what states nothing is left alone."""

import ast
import random

import pytest

from harness.sandbox.languages import falsify, worker
from harness.sandbox.python import in_process
from tests.support import polyglot_programs

CHANCE = random.Random(0)


@pytest.mark.parametrize("language", polyglot_programs.TESTS)
def test_one_expectation_of_the_tests_is_falsified_and_then_all(language: str) -> None:
    tests = polyglot_programs.TESTS[language]
    one, other, _, every = falsify.versions(language, tests, 2, CHANCE)
    assert len({tests, one, other, every}) == 4
    assert len(one.splitlines()) == len(tests.splitlines())
    changed = [a for a, b in zip(tests.splitlines(), one.splitlines(), strict=True) if a != b]
    assert len(changed) == 1


@pytest.mark.parametrize(
    ("language", "text", "negated"),
    [
        ("cpp", "assert (same(f(1), {2, 3}));", "assert (!(same(f(1), {2, 3})));"),
        ("cpp", 'assert (f("a)==1") == "b");', 'assert (!(f("a)==1") == "b"));'),
        ("cpp", "if (f(1) != 2) throw 1;", "if (!(f(1) != 2)) throw 1;"),
        ("cpp", "if (x) y();", ""),
        (
            "java",
            "List<Boolean> c = Arrays.asList(f(1) == 2);",
            "List<Boolean> c = Arrays.asList(!(f(1) == 2));",
        ),
        (
            "java",
            "if (a > b) {\n    throw new AssertionError();",
            "if (!(a > b)) {\n    throw new AssertionError();",
        ),
        ("java", "g(Arrays.asList(1, 2));", ""),
        ("javascript", "console.assert(f(1) === 2, 'm')", "console.assert(!(f(1) === 2), 'm')"),
        ("go", 'assert.Equal("x", F(")"))', 'assert.NotEqual("x", F(")"))'),
        ("go", "assert.True(F())", "assert.False(F())"),
        ("rust", "assert!(f(&'a') == b);", "assert!(!(f(&'a') == b));"),
        (
            "rust",
            "let s: &'static str = x; assert_ne!(f(s), 1);",
            "let s: &'static str = x; assert_eq!(f(s), 1);",
        ),
        ("bash", "assert (x)", ""),
        ("bash", '    [[ $(f "a ]]") = "1 2" ]]\n', '    [[ $(f "a ]]") != "1 2" ]]\n'),
        ("java", "    assert(f((1l), x) == (2l));", "    assert(!(f((1l), x) == (2l)));"),
        ("csharp", "Debug.Assert(F((1L)) == (2L));", "Debug.Assert(!(F((1L)) == (2L)));"),
        ("typescript", "assert.deepEqual(f([1, 2]),3);", "assert.notDeepEqual(f([1, 2]),3);"),
        ("php", "if (f(1) !== 2) { throw new E(); }", "if (!(f(1) !== 2)) { throw new E(); }"),
        ("perl", 'if(eq_deeply($f->("a"),[1])) {', 'if(!eq_deeply($f->("a"),[1])) {'),
        ("lua", "lu.assertEquals(f('a'), 'b')", "lu.assertNotEquals(f('a'), 'b')"),
        ("d", "assert(candidate([1L]) == [2L]);", "assert(!(candidate([1L]) == [2L]));"),
        (
            "r",
            "stopifnot(isTRUE(all.equal(f(c(1, 2)), c('a'))))",
            "stopifnot(!(isTRUE(all.equal(f(c(1, 2)), c('a')))))",
        ),
        (
            "racket",
            '(check-within (f (list ")" 1) #\\() (list "a") 0.001)',
            '(harness-unmet (lambda () (check-within (f (list ")" 1) #\\() (list "a") 0.001)))',
        ),
        ("scala", "assert(f((1l)).equals((List[Long]())));", "assert(!(f((1l)).equals((List[Long]()))));"),
        ("ruby", 'assert_equal([1], f.call("a"))', 'assert_not_equal([1], f.call("a"))'),
        (
            "go",
            "{ actual: f(1), expected: []int{1, 2} },",
            '{ actual: f(1), expected: fmt.Sprintf("%v;",  []int{1, 2} )},',
        ),
    ],
)
def test_an_expectation_is_negated(language: str, text: str, negated: str) -> None:
    versions = falsify.versions(language, text, 1, CHANCE)
    assert versions[-1:] == ([negated] if negated else [])


def test_literals_become_others_of_their_kind() -> None:
    for text in ("-7", "0", "10", "2.50", '"two words"', "true"):
        (one, *_) = falsify.versions("cpp", f"assert (f(1)=={text});", 1, CHANCE)
        other = one.removeprefix("assert (f(1)==").removesuffix(");")
        assert other != text
        assert len(other) == len(text) or text == "true"


@pytest.mark.parametrize(
    ("tests", "sure"),
    [
        ("assert f(1) == 2\nassert f(2) == [1, (2, 'x')]", 2),
        ("def check(c):\n    assert c(1) == 2\n    for i in x:\n        assert c(i)\ncheck(f)", 1),
        ("def check(c):\n    if c(1):\n        return\n    assert c(1) == 2\ncheck(f)", 0),
        ("def never(c):\n    assert c(1) == 2\nfor x in y:\n    assert x", 0),
    ],
)
def test_only_what_is_reached_for_sure_is_falsified_alone(tests: str, sure: int) -> None:
    assert len(list(in_process._sure_assertions(ast.parse(tests)))) == sure
    one = in_process.falsify_one(tests, CHANCE)
    assert (one is None) == (sure == 0)
    assert one is None or ast.unparse(ast.parse(tests)) != one


def test_true_and_falsified_tests_come_by_turns() -> None:
    kinds = [true for _, true in in_process.controls("assert f(1) == 2", 5)]
    assert kinds == [False, True, False, True, False, True, False, True, False]
    assert list(in_process.controls("f(1)", 5)) == []


class Builds(worker.ProgramRunner):
    """A program that passes nothing again, however slow; which words its builds have."""

    words: list[str]

    def _build(self, job: object, files: object, nonce: str = "") -> worker._Build:
        self.words.append(nonce)
        return worker._Build(nonce)

    def _passes(self, job: object, built: object) -> tuple[bool, float, float]:
        return False, 30.0, 0.0


def test_a_slow_program_too_has_falsified_tests_and_all_its_builds_have_one_word() -> None:
    runner = Builds(None, -1)  # type: ignore[arg-type]
    runner.words = []
    falsified = ["one", "other", "others", "all"]
    job = {"files": {}, "source": "main.go", "falsified": falsified, "compile": [["go"]]}
    runner._doubt(job, worker._Build("word"), 30.0)
    assert runner.words == ["word", "word"], "the first falsified one, and all negated"
