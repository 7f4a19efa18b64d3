from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import KAFKA_VALUE, Cause, Status, Verdict
from port_hook_cli.invocations.view import status_color
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.causes import CAUSES
from port_hook_cli.signatures.forms import byte_forms, serializations, unwrap
from port_hook_cli.signatures.signing import RAW
from port_hook_cli.signatures.view import STATUS_MEANINGS, format_age, verdict_lines, verdict_view
from port_hook_cli.text.safe import printable

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "signatures.md").read_text("utf-8")
EVERY_CAUSE = [cause for cause in vars(causes).values() if isinstance(cause, Cause)]


def first_column(heading: str) -> set[str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {slug for row in rows for slug in re.findall("`([a-z0-9-]+)`", row.split("|")[1])}


def test_signatures_page_lists_exactly_the_existing_causes_and_statuses() -> None:
    listed = re.findall(r"(?m)^### (.+)$", PAGE.split("\n## Causes\n")[1])
    assert sorted(listed) == sorted(CAUSES), "list the cause in docs/reference/signatures.md"
    assert first_column("Verdicts") == {str(status) for status in Status}


def test_signatures_page_lists_exactly_the_existing_signed_forms() -> None:
    """The documents differ in every form: unsorted keys, a double, escapes, non-ASCII letters, empty containers."""
    texts = ('{"s": "ë/\\u003c", "n": 1.0, "big": 1e21, "inner": {"z": [], "a": {}}}', "[1]")
    bodies = (b"\n", b"\xef\xbb\xbf", gzip.compress(b"{}"), zlib.compress(b"{}"), b'"\xeb"', '"ë"'.encode("utf-16"))
    headers = Headers((("content-encoding", "deflate"),))
    found = {form.name for text in texts for form in serializations(text, Budget())}
    found |= {form.name for body in bodies for form in byte_forms(unwrap(body, headers, Budget()))}
    steps = {RAW, KAFKA_VALUE, *(step for signed_form in found for step in signed_form.split("+"))}
    assert steps == first_column("Signed forms"), (
        "list the signed forms of signatures/forms.py in docs/reference/signatures.md"
    )


def test_every_cause_has_an_explanation_and_a_fix_in_full_sentences() -> None:
    assert {cause.slug for cause in EVERY_CAUSE} <= set(CAUSES)
    assert [cause for cause in EVERY_CAUSE if not (cause.explanation.endswith(".") and cause.fix.endswith("."))] == []


STALE = Verdict(
    status=Status.STALE,
    signed_form="raw",
    causes=(Cause("clock-skew", "the clock is 400 s behind", "set the clock"), Cause("bare", "no fix", "")),
    age_s=400.4,
)


def test_verdict_lines_have_status_signed_form_age_and_each_cause_with_its_fix() -> None:
    assert verdict_lines(STALE) == [
        "stale: the signature matches, but its timestamp is outside the tolerance",
        "signed form: raw",
        "age: 6 min 40 s",
        "clock-skew: the clock is 400 s behind",
        "  fix: set the clock",
        "bare: no fix",
    ]

    assert [line.plain for line in verdict_view(STALE)] == verdict_lines(STALE)


def test_verdict_lines_omit_unknown_values_and_exact_bytes_of_a_message() -> None:
    assert verdict_lines(Verdict(status=Status.MISSING)) == ["missing: the signature or the timestamp is missing"]

    assert verdict_lines(Verdict(status=Status.VALID, signed_form="kafka")) == [
        "valid: the signature matches this message, without its two signature headers",
        "signed form: kafka",
    ]


def test_control_characters_of_a_cause_are_escaped() -> None:
    lines = verdict_lines(Verdict(status=Status.INVALID, causes=(Cause("a\x1b[2J", "b\nc", "\x9b"),)))
    assert all(printable(line) == line for line in lines)


def test_only_a_valid_status_is_green() -> None:
    assert {status: status_color(status) == "green" for status in Status} == {
        status: status is Status.VALID for status in Status
    }
    assert all(STATUS_MEANINGS[status] for status in Status)


def test_age_in_the_future_is_marked() -> None:
    assert [format_age(age_s) for age_s in (-0.5, -90, 90, 7800)] == [
        "0.5 s in the future", "90 s in the future", "90 s", "2 h 10 min",
    ]  # fmt: skip
