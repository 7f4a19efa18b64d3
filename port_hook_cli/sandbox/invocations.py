"""The invocation of a run: the request, the maker of the request, and recipients other than a web server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Unpack

from port_hook_cli.actions.made_request import Asked, MadeRequest
from port_hook_cli.errors import PortHookError
from port_hook_cli.http.response_body import SHOWN_BYTES
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import path_and_query, sendable_url
from port_hook_cli.kafka.connection import CHANGE_LOG_SUFFIX, RUNS_SUFFIX
from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, read_request
from port_hook_cli.sandbox.run import MAX_RUNS
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.signatures.signing import TimestampUnit, signed_message


class RequestMaker(Protocol):
    """Makes the request of a run."""

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> MadeRequest:
        """Return the request of `action`, which is in the format of Port's API.

        Raises PortHookError if no request can be made.
        """
        ...


def message_and_hint(problem: PortHookError) -> str:
    """Return an error's message and hint on one line."""
    return f"{problem.message} {problem.hint}".strip()


class Publishes(Protocol):
    """Publishes messages, like `kafka.producer.KafkaPublisher`."""

    async def find(self, topic: str) -> None:
        """Create a topic. Raises BrokerError if no broker responds."""
        ...

    async def publish(self, topic: str, message: bytes) -> object:
        """Publish a message. The result says where the message is.

        Raises BrokerError if the broker does not confirm it.
        """
        ...


class RunsTopic:
    """The topic of an organization's invocations. Its messages are signed like Port's messages."""

    def __init__(self, state: SandboxState, publisher: Publishes, unit: TimestampUnit) -> None:
        self._state = state
        self._publisher = publisher
        self._unit = unit

    @property
    def name(self) -> str:
        """The name of the topic."""
        return f"{self._state.organization['id']}{RUNS_SUFFIX}"

    async def open(self) -> None:
        """Create the topic of the invocations and the topic of the change log, so that consumers find them.

        Raises BrokerError.
        """
        for name in (self.name, f"{self._state.organization['id']}{CHANGE_LOG_SUFFIX}"):
            await self._publisher.find(name)

    async def publish(self, document: Any) -> str:
        """Publish a message and return where the message is. Raises BrokerError if the broker does not confirm it."""
        stamp = self._unit.stamp(self._state.now())
        return str(await self._publisher.publish(self.name, signed_message(document, self._state.client_secret, stamp)))


MAX_CHAIN = 100
"""The maximum number of runs that one run, and the runs that follow from it, may start through Port's API.

Port does not document a limit.
"""


@dataclass(slots=True)
class _Chain:
    """A run that a user or a client started, and all the runs that followed from it."""

    started: int = 0


class OwnApi:
    """Responds to requests to Port's own API.

    Port calls its own API "with automatic authentication", with the organization's own credentials (Port's docs,
    webhook page). The sandbox responds to such a request itself, so that the request never leaves this machine. Port
    does not document the effect of an `authorization` header that the action sets. Here, the header has no effect.

    `respond` takes a request, the path and query of the request, and the ID of the run that makes it.
    """

    def __init__(self, state: SandboxState, respond: Callable[[ApiRequest, str, str], ApiResponse]) -> None:
        self._state = state
        self._respond = respond
        self._chains: dict[str, _Chain] = {}

    def reset(self) -> None:
        """Forget which runs started other runs."""
        self._chains.clear()

    def deliver(self, run_id: str, invocation: Invocation, url: str) -> Delivery:
        """Return the response to the invocation of a run. Raises PortHookError if a chain exceeds `MAX_CHAIN` runs."""
        target = path_and_query(sendable_url(url))
        fields = {name.lower(): value for name, value in reversed(tuple(invocation.headers))}
        request = replace(
            read_request(invocation.method, target, fields, invocation.body), token=self._state.issue_token()
        )
        chain, starts = self._chain_of(run_id), request.method == "POST" and request.segments[-1:] == ("runs",)
        if starts and chain.started >= MAX_CHAIN:
            raise PortHookError(
                f"The sandbox stops runs that start one another through Port's API after {MAX_CHAIN} runs."
            )
        began = time.perf_counter()
        given = self._respond(request, target, run_id)
        if starts and given.run_id is not None:
            chain.started += 1
            self._chains[given.run_id] = chain
        return Delivery(
            url=url,
            status=given.status,
            latency_ms=(time.perf_counter() - began) * 1000,
            headers=Headers((("content-type", "application/json"), *given.headers.items())),
            body=json.dumps(given.document).encode()[:SHOWN_BYTES],
        )

    def _chain_of(self, run_id: str) -> _Chain:
        found = self._state.workflows.find_node_run(run_id) if is_node_run(run_id) else None
        caller = run_id if found is None else found[0].id
        if len(self._chains) > 2 * MAX_RUNS:
            known = self._state.runs.keys() | self._state.workflows.runs.keys()
            self._chains = {name: chain for name, chain in self._chains.items() if name in known}
        return self._chains.setdefault(caller, _Chain())
