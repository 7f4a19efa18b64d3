"""What a body says: the run, the action, who, with which inputs."""

from __future__ import annotations

from port_hook_cli.core.models import Headers, Payload


def read_payload(body: bytes, headers: Headers) -> Payload:
    """Return what can be read of `body`. Never raises, on any bytes."""
    raise NotImplementedError
