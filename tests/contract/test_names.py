"""A name means one thing in the whole package, and is spelled in one way."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

import port_hook_cli

pytestmark = pytest.mark.once

PACKAGE = Path(port_hook_cli.__file__).parent
TESTS = Path(__file__).parents[1]
CLASS = re.compile(r"(?m)^ *class ([A-Za-z]\w*)\s*[:(\[]")
# The causes `reserialized-...` are published names, which scripts compare.
BRITISH = re.compile(
    r"(?:organi[s]|synchroni[s]|seriali[s](?!ed-)|normali[s]|recogni[s]|summari[s]e|behavio[u]r|colo[u]r|labell[e]d(?!by))\w*"
)


def test_no_public_class_name_occurs_twice() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in CLASS.findall(path.read_text("utf-8")):
            places[name].append(path.relative_to(PACKAGE).as_posix())
    assert "Invocation" in places
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("folder", [PACKAGE, TESTS], ids=lambda folder: folder.name)
def test_source_uses_american_spelling(folder: Path) -> None:
    british = {
        f"{path.relative_to(folder).as_posix()}: {word}"
        for path in folder.rglob("*.py")
        if path.name != "test_docs.py"  # it holds a pattern of such words
        for word in BRITISH.findall(path.read_text("utf-8").lower())
    }
    assert british == set()
