"""Which keys are tried on which properties, and the message if none decrypts one."""

from __future__ import annotations

from functools import partial
from typing import Any

from port_hook_cli.actions.encrypted_inputs import Decrypter
from port_hook_cli.actions.encryption import Problem, Scheme
from port_hook_cli.engines.encryption import decrypt_aes_gcm, decrypt_client_side, encrypt_aes_gcm, encrypt_client_side
from port_hook_cli.invocations.models import Capture
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.text.secret import Secret
from tests.factories import SECRET, a_body, a_capture, a_document, an_invocation
from tests.keys import an_rsa_key

OTHER_SECRET = Secret("another-client-secret-of-thirty-two-characters")
BY_SECRET = {Scheme.AES_GCM: partial(decrypt_aes_gcm, SECRET)}
BY_KEY = {Scheme.CLIENT_SIDE: partial(decrypt_client_side, an_rsa_key())}


def capture_with(**properties: Any) -> Capture:
    """An invocation in the old format that lists `properties` as encrypted."""
    document = a_document()
    document["payload"]["properties"] |= properties
    document["payload"]["censoredProperties"] = [*properties, "absent"]
    return a_capture(an_invocation(a_body(document)))


def only_value(value: Any, decrypter: Decrypter) -> Any:
    (decryption,) = decrypter.reveal(capture_with(it=value))
    return decryption.value if decryption.problem is None else (decryption.problem, decryption.message)


def test_each_value_is_decrypted_with_its_own_key() -> None:
    capture = capture_with(
        password=encrypt_aes_gcm(SECRET, b"s3cret"), token=encrypt_client_side(an_rsa_key().public_key(), b'{"a":1}')
    )
    decryptions = Decrypter(deciphers=BY_KEY | BY_SECRET).decrypt(capture.payload)
    assert [(str(it.path), it.value, it.scheme, it.problem) for it in decryptions] == [
        ("payload.properties.password", "s3cret", "aes256-gcm", None),
        ("payload.properties.token", {"a": 1}, "client-side", None),
        ("absent", None, None, "missing"),
    ]


def test_paths_replace_the_listed_properties_of_the_payload() -> None:
    capture = capture_with(password=encrypt_aes_gcm(SECRET, b"s3cret"), title=encrypt_aes_gcm(SECRET, b"t"))
    decrypter = Decrypter(deciphers=BY_SECRET, paths=(JsonPath.parse("title"),))
    assert [it.value for it in decrypter.decrypt(capture.payload)] == ["t"]


def test_most_informative_failure_is_reported_when_no_key_works() -> None:
    for deciphers, value, problem, expected in [
        (BY_SECRET, encrypt_aes_gcm(OTHER_SECRET, b"x"), Problem.WRONG_KEY, "the client secret does not decrypt it"),
        (BY_KEY, encrypt_aes_gcm(SECRET, b"x"), Problem.TRUNCATED, "at least 284"),
        (BY_KEY | BY_SECRET, encrypt_aes_gcm(OTHER_SECRET, b"x"), Problem.WRONG_KEY, "the client secret does not"),
        (BY_KEY | BY_SECRET, encrypt_aes_gcm(SECRET, b"xyz")[:-2], Problem.TRUNCATED, "ends in the middle"),
        (BY_KEY | BY_SECRET, "s3cret", Problem.NOT_ENCRYPTED, "not encrypted, or truncated"),
    ]:
        result = only_value(value, Decrypter(deciphers=deciphers))
        assert result[0] is problem
        assert expected in result[1]


def test_error_mentions_both_keys_when_both_are_incorrect() -> None:
    value = encrypt_client_side(an_rsa_key(number=1).public_key(), b"x")
    _, expected = only_value(value, Decrypter(deciphers=BY_KEY | BY_SECRET))
    assert "the private key does not decrypt it" in expected
    assert "the client secret does not decrypt it" in expected


def test_reveal_limits_the_results_and_omits_missing_properties() -> None:
    capture = capture_with(**{f"p{number}": "plain" for number in range(1000)})
    revealed = Decrypter(deciphers=BY_SECRET).reveal(capture)
    assert len(revealed) == 40
    assert {it.problem for it in revealed} == {Problem.NOT_ENCRYPTED}


def test_reveal_returns_an_empty_result_without_encrypted_inputs() -> None:
    for body in (a_body(), b"", b"no json", b"[]"):
        assert Decrypter(deciphers=BY_SECRET).reveal(a_capture(an_invocation(body))) == []
