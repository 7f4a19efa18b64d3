"""RSA keys for tests, generated once, and files with them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PASSPHRASE = "correct horse"


@cache
def an_rsa_key(bits: int = 2048, *, number: int = 0) -> rsa.RSAPrivateKey:
    """Return a key of this size. Another `number` is another key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: str | None = None) -> bytes:
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def write_keys(folder: Path, *, passphrase: str | None = None) -> None:
    """Write private.pem and public.pem of the first key, and another.pem, a private key that does not belong to it."""
    (folder / "private.pem").write_bytes(private_pem(an_rsa_key(), passphrase))
    (folder / "public.pem").write_bytes(public_pem(an_rsa_key()))
    (folder / "another.pem").write_bytes(private_pem(an_rsa_key(number=1)))
