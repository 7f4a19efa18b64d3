from __future__ import annotations

import json

from port_hook_cli.check.subject import subject_of
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.probes import is_probe
from tests.factories import RUN_ID, a_body, an_invocation

URL = "http://127.0.0.1:8000/"


def test_subject_from_the_request_of_a_check_has_each_field_once() -> None:
    first = subject_of("first", an_invocation(a_body()), URL)
    again = subject_of("again", first.fresh(RUN_ID, "valid", body=first.trying()), URL)
    for body in (again.trying(), again.large(90_000)):
        pairs = json.loads(body, object_pairs_hook=lambda items: [name for name, _ in items])
        assert len(set(pairs)) == len(pairs)
        assert len(pairs) == len(json.loads(first.request.body)) + 2


def test_request_of_a_check_is_recognized_by_its_user_agent() -> None:
    request = an_invocation(a_body(), headers=Headers((("user-agent", "port/1"),)))
    assert not is_probe(request.headers)
    assert is_probe(subject_of("x", request, URL).fresh(RUN_ID, "valid").headers)
