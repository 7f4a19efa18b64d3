from __future__ import annotations

import pytest

from port_hook_cli.check.junit import is_junit


@pytest.mark.parametrize(
    "beginning",
    [
        b"<testsuites",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a --><!--b-->\n<testsuite name='x'>",
        b"<!---->" * 500 + b"<testsuites>",
    ],
)
def test_reports_are_recognized_by_their_beginning(beginning: bytes) -> None:
    assert is_junit(beginning)


# Without possessive quantifiers, the time of the last case doubles with each comment.
@pytest.mark.parametrize(
    "beginning", [b"", b"<html>", b"<!-- <testsuites", b"<testsuitesx", b"<!---->" * 585 + b"<html>"]
)
def test_other_files_are_not_reports(beginning: bytes) -> None:
    assert not is_junit(beginning)
