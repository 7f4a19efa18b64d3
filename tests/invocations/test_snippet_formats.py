from __future__ import annotations

import pytest

from port_hook_cli.invocations.snippets import SNIPPET_FORMATS, SignedRequest, SnippetFormat, find_format
from port_hook_cli.text.safe import is_visible


@pytest.mark.parametrize("row", SNIPPET_FORMATS, ids=lambda row: row.name)
def test_format_writes_the_whole_request_in_visible_characters(row: SnippetFormat) -> None:
    request = SignedRequest(
        url="http://127.0.0.1:8000/hook", headers=(("x-port-signature", "v1,abc="),), body=b'{"a":"\x1b"}'
    )
    text = row.write(request)
    assert all(map(is_visible, text.splitlines()))
    for part in (request.url, "v1,abc=", request.method):
        assert part in text


def test_find_format_returns_the_row_of_each_name() -> None:
    assert [find_format(row.name) for row in SNIPPET_FORMATS] == list(SNIPPET_FORMATS)


def test_find_format_raises_for_an_unknown_name() -> None:
    with pytest.raises(KeyError):
        find_format("xml")
