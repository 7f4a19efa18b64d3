"""The maker of invocations with its adapters: jq, jsonschema and cryptography."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from port_hook_cli.core.encryption import Scheme
from port_hook_cli.core.inputs import Encryption
from port_hook_cli.core.redaction import Secret
from port_hook_cli.flows.triggering import Invoker


@contextmanager
def invoking(secret: Callable[[], Secret], *, strict: bool = False, timeout_s: float = 5.0) -> Iterator[Invoker]:
    """Give an Invoker whose jq stays warm; `secret` is asked for when an input is encrypted with the client secret.

    `timeout_s` is seconds for all expressions of one template. Raises RenderError when jq is not installed.
    """
    from port_hook_cli.adapters.rendering import Renderer
    from port_hook_cli.adapters.schema_check import find_faults

    def encrypt(how: Encryption, plaintext: bytes) -> str:
        from port_hook_cli.adapters import encryption

        encryption.require_cryptography()
        if how.scheme is Scheme.CLIENT_SIDE:
            key = encryption.read_public_key("The input's `key`", how.key.encode())
            return encryption.encrypt_client_side(key, plaintext)
        return encryption.encrypt_aes_gcm(secret(), plaintext)

    with Renderer(timeout_s=timeout_s) as renderer:
        yield Invoker(renderer, check=find_faults, encrypt=encrypt, strict=strict)
