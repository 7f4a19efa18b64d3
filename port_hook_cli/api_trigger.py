"""The part of the Python API that makes Port's requests: `render` and `trigger`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from port_hook_cli import api_arguments as arguments
from port_hook_cli.api_sent import Sent
from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import Runtime, silent_runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.remark import Remark, Say

if TYPE_CHECKING:
    from port_hook_cli.actions.action import PortAction
    from port_hook_cli.port_api.access import PortAccess


def render(template: object, data: object, *, strict: bool = False) -> Any:
    """Return the JSON value that Port renders from a template (`{{ … }}` with jq) and `data`, or UNDEFINED.

    An expression that fails becomes None. With `strict`, the failure raises RenderError. A number beyond the range of a
    double becomes None, as in JSON.stringify. All calls share one jq process, which the first call starts. The function
    is thread-safe.
    """
    from port_hook_cli.engines.renderer import shared_renderer

    return shared_renderer().render(template, data, strict=strict)


class RunAbout(TypedDict, total=False):
    """The content of a run, for `trigger`.

    `entity` is the entity that the action runs on. `event` is the event of an automation. `by` is the user who starts
    the run: a user, or all of `trigger.by`. `secrets` are the organization's secrets by name. `run_id` defaults to
    a new run ID.
    """

    entity: Mapping[str, Any]
    event: Mapping[str, Any]
    by: Mapping[str, Any]
    secrets: Mapping[str, str]
    run_id: str


_ABOUT: Mapping[str, arguments.Reader] = {
    "entity": arguments.read_object,
    "event": arguments.read_object,
    "by": arguments.read_object,
    "secrets": arguments.read_secrets,
    "run_id": arguments.read_run_id,
}


async def trigger(
    action: str | PurePath | Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    *,
    to: str | int | None = None,
    secret: str | None = None,
    timeout_s: float = 40.0,
    **about: Unpack[RunAbout],
) -> Sent:
    """Send a handler the request that Port would send for a run of an action or automation, and return it.

    `action` is a JSON or YAML file, `FILE#ID` for one of several actions in a file, an identifier in Port, or the
    action as a mapping. `inputs` are the action's inputs by name. `to` is a URL, or a port on this machine. Without
    `to`, the request goes to the action's URL, which must be on this machine. `secret` is the client secret.
    `timeout_s` is the limit for the response in seconds, and 0 waits indefinitely.

    Raises PortHookError for inputs that Port would reject, an automation that does not run for its event, a file
    without an action, a missing secret, and a URL on another machine. A missing response is a failed delivery, not an
    error. Raises TypeError for an unknown argument.
    """
    import secrets

    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.runs.ids import make_run_id
    from port_hook_cli.trigger.action import RunTarget, Unmet, address, dispatch, make
    from port_hook_cli.trigger.open_invoker import invoking
    from port_hook_cli.trigger.run_data import RunData, default_starter, read_by

    said = list[Remark]()
    runtime, target = silent_runtime(), RunTarget(to=arguments.read_address("to", to))
    timeout_s = arguments.read_seconds("timeout_s", timeout_s)
    properties = {} if inputs is None else arguments.read_object("inputs", inputs)
    given = arguments.read_all(about, _ABOUT)
    found, access = await _find_action(action, runtime, said.append)
    signer = Signer(arguments.secret_of(secret, access))
    data = RunData(
        properties=properties,
        by=read_by(given["by"]) if "by" in given else default_starter(found, given.get("event")),
        entity=given.get("entity"),
        event=given.get("event"),
        secrets=given.get("secrets", {}),
        origin="API",
    )
    run_id, now = given.get("run_id") or make_run_id(secrets.choice), runtime.now()
    with invoking(lambda: signer.secret) as invoker:
        made = await make(found, data, invoker, run_id=run_id, now=now, any_url=target.to is not None)
    if isinstance(made, Unmet):
        raise UsageError(f"The automation {found.identifier} {made.reason}.")
    ready = address(made, target, lambda: signer, id=runtime.new_id(), now=now)
    async with HttpClient(timeout_s=timeout_s) as client:
        delivery = await dispatch(ready, client, access.announce if secret is None else None)
    notes = tuple(remark.text for remark in (*said, *made.remarks))
    return Sent.of(run_id, ready.invocation, delivery, notes=notes)


async def _find_action(
    action: str | PurePath | Mapping[str, Any], runtime: Runtime, say: Say
) -> tuple[PortAction, PortAccess]:
    from port_hook_cli.actions.action import PortAction, webhook_action
    from port_hook_cli.trigger.action_files import find_action, locate

    if isinstance(action, Mapping):
        return webhook_action(arguments.read_object("action", action)), arguments.open_access(runtime, say)
    source = locate(arguments.read_name("action", action), runtime)
    access = arguments.open_access(runtime, say, only_the_secret=source.file is not None)
    found = await find_action(source, access, runtime, say)
    if not isinstance(found, PortAction) or found.is_message:
        raise UsageError(
            f"{action} is not an action with a webhook.", hint="Pass an action or automation that has one."
        )
    return found, access
