"""Hypothesis strategies for captures, with which tests check that the store and files return equal captures."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Cause, Delivery, Invocation, Response, Simulated, Status, Verdict
from port_hook_cli.invocations.payload import read_payload
from tests.factories import a_body

TEXT = st.text(max_size=8)
WIRE = st.text(st.characters(max_codepoint=255), max_size=8)
HEADERS = st.lists(st.tuples(WIRE | st.sampled_from(["x-port-signature"]), WIRE), max_size=3).map(
    lambda items: Headers(tuple(items))
)
# Bodies with an N are left out, because Python's JSON reader accepts NaN, which does not equal itself.
BODIES = st.binary(max_size=20).filter(lambda body: b"N" not in body) | st.just(a_body())


@st.composite
def captures(draw: st.DrawFn, *, ids: st.SearchStrategy[str] = TEXT, targets: st.SearchStrategy[str] = TEXT) -> Capture:
    """Return a capture with any values that a request, its verdict and its outcome may have."""
    invocation = Invocation(
        id=draw(ids),
        received_at=draw(st.floats(0, 4e9)),
        method=draw(st.text(min_size=1, max_size=8)),
        target=draw(targets),
        headers=draw(HEADERS),
        body=draw(BODIES),
        replay_of=draw(st.none() | TEXT),
    )
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    verdict = st.builds(
        Verdict,
        status=st.sampled_from(Status),
        signed_form=st.none() | TEXT,
        causes=st.lists(st.builds(Cause, TEXT, TEXT, TEXT), max_size=2).map(tuple),
        age_s=st.none() | numbers,
    )
    return Capture(
        invocation=invocation,
        verdict=draw(verdict),
        payload=read_payload(invocation.body, invocation.headers),
        simulated=draw(
            st.none()
            | st.builds(
                Simulated, failure=st.none() | TEXT, dropped=st.booleans(), delay_s=numbers, manual=st.booleans()
            )
        ),
        **draw(outcomes()),
    )


@st.composite
def outcomes(draw: st.DrawFn) -> dict[str, Any]:
    """Return a response of a handler and of port-hook, as fields of a capture."""
    delivery = st.builds(
        Delivery,
        url=TEXT,
        status=st.none() | st.integers(100, 599),
        latency_ms=st.floats(0, 1e9),
        headers=HEADERS,
        body=BODIES,
        fault=st.none() | TEXT,
        error=st.none() | TEXT,
    )
    response = st.builds(Response, status=st.integers(100, 599), headers=HEADERS, body=BODIES)
    return {"delivery": draw(st.none() | delivery), "response": draw(st.none() | response)}
