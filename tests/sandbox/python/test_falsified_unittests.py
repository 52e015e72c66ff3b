"""Which assertions of a unittest are falsified: only those that tests which pass have surely run."""

import random

import pytest

from harness.sandbox.python import in_process

CLASS = "class TestCases(unittest.TestCase):\n"


@pytest.mark.parametrize(
    ("method", "falsified"),
    [
        ("self.assertEqual(f(1), 2)", "self.assertEqual(f(1), "),
        ("self.assertEqual(f(1), expected)", "self.assertNotEqual(f(1), expected)"),
        ("self.assertTrue(f(1))", "self.assertFalse(f(1))"),
        ("self.assertIn(1, f(1))", "self.assertNotIn(1, f(1))"),
        ("self.assertGreater(f(1), 0)", "self.assertLessEqual(f(1), 0)"),
        ("with open('x') as file:\n            self.assertIsNone(f(file))", "self.assertIsNotNone(f(file))"),
    ],
)
def test_an_assertion_becomes_its_opposite_or_expects_another_literal(method: str, falsified: str) -> None:
    code = f"{CLASS}    def test_one(self):\n        {method}\n"
    text = in_process.falsify_one(code, random.Random(0))
    assert text is not None
    assert falsified in text
    assert "f(1), 2)" not in text


@pytest.mark.parametrize(
    "body",
    [
        "    def test_one(self):\n        with self.assertRaises(ValueError):\n            self.assertEqual(f(1), 2)\n",
        "    def test_one(self):\n        if False:\n            self.assertEqual(f(1), 2)\n",
        "    def test_one(self):\n        return\n        self.assertEqual(f(1), 2)\n",
        "    @unittest.skip('no')\n    def test_one(self):\n        self.assertEqual(f(1), 2)\n",
        "    def setUp(self):\n        self.skipTest('')\n    def test_one(self):\n        self.assertEqual(f(1), 2)\n",
        "    def helper(self):\n        self.assertEqual(f(1), 2)\n",
        "    def test_one(self):\n        self.assertEqual(f(1), 2)\n    def test_one(self):\n        f(1)\n",
        "    def test_one(self):\n        self.assertCountEqual(f(1), [2, 1])\n",
    ],
)
def test_what_may_not_run_is_left_alone_and_no_honest_program_is_taken_for_a_forger(body: str) -> None:
    assert list(in_process.controls(f"{CLASS}{body}", 5)) == []
