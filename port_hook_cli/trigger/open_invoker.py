"""Creates an Invoker with its engines: jq, jsonschema and cryptography."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

from port_hook_cli.actions.action import INTEGRATION_ACTION, KAFKA, WEBHOOK, invoked_action
from port_hook_cli.actions.encryption import Scheme
from port_hook_cli.actions.inputs import Encryption
from port_hook_cli.actions.request import RenderedMessage, RenderedRequest
from port_hook_cli.javascript.values import write_json
from port_hook_cli.text.secret import Secret
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.run_data import RunData

if TYPE_CHECKING:
    from port_hook_cli.actions.made_request import Asked, MadeRequest
    from port_hook_cli.engines.renderer import Renderer


@contextmanager
def invoking(
    secret: Callable[[], Secret], *, strict: bool = False, timeout_s: float = 5.0, renderer: Renderer | None = None
) -> Iterator[Invoker]:
    """Yield an Invoker with one running jq. `secret` is called when an input is encrypted with the client secret.

    `timeout_s` is the limit in seconds for all expressions of one template. If `renderer` is set, it is used instead of
    a new renderer with this limit, and closed at the end.
    """
    from port_hook_cli.engines.json_schema import find_faults
    from port_hook_cli.engines.renderer import Renderer

    def encrypt(how: Encryption, plaintext: bytes) -> str:
        from port_hook_cli.engines import encryption

        if how.scheme is Scheme.CLIENT_SIDE:
            key = encryption.read_public_key("The input's `key`", how.key.encode())
            return encryption.encrypt_client_side(key, plaintext)
        return encryption.encrypt_aes_gcm(secret(), plaintext)

    with renderer or Renderer(timeout_s=timeout_s) as opened:
        yield Invoker(opened, check=find_faults, encrypt=encrypt, strict=strict)


class SandboxInvoker:
    """Makes requests for the sandbox with an Invoker. The runs of these requests were started through the API."""

    def __init__(self, invoker: Invoker) -> None:
        self._invoker = invoker

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> MadeRequest:
        """Return the request of `action`, which is in the format of Port's API.

        Raises PortHookError if no request can be made.
        """
        known = invoked_action(action, methods=(WEBHOOK, KAFKA, INTEGRATION_ACTION))
        run_id, at = asked["run_id"], asked["at"]
        data = RunData(
            properties=asked["properties"],
            by=asked["by"],
            entity=asked["entity"],
            secrets=asked["secrets"],
            origin="API",
        )
        if known.is_for_integration:
            method, properties = await self._invoker.for_integration(known, data, run_id=run_id, at=at)
            return as_claimed(method, properties)
        if known.is_message:
            return as_published(await self._invoker.message(known, data, run_id=run_id, at=at))
        return as_sent(await self._invoker.request(known, data, run_id=run_id, at=at))


def as_claimed(method: Mapping[str, Any], properties: Mapping[str, Any]) -> MadeRequest:
    """Return the rendered invocation method that an integration claims from the sandbox."""
    from port_hook_cli.actions.made_request import MadeRequest

    return MadeRequest(integration=method, properties=properties)


def as_published(made: RenderedMessage) -> MadeRequest:
    """Return a message for the sandbox, with its payload as bytes."""
    from port_hook_cli.actions.made_request import MadeRequest

    return MadeRequest(body=write_json(made.payload).encode(), is_message=True, properties=made.properties)


def as_sent(made: RenderedRequest) -> MadeRequest:
    """Return a request for the sandbox, with its body as bytes and its headers as text."""
    from port_hook_cli.actions.made_request import MadeRequest

    return MadeRequest(
        method=made.method,
        url=made.url,
        # A rendered header is bytes decoded as Latin-1. The sandbox encodes text as UTF-8.
        headers=tuple((name, value.encode("latin-1").decode("utf-8")) for name, value in made.headers),
        body=made.content,
        agent=made.agent,
        synchronized=made.synchronized,
        properties=made.properties,
    )
