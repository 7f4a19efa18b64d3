"""The JUnit report of a check, which CI systems show as tests.

This module is pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from port_hook_cli.check.catalog import CheckGroup
from port_hook_cli.check.findings import CheckFinding, CheckReport, CheckStatus

_JUNIT = re.compile(
    # The quantifiers are possessive, because otherwise a file of comments would take exponential time.
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*+>\s*+)?(?:<!--(?:(?!-->).)*+-->\s*+)*+<testsuites?\b",
    re.DOTALL,
)
# XML 1.0 cannot express other characters.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_junit(beginning: bytes) -> bool:
    """Return whether a file with this beginning is a JUnit report, from port-hook or another program."""
    return _JUNIT.match(beginning) is not None


def junit_report(report: CheckReport, url: str, *, strict: bool = False) -> bytes:
    """Return the JUnit report, with a suite for each group and a test for each check.

    A check without a result is a skipped test, or a failure if the handler does not pass because of it. With `strict`,
    a warning is a failure. Otherwise, warnings and information are the output of passed tests.
    """
    root = ET.Element("testsuites", {"name": _text(f"port-hook check {url}"), "time": f"{report.duration_s:.3f}"})
    _count(root, report.findings, strict=strict)
    for group in CheckGroup:
        if findings := report.of(group):
            suite = ET.SubElement(root, "testsuite", {"name": str(group)})
            _count(suite, findings, strict=strict)
            for finding in findings:
                _add_test(suite, finding, strict=strict)
    ET.indent(root)
    written: bytes = ET.tostring(root, "utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + written + b"\n"


def _count(element: ET.Element, findings: Sequence[CheckFinding], *, strict: bool) -> None:
    failed = [finding for finding in findings if finding.fails(strict=strict)]
    skipped = [each for each in findings if each.status is CheckStatus.NOT_OBSERVED and each not in failed]
    counts = {"tests": len(findings), "failures": len(failed), "errors": 0, "skipped": len(skipped)}
    element.attrib |= {name: str(count) for name, count in counts.items()}


def _add_test(suite: ET.Element, finding: CheckFinding, *, strict: bool) -> None:
    name = {"classname": f"port-hook.{finding.check.group}", "name": finding.check.slug}
    test = ET.SubElement(suite, "testcase", name)
    if finding.fails(strict=strict):
        message = _text(f"{finding.problem}: {finding.seen}")
        ET.SubElement(test, "failure", {"type": str(finding.status), "message": message}).text = _details(finding)
    elif finding.status is CheckStatus.NOT_OBSERVED:
        ET.SubElement(test, "skipped", {"message": _text(finding.seen)})
    elif finding.failure:
        ET.SubElement(test, "system-out").text = _details(finding)


def _details(finding: CheckFinding) -> str:
    lines = [f"{finding.problem}: {finding.seen}", f"why: {finding.check.why}"]
    lines += [f"fix: {finding.fix}"] if finding.fix else []
    lines += [f"port-hook show {capture}" for capture in finding.captures]
    return _text("\n".join(lines))


def _text(text: str) -> str:
    """Return text with a replacement for each character that XML cannot contain."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
