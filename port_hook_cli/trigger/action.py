"""Triggers an action: makes the request that Port sends for a run, addresses and signs the request, and sends it.

Where Port publishes a message instead of sending a request, `publishing` makes and publishes the message. The values of
such a message are defined here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.request import RenderedRequest, is_url
from port_hook_cli.engines.outcomes import JqError
from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.handlers import handler_here
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation, Payload, Response
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.targets import is_on_this_machine, path_and_query, sendable_url, target_url
from port_hook_cli.invocations.view import format_time
from port_hook_cli.runs.fate import RunFate, run_fate
from port_hook_cli.runs.urls import is_in_ports_own
from port_hook_cli.signatures.signing import Signer, signed_message
from port_hook_cli.text.remark import MOST_ALIKE, Remark
from port_hook_cli.text.secret import Masker, cut_message, masked_errors
from port_hook_cli.trigger.invoker import Invoker, UnmetExpression
from port_hook_cli.trigger.remarks import agent_remarks, failed_expressions, request_remarks
from port_hook_cli.trigger.run_data import RunData

if TYPE_CHECKING:
    from port_hook_cli.invocations.source import Recipient

Announce = Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]
"""Tells a sandbox on this machine about the runs whose requests a handler is about to get."""


@frozen(kw_only=True)
class RunTarget:
    """The targets of requests. `to` and the values of `routes` are URLs.

    The keys of `routes` are identifiers of actions or workflow nodes. Without a target, a request goes to the URL of
    its action if this URL is on this machine, and otherwise to the URL that `handler` returns. `to_its_url` means that
    the user asked for the action's URL. With `is_lenient`, that URL is returned instead of an error about it.
    `handler` is called with the URL of the handler that got a request before, or with None.
    """

    to: str | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    to_its_url: bool = False
    is_lenient: bool = False
    handler: Callable[[str | None], str | None] = handler_here

    def chosen(self, identifier: str) -> str | None:
        """Return the URL that the user chose for an action or a node, or None."""
        return self.routes.get(identifier, self.to)

    def takes_any_url(self, identifier: str) -> bool:
        """Return whether the URL of an action or a node can be any text, such as a placeholder."""
        return self.chosen(identifier) is not None or (not self.to_its_url and self.handler(None) is not None)

    def url_for(self, identifier: str, url: str, *, owner: str = "The action") -> str:
        """Return the URL to send to: the chosen URL, or `url` without a chosen target.

        The chosen URL gets the path and query of `url` unless it has its own path and query. With a chosen target or a
        handler, `url` can be any text, such as a placeholder. `owner` is the start of an error's sentence.

        Raises UsageError if `url` is on another machine and the user did not ask for this URL. Only Port itself, or a
        sandbox, can add the credentials to a call of Port's own API.
        """
        to = self.chosen(identifier)
        if to is None and (self.to_its_url or is_on_this_machine(url)):
            return url
        if to is None and not is_in_ports_own(url):
            to = self.handler(None)
        if to is not None:
            return target_url(to, path_and_query(url if is_url(url) else ""))
        if self.is_lenient:
            return url
        if is_in_ports_own(url):
            raise UsageError(
                f"{owner}'s URL is {url}, which is Port's own API, so the request was not sent. "
                "Port calls its API with its own credentials.",
                hint="Run it with --via-port in a sandbox (`port-hook sandbox`), which responds to such a call itself. "
                "Or choose a target with --to.",
            )
        raise UsageError(
            f"{owner}'s URL is {url}, which is not on this machine, so the request was not sent.",
            hint="Choose a target: --to 8000 for a local handler, or --to-its-url for that URL. Or use --dry-run.",
        )


@frozen
class Unmet:
    """An automation or workflow that does not run for its event, with the unmet expressions of its condition."""

    action: str
    expressions: tuple[UnmetExpression, ...]

    @property
    def reason(self) -> str:
        """The reason, as the end of a sentence that begins with the automation or workflow."""
        first = self.expressions[:MOST_ALIKE]
        reasons = "; ".join(f"{cut_message(each.expression)} {cut_message(each.reason)}" for each in first)
        return f"does not run for this event: {reasons}"


@frozen(kw_only=True)
class Made:
    """The request that Port makes for a run, without a target and a signature.

    `masker` masks secrets in the request.
    """

    action: PortAction
    data: RunData
    request: RenderedRequest
    masker: Masker = field(repr=False)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Remarks on the expressions that failed, and on what Port would do differently with the request."""
        return (
            *failed_expressions(self.request.errors, self.masker),
            *agent_remarks(self.request),
            *request_remarks(self.request, self.masker),
        )

    @property
    def is_announced(self) -> bool:
        """Whether a sandbox learns about the run. The sandbox learns about the run if a user started it."""
        return self.action.kind is ActionKind.SELF_SERVICE

    @property
    def announcement(self) -> dict[str, Any]:
        """What a sandbox learns about the run."""
        return announcement(self.action, self.data, self.request.run_id, self.request.properties)


@frozen(kw_only=True)
class RunRequest:
    """The request of a run, ready to be sent to `url`."""

    made: Made
    invocation: Invocation
    url: str

    def fate(self, delivery: Delivery) -> RunFate:
        """Return what the response, or the lack of a response, does to the run in Port."""
        request = self.made.request
        if delivery.status is None:
            return RunFate.FAILURE if request.synchronized else RunFate.NO_RUN
        return run_fate(payload_of(request, self.invocation.body), Response(status=delivery.status))


async def make(
    action: PortAction, data: RunData, invoker: Invoker, *, run_id: str, now: float, any_url: bool = False
) -> Made | Unmet:
    """Return the request of a run that started at `now` (seconds since the epoch).

    This function doesn't sign or send the request. `any_url` accepts text that is not a URL, for a request that goes to
    another target. Raises UsageError, InvalidInputs, RenderError and SettingsError like `Invoker.request`, with secrets
    masked.
    """
    masker = Masker(data.secret_values(action))
    with masked_errors(masker):
        if unmet := await find_unmet(action, data, invoker):
            return unmet
        request = await invoker.request(action, data, run_id=run_id, at=format_time(now), any_url=any_url)
    return Made(action=action, data=data, request=request, masker=masker)


def require_event(action: PortAction, data: RunData) -> None:
    """Raise UsageError for an automation without an event."""
    if action.kind is ActionKind.AUTOMATION and data.event is None:
        raise UsageError(
            f"The automation {action.identifier} needs an event.", hint="Pass the event with --with event=FILE."
        )


async def find_unmet(action: PortAction, data: RunData, invoker: Invoker) -> Unmet | None:
    """Return why an automation does not run for its event, or None if it runs. Raises UsageError if it has no event."""
    require_event(action, data)
    unmet = await invoker.unmet(action, data.event)
    return Unmet(action.identifier, tuple(unmet)) if unmet else None


def address(
    made: Made,
    target: RunTarget,
    signer: Callable[[], Signer | None],
    *,
    id: str,  # noqa: A002 - as in Invocation
    now: float,
) -> RunRequest:
    """Return a request that is ready to be sent to `target`, signed at `now` (seconds since the epoch).

    `signer` is called when the target is known. If `signer` is None, the request stays unsigned. Raises UsageError for
    another machine, with secrets masked, and the errors of `signer`.
    """
    with masked_errors(made.masker):
        url = target.url_for(made.action.identifier, made.request.url)
    return RunRequest(made=made, invocation=signed(made.request, signer(), id=id, now=now), url=url)


def signed(request: RenderedRequest, signer: Signer | None, *, id: str, now: float) -> Invocation:  # noqa: A002 - as in Invocation
    """Return a request with the signature that Port adds, or unsigned if there is no signer. `id` is a capture ID."""
    content = request.content
    fields = () if signer is None else signer.fields(content, now)
    return Invocation(
        id=id,
        received_at=now,
        method=request.method,
        target="/",
        headers=Headers((*request.headers, *fields)),
        body=content,
    )


async def dispatch(ready: RunRequest, recipient: Recipient, announce: Announce | None = None) -> Delivery:
    """Send a request and return its delivery. A failed request also returns a delivery.

    A sandbox first learns about the run of a self-service action, and then how the response ended a synchronized run,
    unless `announce` is None.
    """
    if announce is None or not ready.made.is_announced:
        return await recipient.send(ready.invocation, sendable_url(ready.url))
    await announce([ready.made.announcement])
    delivery = await recipient.send(ready.invocation, sendable_url(ready.url))
    if ready.made.request.synchronized:
        await announce([{**ready.made.announcement, "status": "SUCCESS" if delivery.ok else "FAILURE"}])
    return delivery


def announcement(action: PortAction, data: RunData, run_id: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a sandbox learns about a run, so that the run has an action and inputs in the sandbox."""
    entity = data.entity or {}
    return {
        "runId": run_id,
        "action": action.identifier,
        "blueprint": action.blueprint or entity.get("blueprint"),
        "entity": entity.get("identifier"),
        "properties": dict(properties),
    }


def payload_of(request: RenderedRequest, content: bytes) -> Payload:
    """Return the payload in a request's `content`, with the run's ID and `synchronized` from the request."""
    payload = read_payload(content, Headers(request.headers))
    return replace(payload, run_id=request.run_id, synchronized=request.synchronized)


@frozen(kw_only=True)
class MadeMessage:
    """The unsigned message of a run, and how the run ends.

    With `agent`, Port's execution agent sends the request in the message. With `synchronized`, the response ends the
    run. `announcement` is what a sandbox learns about the run, or None.
    """

    action: str
    run_id: str
    document: Any
    synchronized: bool
    agent: bool
    masker: Masker = field(repr=False)
    errors: tuple[JqError, ...] = ()
    announcement: Mapping[str, Any] | None = None

    def signed(self, signer: Signer | None, *, now: float) -> SignedMessage:
        """Return the message, ready to be published. Without a signer, the message has no signature."""
        return SignedMessage(self, signed_content(self.document, signer, now=now))


@frozen
class SignedMessage:
    """A message that is ready to be published."""

    made: MadeMessage
    content: bytes

    @property
    def shown(self) -> bytes:
        """The message with its secrets masked."""
        return self.made.masker.content(self.content)


def signed_content(document: Any, signer: Signer | None, *, now: float) -> bytes:
    """Return the bytes of a message, signed at `now` if there is a signer."""
    if signer is None:
        return signed_message(document, None, "")
    return signed_message(document, signer.secret, signer.unit.stamp(now))
