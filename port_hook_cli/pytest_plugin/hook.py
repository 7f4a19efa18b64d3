"""The fixture `port_hook`: Port's side of an invocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from port_hook_cli import api
from port_hook_cli.invocations.models import Delivery, Headers
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.pytest_plugin.actions import ActionSource
from port_hook_cli.pytest_plugin.making import About, make_request, path_of
from port_hook_cli.pytest_plugin.runs import PortRequest, Run
from port_hook_cli.pytest_plugin.sandbox import PortSandbox, is_in_event_loop
from port_hook_cli.pytest_plugin.sending import record, send, url_to


class PortHook:
    """Invokes actions as Port does: renders their templates, signs, sends, and records what becomes of the runs.

    An action is a JSON or YAML file, `FILE#ID` for one of several, a mapping, or the identifier of one that the
    sandbox has. `inputs` are its inputs by name; they are checked, filled in and encrypted as Port does it.
    """

    def __init__(self, sandbox: PortSandbox) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world
        self._world.do(self._world.warm_up)

    def sign(
        self, payload: object, *, secret: str | None = None, timestamp: int | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Return the header fields and the body of the request that Port would send for `payload`.

        The run that the payload names is in progress in the sandbox from now on. `secret` stands in for the sandbox's,
        `timestamp` (seconds since the epoch) for now. Raises ValueError for what is no JSON.
        """
        __tracebackhide__ = True
        headers, body = api.sign(payload, secret or self._sandbox.client_secret, timestamp=timestamp)
        said = read_payload(body, Headers())
        if said.run_id is not None and said.run_id not in self._sandbox.runs:
            self._sandbox.add_run(said.run_id, action=said.action or "create_vm")
        return headers, body

    def request(
        self, action: ActionSource, inputs: Mapping[str, Any] | None = None, **about: Unpack[About]
    ) -> PortRequest:
        """Start a run and return its signed request, for a test client to send.

        The HTTP answer tells Port something only if the action is synchronized: hand it to `answered` then.
        Raises InvalidInputs with every violation, RenderError, and UsageError for what is no action.
        """
        __tracebackhide__ = True
        identifier = self._sandbox.add_action(action)
        return self._world.call(make_request(self._world, identifier, inputs or {}, about))

    def answered(self, request: PortRequest, status: int, body: bytes | str = b"") -> Run:
        """Record the answer that a test client got, as Port takes it: it ends a synchronized run and no other."""
        __tracebackhide__ = True
        raw = body.encode() if isinstance(body, str) else body
        delivery = Delivery(url=request.url, status=status, body=raw)

        def taken() -> Run:
            record(self._world, request, delivery)
            return self._sandbox.shown(self._world.sandbox.runs[request.run_id])

        return self._world.do(taken)

    def invoke(
        self,
        action: ActionSource,
        inputs: Mapping[str, Any] | None = None,
        *,
        to: str | int | None = None,
        wait: bool = True,
        timeout_s: float | None = None,
        **about: Unpack[About],
    ) -> Run:
        """Start a run, send its request, and return the run when it has ended.

        `to` is a URL or a port on this machine; one without a path takes the path of the action's own URL, which is
        sent to without `to` where it is on this machine. Without `wait`, the run is returned as soon as the backend
        has answered. Raises RunNotEnded when the answer is not 2xx and when the run has not ended in `timeout_s`
        seconds, TargetError when nothing answers, and what `request` raises.
        """
        __tracebackhide__ = True
        request = self.request(action, inputs, **about)
        blocks = is_in_event_loop()
        return self._world.call(self._invoke(request, to, timeout_s, wait=wait, blocks=blocks))

    async def ainvoke(
        self,
        action: ActionSource,
        inputs: Mapping[str, Any] | None = None,
        *,
        to: str | int | None = None,
        wait: bool = True,
        timeout_s: float | None = None,
        **about: Unpack[About],
    ) -> Run:
        """Do what `invoke` does without holding up the event loop, so that the backend may run in the same one."""
        __tracebackhide__ = True
        request = self.request(action, inputs, **about)
        return await self._world.acall(self._invoke(request, to, timeout_s, wait=wait))

    async def _invoke(
        self, request: PortRequest, to: str | int | None, timeout_s: float | None, *, wait: bool, blocks: bool = False
    ) -> Run:
        __tracebackhide__ = True
        seconds = self._world.timeout_s if timeout_s is None else timeout_s
        url = url_to(request.url, to)
        backend_response = await send(self._world, replace(request, url=url, path=path_of(url)), seconds)
        run = self._world.sandbox.runs[request.run_id]
        if backend_response is None and not run.ended:
            raise self._sandbox.not_ended(run.id, f"after {seconds:g} s without an answer", blocks=blocks)
        if not wait or run.ended:
            return self._sandbox.shown(run)
        if backend_response is not None and not backend_response.ok:
            raise self._sandbox.not_ended(run.id, f"and stays so: the backend answered {backend_response.status}")
        return await self._sandbox.ended(run.id, seconds, blocks=blocks)
