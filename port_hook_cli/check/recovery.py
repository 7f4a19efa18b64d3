"""What happens after silence: a handler that stopped is awaited or restarted, and the request is sent once more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from port_hook_cli.check.pace import LEAST_S, TIME_UP, CheckPace, LeftHandler
from port_hook_cli.check.reactions import Probe, Reaction
from port_hook_cli.errors import PortHookError
from port_hook_cli.listener.handler_check import connection_problem

if TYPE_CHECKING:
    from port_hook_cli.listener.handler_process import HandlerProcess

_CONNECT_S = 2.0
_RETURN_S = 5.0
_LOOK_EVERY_S = 0.02
_CRASH_S = 0.2


class HandlerRecovery:
    """Distinguishes a handler that stopped from a handler that does not respond, and brings it back.

    `address` is the handler's host and port. `stops` are the requests during or after which the handler stopped.
    Requests of the checks in `fatal` stopped the handler twice. `latest` is the latest request with an outcome.
    """

    def __init__(self, address: tuple[str, int], handler: HandlerProcess | None, pace: CheckPace) -> None:
        self.stops: list[Probe] = []
        self.fatal: set[str] = set()
        self.latest: Probe | None = None
        self._address, self._handler, self._pace = address, handler, pace
        self._clock = asyncio.get_running_loop().time
        self._recovering = asyncio.Lock()

    async def settle_silence(self, probe: Probe, again: Callable[[], Awaitable[Probe]], *, is_alone: bool) -> Probe:
        """Return a probe without a response, or its repetition if the handler stopped before or during the request.

        If the handler stops during the repetition too, the request is the cause.
        """
        is_closed = is_alone and probe.reaction is Reaction.CLOSED
        has_stopped = await self.returns(probe, is_alone=is_alone)
        if has_stopped and probe.slug in self.fatal and probe.reaction is not Reaction.UNREACHABLE:
            return probe._replace(died=True)
        if not has_stopped and not is_closed:
            return probe
        repeated = await again()
        if repeated.has_response:
            if not has_stopped:  # a server may replace a stopped worker without closing its port
                self.stops.append(probe)
        elif await self.returns(repeated, is_alone=is_alone):
            self.fatal.add(probe.slug)
            return repeated._replace(died=True)
        return repeated

    async def returns(self, probe: Probe, *, is_alone: bool) -> bool:
        """Return whether the handler stopped before or during a request. It then accepts connections again.

        Raises LeftHandler if the handler does not return.
        """
        is_refused = probe.reaction is Reaction.UNREACHABLE
        # If several concurrent requests got no response, only the first counts the stop and restarts the handler.
        async with self._recovering:
            has_stopped = await self._has_stopped(probe)
            if has_stopped or (is_refused and is_alone):
                self.stops.append(self.latest if is_refused and self.latest else probe)
            if not has_stopped:
                return is_refused
            if await self._is_reachable(within_s=self._pace.bounded_s(_RETURN_S)):  # the command may be a supervisor
                return True
            await self.bring_back("the handler stopped accepting connections")
            return True

    async def _has_stopped(self, probe: Probe) -> bool:
        """Return whether the handler has stopped, or is about to stop. A crash takes time."""
        if probe.reaction is Reaction.UNREACHABLE or self._handler is None:
            return not await self._is_reachable()
        until = self._clock() + _CRASH_S
        while await self._is_reachable():
            if self._clock() >= until:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    async def restart(self, handler: HandlerProcess, environ: Mapping[str, str] | None = None) -> None:
        """Restart the handler, with the variables in `environ` if it is not None.

        Raises NotReadyError and UsageError like `HandlerProcess.restart`, and LeftHandler if time is up.
        """
        try:
            async with asyncio.timeout(max(LEAST_S, self._pace.left_s)):
                await handler.restart(environ)
        except TimeoutError:
            raise LeftHandler(TIME_UP) from None

    async def bring_back(self, reason: str) -> None:
        """Restart the handler. Raises LeftHandler for this reason if the check did not start it."""
        if self._handler is None:
            raise LeftHandler(reason)
        try:
            await self.restart(self._handler)
        except PortHookError:
            raise LeftHandler("the command could not be restarted") from None

    async def _is_reachable(self, *, within_s: float = 0.0) -> bool:
        """Return whether the handler accepts connections within `within_s` seconds. An ended command does not."""
        until = self._clock() + within_s
        while self._handler is None or not self._handler.has_ended:
            if not await connection_problem(*self._address, timeout_s=_CONNECT_S):
                return True
            if self._clock() >= until:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        return False
