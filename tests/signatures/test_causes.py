from __future__ import annotations

import re
from pathlib import Path

import pytest

from port_hook_cli.invocations.models import Cause, Headers, Status
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.causes import CAUSES
from port_hook_cli.signatures.forms import byte_forms, serializations, unwrap

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "signatures.md").read_text("utf-8")
EVERY_CAUSE = [cause for cause in vars(causes).values() if isinstance(cause, Cause)]


def first_column(heading: str) -> set[str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {slug for row in rows for slug in re.findall("`([a-z0-9-]+)`", row.split("|")[1])}


def test_signatures_page_lists_exactly_the_existing_causes() -> None:
    assert first_column("Causes") == set(CAUSES)


def test_signatures_page_lists_exactly_the_existing_statuses() -> None:
    assert first_column("Statuses") == {str(status) for status in Status}


def test_signatures_page_lists_every_reading() -> None:
    found = {
        rendering.reading for text in ('{"n": 1.0, "s": "ë"}', "[1]") for rendering in serializations(text, Budget())
    }
    found |= {
        form.reading for body in (b"\n", b"\xef\xbb\xbf") for form in byte_forms(unwrap(body, Headers(), Budget()))
    }
    assert {step for reading in found for step in reading.split("+")} <= first_column("Readings")


@pytest.mark.parametrize("cause", EVERY_CAUSE, ids=lambda cause: cause.slug)
def test_every_cause_has_an_explanation_and_a_fix_in_full_sentences(cause: Cause) -> None:
    assert cause.slug in CAUSES
    assert cause.explanation.endswith(".")
    assert cause.fix.endswith(".")
