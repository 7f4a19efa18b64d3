"""The values and services that an inspector needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from pathlib import Path

from port_hook_cli.actions.encrypted_inputs import Decryption
from port_hook_cli.frozen import frozen
from port_hook_cli.inspector.port_side import PortSide
from port_hook_cli.inspector.sending import InspectorTarget
from port_hook_cli.inspector.triggering import Actions
from port_hook_cli.invocations.handlers import Handler
from port_hook_cli.invocations.models import Payload
from port_hook_cli.listener.holding import Holding
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret


@frozen(kw_only=True)
class InspectorSetup:
    """The values and services that an inspector needs.

    `mode` is `listen`, `store` or `sandbox`. `decrypt` decrypts the inputs of a payload, and is None if there is no
    key. `handler` is the project's handler. `urls` returns the URL of the listener or the sandbox, and the public URL.
    `holding` holds a listener's requests.
    """

    mode: str
    store: Path
    runtime: Runtime = field(repr=False)
    target: InspectorTarget
    access: PortAccess
    port: PortSide
    actions: Actions
    secret: Secret | None = None
    handler: Handler | None = None
    decrypt: Callable[[Payload], list[Decryption]] | None = None
    urls: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
    holding: Holding | None = None
