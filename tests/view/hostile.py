"""What a hostile model writes: the report's own attack, and some that aim at events, JSON and attributes."""

from tests.results.report.test_page import HOSTILE as OF_THE_REPORT

HOSTILE = (
    OF_THE_REPORT
    + '" onfocus="window.hacked=1" autofocus \n\ndata: {"runs":[]}\n\njavascript:window.hacked=1'
)
