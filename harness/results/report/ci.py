"""A gate's verdict for CI and pull requests: JUnit XML, GitHub annotations, Markdown."""

from collections.abc import Iterator
from xml.etree import ElementTree

from harness.results.gate import Check, GateVerdict
from harness.results.report.tables import escape_markdown, printable

MAX_WORSE = 20  # problems listed as having got worse


def junit(verdict: GateVerdict) -> str:
    """One test case per check. A regression is a failure, anything that could not be judged an error."""
    kind = "failure" if verdict.outcome == "regression" else "error"
    failed = sum(not check.passed for check in verdict.checks)
    counts = {"tests": str(len(verdict.checks)), "failures": "0", "errors": "0", f"{kind}s": str(failed)}
    if kind == "failure":
        counts["failures"] = str(failed)
    suite = ElementTree.Element("testsuite", {"name": f"harness gate {printable(verdict.task)}", **counts})
    for check in verdict.checks:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": printable(verdict.run_id), "name": printable(check.name)}
        )
        if not check.passed:
            attributes = {"type": verdict.outcome, "message": printable(check.detail)}
            ElementTree.SubElement(case, kind, attributes).text = "\n".join(verdict.worse[:MAX_WORSE])
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def annotations(verdict: GateVerdict) -> Iterator[str]:
    """GitHub workflow commands: an error per failed check, or one notice if all passed."""
    for check in verdict.checks:
        if not check.passed:
            title = f"harness gate: {verdict.task} {check.name}"
            yield f"::error title={_property(title)}::{_data(f'{verdict.outcome}: {check.detail}')}"
    if verdict.outcome == "passed":
        yield f"::notice title={_property(f'harness gate: {verdict.task}')}::{_data('; '.join(lines(verdict)))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def lines(verdict: GateVerdict) -> Iterator[str]:
    """One line per check."""
    for check in verdict.checks:
        yield f"{_mark(check)} {printable(check.name)}: {printable(check.detail)}"


def _mark(check: Check) -> str:
    return "ok  " if check.passed else "FAIL"


def markdown(verdict: GateVerdict) -> str:
    """For a pull request or a step summary."""
    out = [
        f"### harness gate, {escape_markdown(verdict.task)}: {verdict.outcome}",
        "",
        "| | check | |",
        "|---|---|---|",
        *(
            f"| {_mark(c).strip()} | {escape_markdown(c.name)} | {escape_markdown(c.detail)} |"
            for c in verdict.checks
        ),
        "",
        f"run {escape_markdown(verdict.run_id)}, baseline {escape_markdown(verdict.baseline_id)}",
    ]
    if verdict.worse:
        more = f" and {len(verdict.worse) - MAX_WORSE} more" if len(verdict.worse) > MAX_WORSE else ""
        out += ["", f"got worse: {', '.join(map(escape_markdown, verdict.worse[:MAX_WORSE]))}{more}"]
    return "\n".join(out) + "\n"
