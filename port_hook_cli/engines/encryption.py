"""Encrypts and decrypts inputs with the `cryptography` package."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.encryption import (
    AES_GCM_IV_BYTES,
    CLIENT_SIDE_IV_BYTES,
    KEY_BYTES,
    KeyUnreadable,
    WrongKey,
    aes_key,
    read_sealed,
    split_aes_gcm,
    split_client_side,
)
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

_PRIVATE_HINT = "Pass the RSA private key of the public key in Port, in PEM format."
_PUBLIC_HINT = "Pass an RSA public key in PEM format. `openssl pkey -in private.pem -pubout` writes one."


def decrypt_aes_gcm(secret: Secret, value: Any) -> bytes:
    """Return the plaintext of a value that Port encrypted with the client secret.

    Raises CannotDecrypt, and KeyUnreadable for a secret that is too short.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(aes_key(secret))
    sealed = read_sealed(value)
    iv, box = split_aes_gcm(sealed)
    try:
        return cipher.decrypt(iv, box, None)
    except InvalidTag as error:
        raise sealed.unopened_by("the client secret") from error


def open_aes_gcm(secret: Secret, content: bytes) -> bytes | None:
    """Return the plaintext of `content` (IV, ciphertext and tag), or None if the client secret does not match."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(aes_key(secret)).decrypt(content[:AES_GCM_IV_BYTES], content[AES_GCM_IV_BYTES:], None)
    except (InvalidTag, KeyUnreadable):
        return None


def decrypt_client_side(key: RSAPrivateKey, value: Any) -> bytes:
    """Return the plaintext of a value encrypted with the public key of `key`.

    Raises CannotDecrypt if `key` doesn't match, or the value is damaged.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = read_sealed(value)
    iv, wrapped, box = split_client_side(sealed, _modulus_bytes(key))
    try:
        inner = key.decrypt(wrapped, _oaep())
    except ValueError as error:
        raise sealed.unopened_by("the private key") from error
    if len(inner) != KEY_BYTES:
        raise WrongKey(f"its encrypted key has {len(inner)} bytes, and AES-256 needs {KEY_BYTES}")
    try:
        return AESGCM(inner).decrypt(iv, box, None)
    except InvalidTag as error:
        raise sealed.unopened_by("the key in it") from error


def encrypt_aes_gcm(secret: Secret, plaintext: bytes) -> str:
    """Encrypt `plaintext` with the client secret, like Port. Raises KeyUnreadable if the secret is too short."""
    from base64 import b64encode

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    iv = os.urandom(AES_GCM_IV_BYTES)
    return b64encode(iv + AESGCM(aes_key(secret)).encrypt(iv, plaintext, None)).decode()


def encrypt_client_side(key: RSAPublicKey, plaintext: bytes) -> str:
    """Encrypt `plaintext` with a public key, like Port's web page. Raises KeyUnreadable for a small key."""
    from base64 import b64encode

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    iv, inner = os.urandom(CLIENT_SIDE_IV_BYTES), os.urandom(KEY_BYTES)
    try:
        wrapped = key.encrypt(inner, _oaep())
    except ValueError as error:
        raise KeyUnreadable(f"A key of {key.key_size} bits is too small.", hint="Create a key of 2048 bits.") from error
    return b64encode(iv + wrapped + AESGCM(inner).encrypt(iv, plaintext, None)).decode()


def read_private_key(name: str, pem: bytes, ask_passphrase: Callable[[], str | None]) -> RSAPrivateKey:
    """Return the RSA private key in a PEM file, called `name` in messages. Raises KeyUnreadable for any other content.

    If the key has a passphrase, `ask_passphrase` is called, and returns the passphrase, or None without a terminal.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        try:
            key = load_pem_private_key(pem, None)
        except TypeError:  # the key has a passphrase
            key = load_pem_private_key(pem, _passphrase(name, ask_passphrase))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        is_protected = b"ENCRYPTED" in pem
        fault = "cannot be read with this passphrase" if is_protected else "is not a readable private key in PEM format"
        raise KeyUnreadable(f"{name} {fault}.", hint=_PRIVATE_HINT) from error
    if not isinstance(key, RSAPrivateKey):
        raise KeyUnreadable(f"{name} is not an RSA key.", hint=_PRIVATE_HINT)
    return key


def read_public_key(name: str, pem: bytes) -> RSAPublicKey:
    """Return the RSA public key in a PEM file, called `name` in messages.

    Raises KeyUnreadable for any other content.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        is_private = b"PRIVATE KEY" in pem
        fault = "is a private key, but a public key is needed" if is_private else "is not a public key in PEM format"
        raise KeyUnreadable(f"{name} {fault}.", hint=_PUBLIC_HINT) from error
    if not isinstance(key, RSAPublicKey):
        raise KeyUnreadable(f"{name} is not an RSA key.", hint=_PUBLIC_HINT)
    return key


def _passphrase(name: str, ask: Callable[[], str | None]) -> bytes:
    passphrase = ask()
    if not passphrase:
        raise KeyUnreadable(
            f"{name} has a passphrase, but none was entered.",
            hint="Run the command in a terminal to enter it, or enter it in openssl: "
            "`openssl pkey -in KEY | port-hook decrypt CAPTURE --private-key -`.",
        )
    return passphrase.encode()


def _oaep() -> OAEP:
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.hashes import SHA256

    return OAEP(mgf=MGF1(algorithm=SHA256()), algorithm=SHA256(), label=None)


def _modulus_bytes(key: RSAPrivateKey) -> int:
    return (key.key_size + 7) // 8
