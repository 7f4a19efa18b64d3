from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.database.conditions import joined, text_condition
from port_hook_cli.captures.index.query import CaptureQuery, index_conditions, match_expression, payload_conditions
from port_hook_cli.invocations.models import Status


def test_query_values_are_parameters_and_never_part_of_the_sql() -> None:
    assert list(index_conditions(CaptureQuery(text="text"))) == []
    assert joined([]).sql == "1"
    hostile = "') OR 1=1 --"
    query = CaptureQuery(
        text=hostile,
        action=hostile,
        run_id=hostile,
        id_prefix=hostile,
        verdicts=(Status.VALID,),
        response="5xx",
        handler="failed",
        user=hostile,
        entity=hostile,
        workflow=hostile,
        node=hostile,
        slower_ms=1.0,
        since_s=1.0,
        until_s=2.0,
    )
    of_payload = [each for is_filled in (True, False) for each in payload_conditions(query, is_filled=is_filled)]
    assert len(of_payload) == 8
    for condition in (*index_conditions(query), *of_payload, text_condition(hostile)):
        assert hostile not in condition.sql
        assert condition.sql.count("?") == len(condition.values)


@given(st.text(min_size=3, max_size=8), st.text(max_size=4), st.text(max_size=4))
def test_expression_matches_every_text_containing_the_search_text(wanted: str, before: str, after: str) -> None:
    expression = match_expression(wanted)
    if expression is None or "\0" in before + wanted + after:
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='trigram', detail='none')")
        connection.execute("INSERT INTO texts (rowid, text) VALUES (1, ?)", [before + wanted + after])
        assert connection.execute("SELECT rowid FROM texts WHERE texts MATCH ?", [expression]).fetchall() == [(1,)]


def test_short_text_has_no_expression() -> None:
    assert match_expression("ab") is None
    assert match_expression("a\0b") is None
