"""The command `port-hook listen`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from port_hook_cli.cli.listen_requests import (
    ListenResponses,
    ListenServer,
    ListenStorage,
    ListenTarget,
    ListenVerification,
    Verify,
)
from port_hook_cli.cli.listen_session import (
    ListenEnd,
    ListenInspector,
    ListenKafka,
    ListenOutput,
    ListenRetarget,
    ListenRuns,
    ListenTunnel,
)
from port_hook_cli.cli.option_groups import command, refuse_contradictions
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
    from collections.abc import Callable

    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.invocations.source import OpenSource
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.serving import ListenPlan
    from port_hook_cli.terminal.prompts import Ask


@command
def listen(
    ctx: typer.Context,
    *,
    target: ListenTarget,
    server: ListenServer,
    tunnel: ListenTunnel,
    kafka: ListenKafka,
    retarget: ListenRetarget,
    verification: ListenVerification,
    responses: ListenResponses,
    runs: ListenRuns,
    end: ListenEnd,
    output: ListenOutput,
    inspector: ListenInspector,
    storage: ListenStorage,
) -> int:
    """Receive Port's requests: verify, explain, save and forward them.

    Without a handler, valid requests get 200. Invalid requests get 401. Press ? to list the keys (replay, copy URL,
    hold, quit).
    """
    runtime: Runtime = ctx.obj
    is_off = verification.verify is Verify.OFF
    refuse_contradictions(
        {"--verify off": is_off, "--report": bool(runs.report)}, {"--verify off": is_off, "--follow": runs.follow}
    )
    routes = target.routes(server.path)
    target.refuse_command_elsewhere(routes)
    from port_hook_cli.cli.listen_process import RunWatching, run_session
    from port_hook_cli.listener.screen import Display
    from port_hook_cli.listener.session import Interaction, Session
    from port_hook_cli.terminal.prompts import asker
    from port_hook_cli.tunnels.protocol import decline

    api = _api_settings(runtime, verification.org)
    has_sandbox = api is not None and is_on_this_machine(api.api_url)
    wants_tunnel = not (tunnel.name or kafka.is_read or has_sandbox)
    has_terminal = runtime.stdin.isatty()  # scripts must ask for a tunnel
    tunnel_options = tunnel.read(AUTO if wants_tunnel and has_terminal else NO_TUNNEL)
    ask = asker(runtime)
    # Everything that was typed is checked before the secret is needed, and before a tunnel is opened.
    retarget.refuse_incomplete(ask)
    retarget.refuse_without_url(tunnel_options, has_sandbox=has_sandbox)
    plan = _plan(ctx, routes, target, server, verification, responses, end, storage)
    # The ready lines show the source of the secret.
    chosen = partial(
        PortAccess,
        runtime,
        sayer(runtime),
        org=verification.org,
        secret_file=verification.secret_file,
        tells_secret_place=False,
    )
    access = chosen()
    sources = (_kafka_source(kafka, target, retarget, access, ask, runtime),) if kafka.is_read else ()
    settings = None if is_off else chosen(needs=ONLY_THE_SECRET).settings
    if settings:
        plan = replace(plan, policy=_with_secret(plan.policy, settings))
    if retarget.names or runs.follow or runs.report:
        access.settings.require_access()
    if wants_tunnel and not has_terminal:
        tell("no tunnel without a terminal. To open one, pass --tunnel auto", runtime)
    if nodes := target.nodes(routes) - set(retarget.names or ()):
        names = brief(", ".join(sorted(nodes)))
        tell(f"note: {names} matches only bodies with both identifiers, or any body with --retarget", runtime)
    session = Session(
        plan=plan, tunnel=tunnel_options, pointing=retarget.pointing(access, runtime, ask), sources=sources
    )
    interaction = Interaction(ask=ask or decline, secret_place=settings.secret_place if settings else "")
    display = Display(
        compact=output.compact,
        names_target=bool(routes.rules),
        reports=bool(runs.report),
        app_url=None if api is None else api.app_url,
        reveal=output.reveal(plan.policy.secret, runtime),
        conflict=settings.conflict if settings else "",
    )
    observers: list[Observer] = []
    open_page: Callable[[], None] | None = None
    if inspector.inspect:
        from port_hook_cli.cli.inspect import beside_listener

        observer, companion, open_page = beside_listener(
            plan, runtime, port=inspector.inspect_port, access=access, private_key=output.private_key
        )
        observers.append(observer)
        session = replace(session, companions=(companion,))
    watching = RunWatching(access=access, report=runs.report, follows=runs.follow)
    shown_as = None if output.json else display
    words = target.command_to_run or ()
    return asyncio.run(run_session(session, runtime, shown_as, interaction, watching, observers, open_page, words))


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


def _kafka_source(
    kafka: ListenKafka,
    target: ListenTarget,
    retarget: ListenRetarget,
    access: PortAccess,
    ask: Ask | None,
    runtime: Runtime,
) -> OpenSource:
    from port_hook_cli.kafka.opening import KafkaOptions, kafka_opening
    from port_hook_cli.text.durations import parse_since

    from_end = kafka.since == "now"
    options = KafkaOptions(
        group=kafka.group,
        take_over=kafka.take_over,
        yes=retarget.yes,
        since_s=None if from_end or kafka.since is None else parse_since(kafka.since, now=runtime.now()),
        from_end=from_end,
        forwards=bool(target.target or target.route),
    )
    return kafka_opening(runtime, access.client, options, ask)


def _api_settings(runtime: Runtime, org: str | None) -> Settings | None:
    """Return the settings with the URLs of Port, or None for a broken file. The listener then works without links."""
    try:
        return PortAccess(runtime, sayer(runtime), org=org, needs=("api_url",)).settings
    except SettingsError:
        return None
