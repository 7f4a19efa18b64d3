"""The sandbox reads a request from its target and headers, over HTTP and from its own runs."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.sandbox.messages import read_request

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(TEXT, max_size=5), st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_written_segments_and_queries_are_read_back(segments: list[str], fields: list[tuple[str, str]]) -> None:
    path = "/".join(("", *(quote(segment, safe="") for segment in segments)))
    request = read_request("GET", f"{path}?{urlencode(fields)}", {}, b"")
    assert request.segments == tuple(segments)
    written: dict[str, list[str]] = {}
    for name, value in fields:
        written.setdefault(name, []).append(value)
    assert request.query == {name: ",".join(values) for name, values in written.items()}


@given(st.text(max_size=40), st.dictionaries(st.sampled_from(["authorization", "user-agent"]), st.text(max_size=600)))
def test_any_request_is_read(target: str, fields: dict[str, str]) -> None:
    request = read_request("GET", target, fields, b"")
    assert len(request.user_agent) <= 500
