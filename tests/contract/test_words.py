"""README, help, errors and hints use one word for one thing, and none of the constructions that read as translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.product_sources import PACKAGE, sources

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
# Generated from other texts, which are checked themselves.
_GENERATED = {PACKAGE / "cli" / "completion" / "words.py"}
_LEAST_SPACES = 2  # a string with fewer words is a name or a part of a line


class Rule(NamedTuple):
    """Words to avoid, and what to write."""

    pattern: str
    instead: str


WORDS = (
    Rule(r"(?<!webhook )(?<!keyring )\bbackends?\b", "handler; webhook backend is Port's term"),
    Rule(r"(?<!SSH )\bdestinations?\b", "target"),
    Rule(r"\bexchanges?\b|\bsaved requests?\b", "capture or delivery"),
    Rule(r"\breadings?: |\bthe readings?\b", "signed form"),
    Rule(r"\bexact bytes\b|\bbytes (that|as) (it |they )?arrived\b|\bas it arrived\b", "raw body"),
    Rule(r"\bnot valid\b(?! JSON)|\b(is|are) wrong\b", "invalid"),
    Rule(r"(?<!connection )(?<!connection was )\brefus(e|es|ed|ing|al)\b(?! (the )?connection)", "reject"),
    Rule(r"\bruns? of (a|the|each) (workflow )?node\b", "node run"),
    Rule(r"waits? for a report|may still be waiting|ends? with a report", "stays IN_PROGRESS until …"),
    Rule(r"\bheader fields?\b", "header"),
    Rule(r"(\b(client|run|capture|node|action|user|organization|installation)|'s) (?-i:ids?)\b", "ID"),
    Rule(r"\b(working|current) folder\b|\bfolder here\b|\bin this folder\b", "current directory"),
    Rule(r"\bnewest\b", "latest"),
    Rule(r"(?<!-)(?<!`)(?<!--respond )\bdrop(s|ped|ping)?\b", "delete, or close without a response"),
    Rule(r"\bstand-ins?\b|\bmade-up\b|Port's side\b", "sandbox or sample"),
    Rule(r"\bstrangers?\b|\bforeign\b", "untrusted sender or someone else's directory"),
    Rule(r"\bfreshly\b", "newly signed"),
)
"""The glossary's words: one for each thing."""

CONSTRUCTIONS = (
    Rule(
        r"\b(([Tt]he ones?|[Tt]hose) (that|of|with|without|in|from)|(is|are|than|to|from|like|and|or|Default:) that of"
        r"|[Oo]ne (that|with|without|whose))\b",
        "the noun again",
    ),
    Rule(
        r"\b(take|open|send|use|overwrite|commit|save|read|make|print|add|write|change|claim|reveal|create|download|run"
        r"|forward|publish|import|keep|name|ask|offer|accept|follow|report)s? (no|nothing|none)\b",
        "a negated verb: doesn't send …",
    ),
    Rule(
        r"\b[Gg]ives? (it|them|one|either|another|a|an|the|only|--)\b|\b(message|note|line|payload|hint|table|error"
        r"|environment|it) names\b|(?<!user )(?<!file )\b[Nn]ame (it|one|the|a|an|another|only)\b|\bsays so\b",
        "use, pass, show, specify",
    ),
    Rule(
        r"\bas (it|they|Port('s API)?|JSON\.stringify) (is|are|was|were|arrived|shows|writes|does|do|takes|made|has)\b",
        "the name of the thing",
    ),
    Rule(
        r"\b(that|which) (is|are|was|were) ((not|already|still|never) )?(\w+ed|sent|kept|made|given|read|set|shown"
        r"|found|run|lost|missing|running)\b",
        "an adjective",
    ),
    Rule(
        r"\b(kept|keeps?)\b(?! (running|trying|working|its|their|the same|asking|reading|alive|using))",
        "save, or retain for limits",
    ),
    Rule(r"(^|[.|(] ?)Of (a|an|the|each)\b|\bof the type\b|\bof (Kafka|Port|smee)\b(?!['.])", "a noun before it"),
)
"""Constructions that a native speaker would not write."""

ALLOWED = (
    "json_extract(simulated",
    "DROP TABLE name_blocks",
    "AS kept",
    "a after an and as at be because",
    "accept accept-charset accept-encoding",
    "--older-than 7d or --keep 1000",
    "Missing option --older-than or --keep",
    "--keep-in file",
)
"""Beginnings or parts of strings where one of the words is right: SQL, lists of words and headers, names of options."""


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page outside its code, without the targets of its links."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, re.sub(r"`[^`]*`", "`x`", re.sub(r"\]\([^)]*\)", "]", line))


def _help() -> Iterator[str]:
    """Yield what each command does, from the page with all help: these texts are docstrings of functions."""
    for section in (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8").split("\n## ")[1:]:
        yield " ".join(re.split(r"\n(?:Options|Arguments|[A-Z][^\n]*):\n", section)[0].split())


def texts() -> Iterator[tuple[str, str]]:
    """Yield where each checked text is, and the text."""
    for number, line in _prose((ROOT / "README.md").read_text("utf-8")):
        yield f"README.md:{number}", line
    for text in _help():
        yield "docs/reference/cli.md", text
    for source in sources():
        if source.path not in _GENERATED:
            for each in source.texts:
                is_sentence = each.value.count(" ") >= _LEAST_SPACES and not each.is_docstring
                if is_sentence and not any(allowed in each.value for allowed in ALLOWED):
                    yield f"{source.path.relative_to(PACKAGE.parent)}:{each.first}", each.value


def test_readme_help_and_errors_use_the_glossary_and_no_translated_constructions() -> None:
    rules = [(re.compile(rule.pattern, re.IGNORECASE), rule.instead) for rule in WORDS]
    rules += [(re.compile(rule.pattern), rule.instead) for rule in CONSTRUCTIONS]
    found = [
        f"{place}: {text.strip()}\n    has {match[0]!r}. Write {instead}."
        for place, text in texts()
        for pattern, instead in rules
        if (match := pattern.search(text))
    ]
    assert not found, "\n".join(["", *found])


def test_allowed_sentences_exist() -> None:
    package = "".join(source.code for source in sources())
    assert [allowed for allowed in ALLOWED if allowed not in package] == []
