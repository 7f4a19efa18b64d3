"""The threat model has a test for each claim, and the code creates a client of Port's API in one place only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import port_hook_cli
from tests.documentation import ROOT

pytestmark = pytest.mark.once

PACKAGE = Path(port_hook_cli.__file__).parent
PAGES = tuple(ROOT / "docs" / "contributing" / name for name in ("threat-model.md", "threat-model-network.md"))
NAMED = re.compile(r"`test_\w+`")
MOST_SENTENCES = 4
# The beginnings of the bullets that no test can prove: advice, what port-hook does not protect against, and facts about
# Port, Kafka, browsers and other programs.
WITHOUT_TESTS = [
    "Before you open a tunnel in someone else's directory, read the secret's source",
    "A store is as trustworthy as its directory.",
    "Port does not sign headers",
    "The size of a compressed message is known only after librdkafka",
    "If you use a public URL, a third party carries your requests",
    "The ngrok agent has [its own web page]",
    "The exceptions are commands that print only such text",
    "A service worker is the exception.",
    "If another user has the port while no inspector runs",
    "port-hook does not recognize a signature that a response repeats in another encoding",
    "What a coding agent reads is sent to the provider of its model.",
    "Other users can see the arguments of your commands",
    "The embedded Kafka broker has no password",
]
# The paragraphs outside of bullets, which define words and lead to the bullets.
PARAGRAPHS = [
    "This page has the claims about what reaches port-hook over a connection.",
    "port-hook protects your Port organization's client secret",
    "A party that isn't trusted with memory, time or your terminal",
    "The current directory may be someone else's",
    "Anyone who knows your public URL can send requests.",
    "A coding agent reads text from untrusted senders",
    "Modes and owners have [no effect on Windows]",
    "**Next:**",
]


def callers_of(name: str) -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if name in source else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield path.relative_to(PACKAGE).as_posix()


def test_port_api_client_is_created_only_where_its_url_is_checked() -> None:
    assert list(callers_of("PortApi")) == ["port_api/access.py"]
    assert list(callers_of("PortConnection")) == ["port_api/client.py"]


def page_lines() -> list[str]:
    return [line for page in PAGES for line in page.read_text("utf-8").splitlines() if line]


def test_bullet_of_the_threat_model_ends_with_its_tests_or_is_a_known_exception() -> None:
    bullets = [line.removeprefix("- ") for line in page_lines() if line.startswith("- ")]
    unproven = [each for each in bullets if not re.search(rf"[.:] {NAMED.pattern}(, {NAMED.pattern})*$", each)]
    assert len(bullets) > 100
    assert [each for each in unproven if not each.startswith(tuple(WITHOUT_TESTS))] == []
    assert [each for each in WITHOUT_TESTS if not any(bullet.startswith(each) for bullet in unproven)] == []
    assert [each for each in unproven if NAMED.search(each)] == []  # text after the tests would look proven


def test_bullet_of_the_threat_model_is_short_enough_for_its_tests_to_be_checked() -> None:
    bullets = [NAMED.sub("", line) for line in page_lines() if line.startswith("- ")]
    assert [each for each in bullets if len(re.findall(r"[.!?](?= |,|$)", each)) > MOST_SENTENCES] == []


def test_threat_model_makes_claims_only_in_its_bullets_and_table() -> None:
    paragraphs = [line for line in page_lines() if not line.startswith(("- ", "#", "|"))]
    assert [line for line in paragraphs if not line.startswith(tuple(PARAGRAPHS))] == []
    assert len(paragraphs) == len(PARAGRAPHS) + 1  # each page ends with **Next:**


def test_row_of_the_table_of_the_threat_model_links_to_a_section_with_tests() -> None:
    first, network = (sections(page) for page in PAGES)
    rows = [line for line in page_lines() if line.startswith("| ")][1:]
    assert len(rows) == 10
    for row in rows:
        ((other, target),) = re.findall(r"\((threat-model-network\.md)?#([\w-]+)\) \|$", row)
        assert NAMED.search((network if other else first)[target]), row


def sections(page: Path) -> dict[str, str]:
    """Return the sections of a page by the anchors of their headings."""
    parts = re.findall(r"(?ms)^## (.+?)$(.*?)(?=^## |\Z)", page.read_text("utf-8"))
    return {slug(title): content for title, content in parts}


def slug(title: str) -> str:
    """Return the anchor that MkDocs gives a heading."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())
