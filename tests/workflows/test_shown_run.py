"""A workflow run in Port's formats: from its documentation and from its clients."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.workflows.shown_run import ShownNodeRun, read_shown_run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["run", "workflowRun", "identifier", "nodeRuns", "node", "output", "links", "workflow"]),
            inner,
        )
    ),
)


def test_run_is_read_under_each_field_name() -> None:
    rows: list[Any] = [
        {"workflowRun": {"identifier": "wfr_1", "workflow": {"identifier": "w"}}},
        {"run": {"identifier": "wfr_1", "workflowVersion": {"workflow": {"identifier": "w"}}}},
        {"identifier": "wfr_1", "workflow": {"identifier": "w"}},
    ]
    for document in rows:
        run = read_shown_run(document)
        assert run is not None
        assert (run.id, run.workflow, run.status, run.has_ended) == ("wfr_1", "w", "IN_PROGRESS", False)


def test_node_run_is_read_in_both_formats() -> None:
    new = {"identifier": "wfnr_1", "node": {"identifier": "a", "config": {"type": "AI"}}, "status": "COMPLETED"}
    old = {"identifier": "wfnr_2", "nodeTitle": "B", "nodeConfigType": "WEBHOOK", "output": {"x": 1}, "links": ["l", 1]}
    run = read_shown_run({"identifier": "wfr_1", "nodeRuns": [new, None, old]})
    assert run is not None
    assert run.node_runs == (
        ShownNodeRun(id="wfnr_1", node="a", type="AI", status="COMPLETED"),
        ShownNodeRun(id="wfnr_2", node="B", type="WEBHOOK", output={"x": 1}, links=("l",)),
    )
    assert run.current == run.node_runs[1]
    assert run.outputs == {"a": {}}


def test_run_has_ended_when_it_is_completed_or_has_a_result() -> None:
    rows: list[tuple[Any, Any]] = [
        ({"status": "CANCELLING"}, False),
        ({"status": "COMPLETED"}, True),
        ({"status": "X", "result": "CANCELLED"}, True),
    ]
    for fields, ended in rows:
        run = read_shown_run({"identifier": "wfr_1", **fields})
        assert run is not None
        assert run.has_ended is ended


@given(JSON)
def test_any_document_is_read_without_an_error(document: Any) -> None:
    run = read_shown_run(document)
    assert run is None or run.id
