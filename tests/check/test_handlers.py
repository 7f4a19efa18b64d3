"""The corpus covers each check, and no two of its cases are the same."""

from __future__ import annotations

from collections import Counter

from tests.check.corpus import CORRECT, DEFECTS, DOCUMENTED, EXPRESS, FASTAPI, FLASK, HANDLERS, NODE, SOURCES, STD


def test_corpus_has_forty_defects_in_five_programs() -> None:
    assert len({case.defect for case in DEFECTS}) >= 40
    assert (
        {case.program for case in DEFECTS} == {case.program for case in CORRECT} == {STD, FASTAPI, FLASK, NODE, EXPRESS}
    )


def test_corpus_has_each_case_once_and_existing_files() -> None:
    cases = (*CORRECT, *DOCUMENTED, *DEFECTS)
    assert [name for name, count in Counter(case.name for case in cases).items() if count > 1] == []
    files = {HANDLERS / case.program for case in cases} | {SOURCES / case.source.partition("#")[0] for case in cases}
    assert [file for file in files if not file.is_file()] == []


def test_corpus_expects_a_finding_of_each_defect_alone() -> None:
    assert [case.name for case in CORRECT if case.expected] == []
    assert [case.name for case in DEFECTS if not case.expected] == []
