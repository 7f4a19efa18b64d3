"""The command `port-hook listen`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from port_hook_cli.cli.listen_additions import Listen, merged
from port_hook_cli.cli.listen_requests import (
    ListenResponses,
    ListenServer,
    ListenStorage,
    ListenTarget,
    ListenVerification,
    Verify,
)
from port_hook_cli.cli.listen_session import ListenConfirmation, ListenEnd, ListenKey, ListenOutput, ListenTunnel
from port_hook_cli.cli.option_groups import Added, command
from port_hook_cli.errors import MissingCredentialsError, SettingsError
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.listener.policy import Policy
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET, Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer, tell
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.registry import AUTO, NO_TUNNEL

if TYPE_CHECKING:
    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.listener.serving import ListenPlan


@command
def listen(
    ctx: typer.Context,
    *,
    target: ListenTarget,
    server: ListenServer,
    tunnel: ListenTunnel,
    confirmation: ListenConfirmation,
    verification: ListenVerification,
    responses: ListenResponses,
    end: ListenEnd,
    output: ListenOutput,
    key: ListenKey,
    storage: ListenStorage,
    added: Added,
) -> int:
    """Receive Port's requests: verify, explain, save and forward them.

    Without a handler, valid requests get 200. Invalid requests get 401. Press ? to list the keys (replay, copy URL,
    hold, quit).
    """
    runtime: Runtime = ctx.obj
    is_off = verification.verify is Verify.OFF
    routes = target.routes(server.path)
    target.refuse_command_elsewhere(routes)
    from port_hook_cli.cli.listen_process import run_session
    from port_hook_cli.listener.screen import Display
    from port_hook_cli.listener.session import Interaction, Session
    from port_hook_cli.terminal.prompts import asker
    from port_hook_cli.tunnels.protocol import decline

    api = _api_settings(runtime, verification.org)
    has_sandbox = api is not None and is_on_this_machine(api.api_url)
    wants_tunnel = not (tunnel.name or has_sandbox or any(each.replaces_tunnel for each in added))
    has_terminal = runtime.stdin.isatty()  # scripts must ask for a tunnel
    # The ready lines show the source of the secret.
    chosen = partial(
        PortAccess,
        runtime,
        sayer(runtime),
        org=verification.org,
        secret_file=verification.secret_file,
        tells_secret_place=False,
    )
    asked = Listen(
        runtime=runtime,
        access=chosen(),
        ask=asker(runtime),
        is_confirmed=confirmation.yes,
        tunnel=tunnel.read(AUTO if wants_tunnel and has_terminal else NO_TUNNEL),
        has_sandbox=has_sandbox,
        has_handler=bool(target.target or target.route),
        is_verified=not is_off,
        private_key=key.private_key,
    )
    # Check the whole command line before reading the secret or opening a tunnel.
    for each in added:
        each.refuse(asked)
    plan = _plan(ctx, routes, target, server, verification, responses, end, storage)
    settings = None if is_off else chosen(needs=ONLY_THE_SECRET).settings
    if settings:
        plan = replace(plan, policy=_with_secret(plan.policy, settings))
    if any(each.needs_access for each in added):
        asked.access.settings.require_access()
    if wants_tunnel and not has_terminal:
        tell("no tunnel without a terminal. To open one, pass --tunnel auto", runtime)
    if nodes := target.nodes(routes).difference(*(each.named_nodes for each in added)):
        names = brief(", ".join(sorted(nodes)))
        tell(f"note: {names} matches only bodies with both identifiers, or any body with --retarget", runtime)
    addition = merged(each.addition(asked, plan) for each in added)
    session = Session(
        plan=plan,
        tunnel=asked.tunnel,
        pointing=addition.pointing,
        sources=addition.sources,
        companions=addition.companions,
    )
    interaction = Interaction(ask=asked.ask or decline, secret_place=settings.secret_place if settings else "")
    display = Display(
        compact=output.compact,
        names_target=bool(routes.rules),
        reports=addition.reports,
        app_url=None if api is None else api.app_url,
        reveal=addition.reveal,
        conflict=settings.conflict if settings else "",
    )
    shown_as = None if output.json else display
    words = target.command_to_run or ()
    return asyncio.run(run_session(session, runtime, shown_as, interaction, asked.access, addition, words))


def _with_secret(policy: Policy, settings: Settings) -> Policy:
    """Return the policy that verifies with the settings' secret. Raises MissingCredentialsError."""
    try:
        secret = settings.require_secret()
    except MissingCredentialsError as error:
        error.hint = f"{error.hint.removesuffix('.')}, or only look: `listen --verify off`."
        raise
    other = settings.other_secret
    return replace(policy, secret=secret, other_secrets=(other.secret,) if other else ())


def _plan(
    ctx: typer.Context,
    routes: Routes,
    target: ListenTarget,
    server: ListenServer,
    verification: ListenVerification,
    responses: ListenResponses,
    end: ListenEnd,
    storage: ListenStorage,
) -> ListenPlan:
    """Return what the listener does, without the secret. Raises UsageError for an invalid option."""
    from port_hook_cli.listener.serving import ListenPlan

    source = ctx.get_parameter_source("port")
    policy = Policy(
        secret=None,
        routes=routes,
        tolerance_s=verification.tolerance,
        strict=verification.verify is Verify.STRICT,
        allow_unverified=verification.verify is Verify.WARN,
        only=frozenset(target.only or ()),
        respond=responses.response(ctx.obj.cwd),
        delay_s=responses.delay,
        fail_first=responses.fail_first,
        max_in_flight=target.max_in_flight,
    )
    return ListenPlan(
        policy=policy,
        host=server.host,
        port=server.port,
        may_move=source is not None and source.name == "DEFAULT",
        store=storage.store,
        max_store=storage.most_on_disk(),
        keep_secrets=storage.keep_secrets,
        max_body=storage.max_body,
        forward_timeout_s=target.timeout,
        wait_for_handler_s=target.wait_for_handler,
        count=end.count,
        timeout_s=end.stop_after,
        expect=Expectation.parse(end.expect_status) if end.expect_status else None,
    )


def _api_settings(runtime: Runtime, org: str | None) -> Settings | None:
    """Return the settings with the URLs of Port, or None for a broken file. The listener then works without links."""
    try:
        return PortAccess(runtime, sayer(runtime), org=org, needs=("api_url",)).settings
    except SettingsError:
        return None
