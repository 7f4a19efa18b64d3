"""What requests.request(..., json=...) sends, compared with requests itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection

from port_hook_cli.prediction.wire import AgentFault, json_content, read_address, signed_content, wire_request
from tests.servers import Handler, handler

USER_AGENT = requests.utils.default_user_agent()
TEXT = st.text(max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
QUERIES = st.dictionaries(
    TEXT,
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.lists(st.none() | TEXT, max_size=3),
    max_size=3,
)
NAMES = st.sampled_from(
    ["X-Own", "accept", "User-Agent", "Content-Type", "content-length", "ACCEPT-ENCODING", "x own:"]
)
FIELDS = st.dictionaries(NAMES, st.none() | st.integers() | st.text(st.characters(max_codepoint=0x2FF), max_size=5))
URLS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["http://", "HTTPS://", "ftp://", "", "http:", "  http://"]),
    st.sampled_from(["127.0.0.1:8000", "Host", "[::1]:80", "a.b:443", "u:p%40@h", "", "*.x", "h:99999", "user@h:1"]),
    st.text(st.sampled_from("/.ab%2Fe7zé #?&=+~;:@!$ü\\"), max_size=10).map(lambda path: f"/{path}"),
    st.sampled_from(["", "?a=b", "?é=%zz&x= y", "#f"]),
)


class _Unset(requests.Session):
    """A session whose result does not depend on this machine's proxies and .netrc."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False


@given(DOCUMENTS)
def test_body_equals_the_body_of_requests_for_any_json_document(document: Any) -> None:
    try:
        prepared = requests.Request("POST", "http://h/", json=document).prepare().body
    except requests.exceptions.InvalidJSONError:
        with pytest.raises(AgentFault, match="InvalidJSONError: Out of range float values"):
            json_content(document)
        return
    assert json_content(document) == prepared


@given(DOCUMENTS)
def test_signed_form_is_compact_ascii(document: Any) -> None:
    assert signed_content(document).decode("ascii") == json.dumps(document, separators=(",", ":"))


@given(
    url=URLS, query=QUERIES, fields=FIELDS, body=st.none() | st.just({"ü": 1}), method=st.sampled_from(["post", "GET"])
)
def test_request_equals_the_request_of_requests(url: str, query: Any, fields: Any, body: Any, method: str) -> None:
    request = requests.Request(method, url, json=body, headers=fields, params=query)
    try:
        with _Unset() as session:
            prepared = session.prepare_request(request)
            session.get_adapter(str(prepared.url))
        for name, value in prepared.headers.items():  # http.client encodes them when it sends
            assert isinstance(name, str)
            assert isinstance(value, str)
            value.encode("latin-1")
    except (requests.exceptions.RequestException, UnicodeError):
        with pytest.raises(AgentFault):
            wire_request(method, url, headers=fields, query=query, body=body, user_agent=USER_AGENT)
        return
    made = wire_request(method, url, headers=fields, query=query, body=body, user_agent=USER_AGENT)
    sent = [(name, value) for name, value in made.headers if name != "Host"]
    if "user-agent" not in prepared.headers:
        sent = [field for field in sent if field[0] != "User-Agent"]
    if "accept-encoding" not in prepared.headers:
        sent = [field for field in sent if field != ("Accept-Encoding", "identity")]
    assert (made.method, sent, made.body) == (prepared.method, list(prepared.headers.items()), prepared.body or b"")
    assert made.address.target == _target(prepared)


def _target(prepared: requests.PreparedRequest) -> str:
    from urllib3.util.url import _encode_target

    # requests 2.32, which the agent has, sends one slash. Newer versions send all.
    return re.sub("^//+", "/", _encode_target(prepared.path_url))


@pytest.fixture
def receiver() -> Iterator[Handler]:
    with handler(b"HTTP/1.1 204 \r\nConnection: close\r\n\r\n") as it:
        yield it


@pytest.mark.parametrize(
    ("method", "path", "headers", "query", "body"),
    [
        ("POST", "/hook", {}, {}, {"name": "Zoë", "emoji": "😀", "none": None, "n": 1.0, "big": 12345678901234567890}),
        ("POST", "/a b/é/../%7e?x=1", {"X-Own": "ü"}, {"a": [1, None, "ß"], "b": True}, {}),
        ("GET", "", {"User-Agent": "mine", "accept": "text/plain"}, {}, [1]),
        ("DELETE", "/x", {"User-Agent": None, "Accept-Encoding": None, "host": "other"}, {"q": None}, None),
        ("PUT", "/x#f", {"content-type": "text/plain", "X-Empty": ""}, "raw=é", "text"),
    ],
)
def test_bytes_on_the_wire_equal_the_bytes_of_requests(
    receiver: Handler, method: str, path: str, headers: Any, query: Any, body: Any
) -> None:
    url = receiver.url + path
    with _Unset() as session:
        session.request(method, url, json=body, headers=headers, params=query, timeout=20)
    made = wire_request(method, url, headers=headers, query=query, body=body, user_agent=USER_AGENT)
    own_urllib3 = f"python-urllib3/{version('urllib3')}".encode()
    assert made.content.replace(b"python-urllib3/2.4.0", own_urllib3) == receiver.requests[0].content


def test_user_and_password_of_a_url_become_an_authorization_header(receiver: Handler) -> None:
    url = receiver.url.replace("://", "://me:p%40ss@") + "/x"
    with _Unset() as session:
        session.request("POST", url, json={"a": 1}, timeout=20)
    made = wire_request("POST", url, headers={}, query={}, body={"a": 1}, user_agent=USER_AGENT)
    assert made.content == receiver.requests[0].content


@pytest.mark.parametrize("query", [[["a", "b"], ["c", ["d", None]]], [], "x=é", ["ab"], [["a"]], [5], {"a": {"b": 1}}])
@pytest.mark.parametrize("url", ["http://h/?z"])
def test_query_of_another_type_is_encoded_like_by_requests(query: Any, url: str) -> None:
    try:
        prepared = requests.Request("GET", url, params=query).prepare()
    except (TypeError, ValueError) as error:
        kind = type(error).__name__
        with pytest.raises(AgentFault, match=f"^{kind}: "):
            wire_request("GET", url, headers={}, query=query, body=None)
        return
    made = wire_request("GET", url, headers={}, query=query, body=None)
    assert made.address.target == _target(prepared)


@pytest.mark.parametrize("fields", [{"X": " 1"}, {"X": "a\nb"}, {"X": 5}, {"X": ["a"]}])
def test_error_about_a_header_is_the_text_of_requests(fields: Any) -> None:
    with pytest.raises(requests.exceptions.InvalidHeader) as real:
        requests.Request("GET", "http://h/", headers=fields).prepare()
    with pytest.raises(AgentFault) as fault:
        wire_request("GET", "http://h/", headers=fields, query={}, body=None)
    assert str(fault.value) == f"InvalidHeader: {real.value}"


@pytest.mark.parametrize("method", ["P\xdcT", "GET\n"])
def test_method_is_rejected_like_in_urllib3_when_it_is_not_a_token(method: str) -> None:
    with _Unset() as session, pytest.raises(ValueError, match="Method cannot contain non-token characters") as real:
        session.request(method, "http://127.0.0.1:9/", json={})
    with pytest.raises(AgentFault) as fault:
        wire_request(method, "http://127.0.0.1:9/", headers={}, query={}, body={})
    assert str(fault.value) == f"ValueError: {real.value}"


def test_host_is_sent_without_its_trailing_dot() -> None:
    made = wire_request("GET", "http://example.com.:81/", headers={}, query={}, body=None)
    assert made.headers[0] == ("Host", f"{HTTPConnection('example.com.').host}:81")


@pytest.mark.parametrize("method", [None])
def test_method_is_rejected_when_it_is_not_text(method: Any) -> None:
    with pytest.raises(AgentFault, match="has no attribute 'upper'"):
        wire_request(method, "http://h", headers={}, query={}, body={})


def test_target_equals_the_target_of_the_agents_version_of_requests() -> None:
    """Seen with requests 2.32.4 and urllib3 2.4.0, which are older than the versions of the other tests."""
    rows: list[tuple[Any, Any, Any]] = [
        ("http://h:8000//a", {}, "/a"),
        ("http://h:8000////a//b", {"k": "v"}, "/a//b?k=v"),
        ("http://h:8000\\a", {"k": "v"}, "/%5Ca?k=v"),
        ("http://h:0008000/a?b=c", 5, "/a?b=c&5"),
        ("http://h:8000/a?b=c", True, "/a?b=c&True"),
    ]
    for url, query, target in rows:
        address = read_address(url, query)

        assert (address.authority, address.target) == ("h:8000", target)


@pytest.mark.parametrize(("fields", "fault"), [({"X": "a\n"}, "value"), ({"X\n": "a"}, "name")])
def test_line_feed_at_the_end_of_a_header_is_rejected(fields: dict[str, str], fault: str) -> None:
    with pytest.raises(AgentFault, match=f"Invalid header {fault}"):
        wire_request("POST", "http://h/", headers=fields, query={}, body={})


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_invalid_host_is_rejected(host: str) -> None:
    with pytest.raises(AgentFault, match="label empty or too long"):
        read_address(f"http://{host}/", {})


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [("GET", "/a?b=c", {"Transfer-Encoding": "chunked"}), ("POST", "\\a", {}), ("POST", "/a", {"X": "a\t"})],
)
def test_unusual_request_equals_the_request_of_requests(
    method: str, url: str, headers: dict[str, str], receiver: Handler
) -> None:
    url = receiver.url + url
    with _Unset() as session:
        session.request(method, url, headers=headers, timeout=30)
    made = wire_request(method, url, headers=headers, query={}, body=None, user_agent=USER_AGENT)
    assert made.content == receiver.requests[0].content
