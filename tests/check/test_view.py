"""The lines and the JUnit report of a check."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from port_hook_cli.check.catalog import BY_SLUG, CHECKS, CheckSeverity
from port_hook_cli.check.findings import CheckReport, found, not_observed, passed
from port_hook_cli.check.junit import is_junit, junit_report
from port_hook_cli.check.view import begin_text, check_table, output_lines, report_lines, summary_line
from port_hook_cli.text.secret import Masker
from tests.styles import plain

OLD = found(BY_SLUG["old"], "it got 200", fix="Check the age.")._replace(captures=("3f2a9c0b1d4e", "81c07d5e2fa6"))
FUTURE = found(BY_SLUG["future"], "it got 200")
TWICE = found(BY_SLUG["same-run"], "two deliveries made 2 calls")
UNSEEN = [not_observed(BY_SLUG[slug], "no sandbox is used") for slug in ("terminal", "once")]
FAILURE = not_observed(BY_SLUG["failure-reported"], "the handler did not fail")
REPORT = CheckReport((passed(BY_SLUG["valid"], "202"), OLD, FUTURE, TWICE, *UNSEEN, FAILURE), 4.26, 80)


def parsed(report: bytes) -> ET.Element:
    return ET.fromstring(report)  # noqa: S314 - the test's own


def shown(report: CheckReport) -> list[str]:
    return [plain(line) for line in report_lines(report)]


def test_report_shows_each_finding_and_merges_equal_reasons() -> None:
    assert shown(REPORT) == [
        "  signature  ✓ 1 of 3",
        "             ✗ accepts an old timestamp: it got 200",
        "               fix: Check the age.",
        "               --only old  port-hook show 3f2a9c0b1d4e  and 81c07d5e2fa6",
        "             · accepts a timestamp in the future: it got 200",
        "  repeats    ! 0 of 1",
        "             ! does its work twice if a run is delivered twice: two deliveries made 2 calls",
        f"               fix: {BY_SLUG['same-run'].fix}",
        "               --only same-run",
        "  reports    ? terminal, once: not observed because no sandbox is used",
        "             ? failure-reported: not observed because the handler did not fail",
    ]


def test_long_list_of_checks_without_a_result_is_shortened() -> None:
    none = [not_observed(check, "nobody looked") for check in CHECKS[:8]]
    assert shown(CheckReport(tuple(none[:5]), 1.0, 1))[0].endswith("no-timestamp: not observed because nobody looked")
    expected = "no-timestamp and 3 more: not observed because nobody looked"
    assert shown(CheckReport(tuple(none), 1.0, 1))[0].endswith(expected)


def test_summary_counts_the_existing_statuses() -> None:
    counts = "1 passed, 1 failed, 1 warning, 1 informational, 3 not observed."
    assert plain(summary_line(REPORT)) == f"7 checks in 4.2 s: {counts}"
    one = CheckReport((passed(BY_SLUG["valid"], "202"),), 0.51, 1)
    assert plain(summary_line(one, is_whole=False)) == "Interrupted after 1 check in 0.5 s: 1 passed."
    none = CheckReport((TWICE, TWICE), 0.51, 1)
    assert plain(summary_line(none)) == "2 checks in 0.5 s: 0 passed, 2 warnings."


def test_finding_does_not_quote_control_characters_and_is_bounded() -> None:
    hostile = "\x1b[31m" + "x" * 100_000
    for finding in (found(BY_SLUG["old"], hostile, failure=hostile), passed(BY_SLUG["old"], hostile)):
        assert (finding.seen + finding.failure).isprintable()
        assert len(finding.seen) < 3_000


def test_text_of_the_handler_is_made_visible_and_shortened() -> None:
    odd = found(BY_SLUG["old"], f"it got \x1b[2J{'x' * 9_000}", failure="signs\x07", fix="Use\x9b.")
    lines = shown(CheckReport((odd, not_observed(BY_SLUG["future"], "\x1b[31m")), 1.0, 1))
    assert lines[1].startswith("             ✗ signs\\x07: it got \\x1b[2Jxxx")
    assert len(lines[1]) < 600
    assert lines[2] == "               fix: Use\\x9b."
    assert lines[-1] == "             ? future: not observed because \\x1b[31m"


def test_output_shows_the_last_lines_without_secrets() -> None:
    output = (
        b"first\n" + b"".join(b"line %d\n" % number for number in range(30)) + b"\x1b[31mthe-secret-of-all\x07\r\n\n"
    )
    lines = [plain(line) for line in output_lines(output, Masker(["the-secret-of-all"]))]
    assert (len(lines), lines[0], lines[-1]) == (20, "  line 11", "  ***\\x07")
    assert len(plain(output_lines(b"x" * 9_000, Masker([]))[0])) < 210
    assert output_lines(b"\n\n", Masker([])) == []


def test_table_of_checks_is_aligned_and_fits_a_terminal() -> None:
    lines = [plain(line) for line in check_table(frozenset({"valid", "same-run-at-once"}), None)]
    twice = "the handler does its work twice if a run is delivered twice at the same time"
    assert lines == [
        "signature  valid             failure  the handler rejects a valid request",
        f"repeats    same-run-at-once  warning  {twice}",
    ]
    narrow = [plain(line) for line in check_table(frozenset({"same-run-at-once"}), 70)]
    assert (len(narrow), max(map(len, narrow)) <= 70) == (3, True)
    assert list(check_table(frozenset(), 80)) == []


def test_announcement_of_the_requests_is_a_sentence() -> None:
    assert (
        begin_text("http://h/\x1b", 12)
        == "Sending about 12 valid requests to http://h/\\x1b. Each may start real work."
    )


# --- JUnit


def test_junit_report_counts_each_group() -> None:
    root = parsed(junit_report(REPORT, "http://h/"))
    counts = [(each.get("name"), each.get("tests"), each.get("failures"), each.get("skipped")) for each in root]
    assert counts == [("signature", "3", "1", "0"), ("repeats", "1", "0", "0"), ("reports", "3", "0", "3")]
    assert (root.get("tests"), root.get("failures"), root.get("skipped"), root.get("time")) == ("7", "1", "3", "4.260")
    parts = {each.get("name"): [part.tag for part in each] for each in root.iter("testcase")}
    assert parts == {
        "valid": [],
        "old": ["failure"],
        "future": ["system-out"],
        "same-run": ["system-out"],
        "terminal": ["skipped"],
        "once": ["skipped"],
        "failure-reported": ["skipped"],
    }


def test_junit_failure_has_the_reason_the_fix_and_the_captures() -> None:
    failure = parsed(junit_report(REPORT, "http://h/")).find(".//failure")
    assert failure is not None
    assert failure.get("message") == "The handler accepts an old timestamp: it got 200"
    assert (failure.text or "").splitlines()[1:] == [
        f"why: {BY_SLUG['old'].why}",
        "fix: Check the age.",
        "port-hook show 3f2a9c0b1d4e",
        "port-hook show 81c07d5e2fa6",
    ]


def test_warning_fails_a_strict_junit_report() -> None:
    root = parsed(junit_report(REPORT, "http://h/", strict=True))
    assert [each.get("type") for each in root.iter("failure")] == ["failed", "warning"]
    assert root.get("failures") == "2"


def test_characters_outside_xml_are_replaced() -> None:
    odd = "a\x00\x1b[2J\ud800\uffff<&\"'\u2028]]>🚀"
    finding = found(BY_SLUG["old"], "it got 200", severity=CheckSeverity.FAILURE, fix=odd)
    root = parsed(junit_report(CheckReport((finding,), 1.0, 1), f"http://h/{odd}"))
    failure = root.find(".//failure")
    assert failure is not None
    kept = "a��[2J��<&\"'\u2028]]>🚀"
    assert root.get("name") == f"port-hook check http://h/{kept}"
    assert failure.get("message") == f"The handler accepts an old timestamp: {finding.seen}"
    assert f"fix: {kept}" in (failure.text or "")


def test_junit_reports_are_recognized_by_their_beginning() -> None:
    comments = b"<!---->" * 500
    xml = b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a --><!--b-->\n<testsuite name='x'>"
    assert all(is_junit(beginning) for beginning in (b"<testsuites", xml, comments + b"<testsuites>"))
    # Without possessive quantifiers, the time of the last case doubles with each comment.
    others = (b"", b"<html>", b"<!-- <testsuites", b"<testsuitesx", comments + b"<html>")
    assert not any(is_junit(beginning) for beginning in others)
