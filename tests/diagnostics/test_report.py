"""The report as text and as JSON, and its exit code."""

from __future__ import annotations

import json

import pytest

from vinci_code.core.redaction import MASK, register_secret
from vinci_code.diagnostics.report import CheckResult, Finding, Report, Status

OK = Finding(Status.OK, "fine")
FAILED = Finding(Status.FAILED, cause="It broke.\n  1. here", next_step="mend it")
WRONG = Finding(Status.FAILED, cause="It is wrong.", next_step="set it", is_configuration=True)
WARNED = Finding(Status.WARNING, "old", cause="It is old.", next_step="renew it")
SKIPPED = Finding(Status.SKIPPED, "needs the check 'TLS', which failed")


def report(*findings: Finding) -> Report:
    results = [
        CheckResult(f"check_{number}", f"Check {number}", 12.3, finding)
        for number, finding in enumerate(findings)
    ]
    return Report("sqlite", tuple(results))


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([OK, SKIPPED], 0),
        ([OK, WARNED], 0),
        ([OK, FAILED], 1),
        ([WRONG], 78),
        ([FAILED, WRONG], 78),
    ],
)
def test_exit_code(findings: list[Finding], code: int) -> None:
    assert report(*findings).exit_code == code
    assert report(*findings).ok is (code == 0)


def test_text() -> None:
    assert report(OK, WARNED, FAILED, SKIPPED).as_text() == (
        "ok        Check 0 (12 ms): fine\n"
        "warning   Check 1 (12 ms): old\n"
        "          cause: It is old.\n"
        "          next:  renew it\n"
        "FAILED    Check 2 (12 ms)\n"
        "          cause: It broke.\n"
        "                   1. here\n"
        "          next:  mend it\n"
        "skipped   Check 3: needs the check 'TLS', which failed\n"
        "\n"
        "Failed: Check 2."
    )


def test_summary() -> None:
    assert report(OK).summary() == "All checks passed."
    assert report(OK, WARNED).summary() == "All checks passed, with a warning: Check 1."


def test_json_is_one_object_on_one_line() -> None:
    text = report(OK, FAILED).as_json()
    assert "\n" not in text
    document = json.loads(text)
    assert document["ok"] is False
    assert document["exit_code"] == 1
    assert document["backend"] == "sqlite"
    assert document["checks"][1] == {
        "name": "check_1",
        "title": "Check 1",
        "status": "failed",
        "milliseconds": 12.3,
        "detail": "",
        "cause": "It broke.\n  1. here",
        "next_step": "mend it",
    }


def test_no_secret_in_text_or_json() -> None:
    secret = "correct-horse-battery-staple"
    register_secret(secret)
    leaky = Finding(Status.FAILED, f"a {secret}", f"b {secret}", f"c {secret}")
    for text in (report(leaky).as_text(), report(leaky).as_json()):
        assert secret not in text
        assert text.count(MASK) == 3


def test_results_are_found_by_name() -> None:
    assert report(OK).result("check_0").finding is OK
    with pytest.raises(KeyError):
        report(OK).result("no such check")
