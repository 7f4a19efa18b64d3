from __future__ import annotations

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


def test_short_text_has_no_expression() -> None:
    assert match_expression("ab") is None
    assert match_expression("a\0b") is None
