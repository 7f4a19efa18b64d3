"""Shows the requests that a listener holds, and carries out the page's decisions about these requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.payload import content_type_of
from port_hook_cli.listener.holding import Held, Holding
from port_hook_cli.listener.responses import BODILESS
from port_hook_cli.listener.turns import ManualResponse

MAX_RESPONSE = 1024 * 1024
MAX_DELAY_S = 600
NO_LISTENER = "The inspector has no listener. Start `port-hook listen --inspect`."
_MOST_TYPE = 200
_TOLD_AFTER_S = 0.05
_NOTHING: dict[str, Any] = {"holding": False, "count": 0, "held": []}


class HoldDesk:
    """Lists held requests, releases them, and responds to them by hand. Without a listener, no requests are held."""

    def __init__(self, holding: Holding | None) -> None:
        self._holding = holding
        self._tell: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, tell: Callable[[], None]) -> None:
        """Call `tell` after changes of the held requests, at most 20 times a second."""
        self._tell = tell
        if self._holding is not None:
            self._holding.changed = self._changed

    def close(self) -> None:
        """Stop calling `tell`."""
        if self._holding is not None:
            self._holding.changed = lambda: None
        if self._timer is not None:
            self._timer.cancel()

    def why_not(self) -> str | None:
        """Return why requests cannot be held, or None if they can be held."""
        return NO_LISTENER if self._holding is None else None

    def state(self) -> dict[str, Any]:
        """Return whether the listener holds requests, how many it holds, and the oldest held requests."""
        return self.state_of_listener() or _NOTHING

    def state_of_listener(self) -> dict[str, Any] | None:
        """Return the result of `state` for the events, or None without a listener."""
        holding = self._holding
        if holding is None:
            return None
        return {"holding": holding.is_paused, "count": holding.count, "held": [*map(_record, holding.held())]}

    def hold(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start holding requests, or release the held requests. Raises UsageError."""
        wanted = body.get("holding")
        if not isinstance(wanted, bool):
            raise UsageError('"holding" is not true or false.', hint='Send {"holding": true}.')
        self._listener().hold(wanted)
        return self.state()

    def let_pass(self, name: str) -> dict[str, Any]:
        """Let one held request pass to the handler. Raises PortHookError."""
        is_called = self._listener().let_pass(name)
        return {**self.state(), "waits": not is_called}

    def respond(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Respond to one held request by hand. Raises PortHookError."""
        self._listener().respond(name, read_manual_response(body))
        return self.state()

    def _listener(self) -> Holding:
        if self._holding is None:
            raise UsageError("The inspector cannot hold requests.", hint=NO_LISTENER)
        return self._holding

    def _changed(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TOLD_AFTER_S, self._tell_now)

    def _tell_now(self) -> None:
        self._timer = None
        self._tell()


def read_manual_response(body: Mapping[str, Any]) -> ManualResponse:
    """Return the manual response in the page's JSON. Raises UsageError."""
    status, delay_s = body.get("status"), body.get("delay_s", 0)
    if not isinstance(status, int) or not 200 <= status <= 599:  # noqa: PLR2004 - final statuses
        raise UsageError("The status is not a whole number from 200 to 599.", hint='Write it like "status": 503.')
    if isinstance(delay_s, bool) or not isinstance(delay_s, (int, float)) or not 0 <= delay_s <= MAX_DELAY_S:
        raise UsageError(f"The delay is not a number from 0 to {MAX_DELAY_S}.", hint="Enter seconds.")
    content = _content(body)
    if status in BODILESS:
        if content:
            raise UsageError(f"A response with status {status} cannot have a body.", hint="Leave the body empty.")
        return ManualResponse(Response(status=status), float(delay_s))
    headers = Headers((("content-type", _content_type(body) or content_type_of(content)),))
    return ManualResponse(Response(status=status, headers=headers, body=content), float(delay_s))


def _content(body: Mapping[str, Any]) -> bytes:
    text = body.get("body", "")
    if not isinstance(text, str):
        raise UsageError('"body" is not text.', hint="Send JSON as a string.")
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("The body is not Unicode text.", hint="Escape lone surrogates.") from error
    if len(content) > MAX_RESPONSE:
        raise UsageError("The body is larger than 1 MiB.", hint="Shorten it.")
    return content


def _content_type(body: Mapping[str, Any]) -> str:
    text = body.get("content_type", "")
    if not isinstance(text, str) or len(text) > _MOST_TYPE or not (text.isascii() and text.isprintable()):
        raise UsageError("The content type is not a valid header value.", hint="Write it like application/json.")
    return text.strip()


def _record(held: Held) -> dict[str, Any]:
    manual = held.manual
    return {
        "id": held.id,
        "name": held.name,
        "run_id": held.run_id,
        "received_at": held.received_at,
        "can_respond": not held.is_message,
        "response": None if manual is None else {"status": manual.response.status, "delay_s": manual.delay_s},
    }
