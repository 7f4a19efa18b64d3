"""The wrong ways to sign: each differs from Port's way and from the others."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.signatures.signing import Signer, SigningKeys, TimestampUnit
from port_hook_cli.signatures.wrong_ways import distinct_ways, ports_way, wrong_ways
from port_hook_cli.text.secret import Secret

NOW = 1_700_000_000.25
texts = st.text(max_size=50)
keys = st.builds(
    SigningKeys,
    secret=st.builds(Secret, st.text(min_size=1, max_size=50)),
    client_id=st.none() | texts,
    other=st.none() | st.builds(Secret, texts),
    other_place=st.sampled_from(("PORT_CLIENT_SECRET", "port-hook login")),  # text would make sentences that end oddly
)
bodies = st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda value: st.lists(value, max_size=3) | st.dictionaries(texts, value, max_size=3),
    max_leaves=8,
).map(lambda value: json.dumps(value, ensure_ascii=True).encode())


@given(keys, bodies)
def test_wrong_ways_differ_from_ports_signature_and_from_each_other(given_keys: SigningKeys, body: bytes) -> None:
    signer = Signer(given_keys.secret)
    ways = distinct_ways(wrong_ways(given_keys), body, NOW, given_keys.secret)
    requests = [way.make(body, NOW) for way in ways]
    assert signer.fields(body, NOW) not in [request.fields for request in requests]
    assert len(set(requests)) == len(requests)
    assert {request.body for request in requests} == {body}


@given(keys, bodies)
def test_request_of_a_way_differs_from_its_forgery_only_in_the_signature(given_keys: SigningKeys, body: bytes) -> None:
    for way in wrong_ways(given_keys):
        (signature, timestamp), sent = way.make(body, NOW)
        (forged, same_timestamp), same_body = way.forge(body, NOW)
        assert (timestamp, sent) == (same_timestamp, same_body)
        assert signature[1] != forged[1]
        assert len(signature[1]) == len(forged[1])


@given(keys, st.binary(max_size=60))
def test_ports_way_makes_ports_signature(given_keys: SigningKeys, body: bytes) -> None:
    made = ports_way(given_keys.secret).make(body, NOW)
    assert made.fields == Signer(given_keys.secret).fields(body, NOW)
    (milliseconds, *_) = wrong_ways(given_keys)
    in_milliseconds = Signer(given_keys.secret, TimestampUnit.MILLISECONDS).fields(body, NOW)
    assert milliseconds.make(body, NOW).fields == in_milliseconds


@given(keys)
def test_way_has_a_unique_slug_and_a_fix(given_keys: SigningKeys) -> None:
    ways = wrong_ways(given_keys)
    assert len({way.slug for way in ways}) == len({way.sentence for way in ways}) == len(ways)
    assert all(way.fix.endswith(".") and not way.sentence.endswith(".") for way in ways)


@given(keys)
def test_ways_do_not_show_the_secret(given_keys: SigningKeys) -> None:
    secret = "canary-" + given_keys.secret.reveal()  # a word that no way has, such as `undefined` would be
    ways = wrong_ways(given_keys._replace(secret=Secret(secret)))
    assert secret not in "".join(map(repr, ways))
