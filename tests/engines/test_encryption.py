"""Encryption and decryption of values. The reference is Node's crypto, which Port's documented examples use."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from port_hook_cli.actions.encryption import (
    LEAST_BYTES,
    CannotDecrypt,
    KeyUnreadable,
    NotEncrypted,
    Problem,
    Truncated,
    WrongKey,
)
from port_hook_cli.engines.encryption import (
    decrypt_aes_gcm,
    decrypt_client_side,
    encrypt_aes_gcm,
    encrypt_client_side,
    read_private_key,
    read_public_key,
)
from port_hook_cli.text.secret import Secret
from tests.factories import SECRET
from tests.installed import path_of
from tests.keys import PASSPHRASE, an_rsa_key, private_pem, public_pem

OTHER_SECRET = Secret("another-client-secret-of-thirty-two-characters")
SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=32, max_size=70).map(Secret)
TEXTS = st.text().map(str.encode)

# Decrypts as in Port's documentation of secret inputs, with its layout for client-side encryption.
NODE = r"""
const crypto = require('crypto');
const oaep = key => ({ key, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' });
const seal = (key, iv, text) => {
  const cipher = crypto.createCipheriv('aes-256-gcm', key, iv);
  return [cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()];
};
const unseal = (key, iv, box) => {
  const decipher = crypto.createDecipheriv('aes-256-gcm', key, iv);
  decipher.setAuthTag(box.subarray(box.length - 16));
  return Buffer.concat([decipher.update(box.subarray(0, box.length - 16)), decipher.final()]).toString('utf8');
};
const calls = {
  encrypt(secret, text) {
    const iv = crypto.randomBytes(16);
    return Buffer.concat([iv, ...seal(Buffer.from(secret.substring(0, 32)), iv, text)]).toString('base64');
  },
  decrypt(secret, value) {
    const raw = Buffer.from(value, 'base64');
    return unseal(Buffer.from(secret.substring(0, 32)), raw.subarray(0, 16), raw.subarray(16));
  },
  encryptFor(pem, text) {
    const iv = crypto.randomBytes(12), key = crypto.randomBytes(32);
    return Buffer.concat([iv, crypto.publicEncrypt(oaep(pem), key), ...seal(key, iv, text)]).toString('base64');
  },
  decryptWith(pem, value) {
    const raw = Buffer.from(value, 'base64');
    const end = 12 + crypto.createPrivateKey(pem).asymmetricKeyDetails.modulusLength / 8;
    const key = crypto.privateDecrypt(oaep(pem), raw.subarray(12, end));
    return unseal(key, raw.subarray(0, 12), raw.subarray(end));
  },
};
const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const answer = ([name, ...args]) => {
  try { return calls[name](...args); } catch (error) { return { error: error.code }; }
};
process.stdout.write(JSON.stringify(asked.map(answer)));
"""
AWKWARD = ["", "s3cret", "Zoë 🚢\u2028\x00", '{"user":"zoë","n":[1,null]}', "x" * 100_000, "-----BEGIN KEY-----\nab\n"]


def ask_node(*calls: tuple[str, ...]) -> list[Any]:
    done = subprocess.run(
        [path_of("node"), "-e", NODE], input=json.dumps(calls).encode(), capture_output=True, check=True
    )
    answers: list[Any] = json.loads(done.stdout)
    return answers


def problem_of(value: Any, secret: Secret = SECRET) -> Problem:
    with pytest.raises(CannotDecrypt) as caught:
        decrypt_aes_gcm(secret, value)
    return caught.value.problem


def no_passphrase() -> None:
    return None


class TestWithTheClientSecret:
    @given(SECRETS, TEXTS)
    def test_encrypted_value_can_be_decrypted(self, secret: Secret, text: bytes) -> None:
        assert decrypt_aes_gcm(secret, encrypt_aes_gcm(secret, text)) == text

    def test_key_is_the_first_32_bytes_of_the_secret(self) -> None:
        value = encrypt_aes_gcm(SECRET, b"text")
        assert decrypt_aes_gcm(Secret(SECRET.reveal()[:32]), value) == b"text"
        assert decrypt_aes_gcm(Secret(SECRET.reveal()[:32] + "another end"), value) == b"text"
        assert problem_of(value, OTHER_SECRET) is Problem.WRONG_KEY

    def test_same_text_is_encrypted_differently_each_time(self) -> None:
        assert len({encrypt_aes_gcm(SECRET, b"text")[:22] for _ in range(20)}) == 20

    def test_values_are_interchangeable_with_node(self) -> None:
        secret = SECRET.reveal()
        ours = [encrypt_aes_gcm(SECRET, text.encode()) for text in AWKWARD]
        encrypting = [("encrypt", secret, text) for text in AWKWARD]
        decrypting = [("decrypt", secret, value) for value in ours]
        *answers, problem = ask_node(*encrypting, *decrypting, ("encrypt", "s" * 31, "text"))
        assert [decrypt_aes_gcm(SECRET, value).decode() for value in answers[: len(ours)]] == AWKWARD
        assert (answers[len(ours) :], problem) == (AWKWARD, {"error": "ERR_CRYPTO_INVALID_KEYLEN"})

    def test_short_secret_is_rejected_like_in_node(self) -> None:
        for call in (encrypt_aes_gcm, decrypt_aes_gcm):
            with pytest.raises(KeyUnreadable, match="has only 31 bytes"):
                call(Secret("s" * 31), b"text")

    @given(st.binary(max_size=40), st.data())
    def test_flipped_bit_is_always_detected(self, text: bytes, data: st.DataObject) -> None:
        raw = bytearray(b64decode(encrypt_aes_gcm(SECRET, text)))
        bit = data.draw(st.integers(0, len(raw) * 8 - 1))
        raw[bit // 8] ^= 1 << bit % 8
        assert problem_of(b64encode(raw).decode()) is Problem.WRONG_KEY

    def test_truncated_value_is_recognized(self) -> None:
        for text in (b"", b"a", b"ab", b"abc"):
            value = encrypt_aes_gcm(SECRET, text).rstrip("=")
            for length in range(len(value)):
                problem = problem_of(value[:length])
                if length * 6 // 8 < LEAST_BYTES:
                    assert problem is Problem.NOT_ENCRYPTED
                else:  # whole base64 does not show that something is missing
                    assert problem is (Problem.TRUNCATED if length % 4 else Problem.WRONG_KEY)

    def test_base64_is_decoded_like_in_node(self) -> None:
        value = encrypt_aes_gcm(SECRET, b"text" * 50)
        raw = b64decode(value)
        for written in (value.rstrip("="), urlsafe_b64encode(raw).decode(), f" {value}\n"):
            assert decrypt_aes_gcm(SECRET, written) == b"text" * 50

    def test_unencrypted_value_is_recognized(self) -> None:
        values: list[tuple[Any, str]] = [
            ("s3cret!", "not base64"), ("zoë", "not base64"), ("ab=cdef", "not base64"), ("", "0 bytes"),
            ("hello", "3 bytes"), (None, "null"), (True, "true"), (17, "a number"), ({}, "an object"),
            ([], "an array"),
        ]  # fmt: skip
        for value, expected in values:
            with pytest.raises(NotEncrypted, match=expected):
                decrypt_aes_gcm(SECRET, value)

    @given(st.text() | st.binary().map(lambda raw: b64encode(raw).decode()))
    def test_any_text_is_decrypted_correctly_or_rejected(self, value: str) -> None:
        assert problem_of(value) in {Problem.WRONG_KEY, Problem.TRUNCATED, Problem.NOT_ENCRYPTED}


class TestClientSide:
    @given(TEXTS)
    @settings(max_examples=20)
    def test_encrypted_value_can_be_decrypted(self, text: bytes) -> None:
        key = an_rsa_key()
        assert decrypt_client_side(key, encrypt_client_side(key.public_key(), text)) == text

    def test_wrapped_key_has_the_length_of_the_modulus(self) -> None:
        for bits in [1024, 2048, 2056, 3072]:
            key = an_rsa_key(bits)
            value = encrypt_client_side(key.public_key(), b"text")
            assert len(b64decode(value)) == 12 + bits // 8 + 4 + 16
            assert decrypt_client_side(key, value) == b"text"

    def test_values_are_interchangeable_with_node(self) -> None:
        key = an_rsa_key(3072)
        ours = [encrypt_client_side(key.public_key(), text.encode()) for text in AWKWARD]
        encrypting = [("encryptFor", public_pem(key).decode(), text) for text in AWKWARD]
        decrypting = [("decryptWith", private_pem(key).decode(), value) for value in ours]
        answers = ask_node(*encrypting, *decrypting)
        assert [decrypt_client_side(key, value).decode() for value in answers[: len(ours)]] == AWKWARD
        assert answers[len(ours) :] == AWKWARD

    def test_incorrect_key_is_recognized(self) -> None:
        value = encrypt_client_side(an_rsa_key(number=1).public_key(), b"text")
        with pytest.raises(WrongKey, match="private key does not decrypt it"):
            decrypt_client_side(an_rsa_key(), value)

    def test_flipped_bit_is_always_detected(self) -> None:
        whole = b64decode(encrypt_client_side(an_rsa_key().public_key(), b"text"))
        for byte in (0, 11, 12, 100, 267, 268, 271, 272, 287):
            raw = bytearray(whole)
            raw[byte] ^= 4
            with pytest.raises(WrongKey):
                decrypt_client_side(an_rsa_key(), b64encode(raw).decode())

    def test_truncated_value_is_recognized(self) -> None:
        value = encrypt_client_side(an_rsa_key().public_key(), b"texts!").rstrip("=")
        kinds = {}
        for length in range(len(value)):
            with pytest.raises(CannotDecrypt) as caught:
                decrypt_client_side(an_rsa_key(), value[:length])
            kinds[length] = type(caught.value)
        assert {kind for length, kind in kinds.items() if length * 6 // 8 < LEAST_BYTES} == {NotEncrypted}
        assert {kind for length, kind in kinds.items() if LEAST_BYTES <= length * 6 // 8 < 284} == {Truncated}
        assert {length % 4 for length, kind in kinds.items() if length > 380 and kind is WrongKey} == {0}

    def test_wrapped_key_of_another_length_is_rejected(self) -> None:
        key = an_rsa_key()
        wrapped = key.public_key().encrypt(b"k" * 16, OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None))
        with pytest.raises(WrongKey, match="has 16 bytes, and AES-256 needs 32"):
            decrypt_client_side(key, b64encode(bytes(12) + wrapped + bytes(20)).decode())


class TestKeys:
    def test_private_key_is_read_with_and_without_a_passphrase(self) -> None:
        for pem in (private_pem(an_rsa_key()), private_pem(an_rsa_key(), PASSPHRASE)):
            key = read_private_key("k.pem", pem, lambda: PASSPHRASE)
            assert key.private_numbers() == an_rsa_key().private_numbers()

    def test_private_key_is_rejected_when_the_passphrase_is_missing_or_incorrect(self) -> None:
        pem = private_pem(an_rsa_key(), PASSPHRASE)
        with pytest.raises(KeyUnreadable, match="none was entered"):
            read_private_key("k.pem", pem, no_passphrase)
        with pytest.raises(KeyUnreadable, match="with this passphrase"):
            read_private_key("k.pem", pem, lambda: "wrong")

    def test_file_without_a_private_key_is_rejected(self) -> None:
        for pem, expected in [
            (b"", "not a readable private key in PEM format"),
            (
                b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "not a readable private key in PEM format",
            ),
            (public_pem(an_rsa_key()), "not a readable private key in PEM format"),
            (private_pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        ]:
            with pytest.raises(KeyUnreadable, match=expected):
                read_private_key("k.pem", pem, no_passphrase)

    def test_file_without_a_public_key_is_rejected(self) -> None:
        for pem, expected in [
            (b"ssh-rsa AAAA", "not a public key in PEM format"),
            (private_pem(an_rsa_key()), "is a private key"),
            (public_pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        ]:
            with pytest.raises(KeyUnreadable, match=expected):
                read_public_key("k.pem", pem)
