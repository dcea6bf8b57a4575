"""Prints what the crash matrix found at the end of the run."""

from typing import Any

from tests.ledger import crash_table


def pytest_terminal_summary(terminalreporter: Any) -> None:
    found = [
        each
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == crash_table.PROPERTY
        for each in value
    ]
    if found:
        terminalreporter.section("crash matrix")
        for line in crash_table.table(found):
            terminalreporter.line(line)
