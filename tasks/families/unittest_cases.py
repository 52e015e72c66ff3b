"""Classes of unittest as tests that stand below a program, in its own module: what runs one and fails as it does."""

# No `assert`: the tests' own are the ones to falsify.
RUNNER = """

def _run_unittest(unittest, cases):
    class Outcome(unittest.TestResult):
        raised = None
        def addError(self, test, err):
            super().addError(test, err)
            self.raised = self.raised or err[1]
    outcome = Outcome()
    unittest.TestLoader().loadTestsFromTestCase(cases).run(outcome)
    if outcome.failures:
        test, text = outcome.failures[0]
        raise AssertionError(f"{test.id().rpartition('.')[2]}: {text.strip().rpartition('AssertionError: ')[2]}")
    if outcome.errors:
        raise outcome.raised or RuntimeError(outcome.errors[0][1].strip().rpartition(chr(10))[2])
"""


def run_class(name: str) -> str:
    """Runs the class, below its code and RUNNER."""
    return f'_run_unittest(__import__("unittest"), {name})\n'
