"""The command `port-hook listen`."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.listen_requests import (
    ListenResponses,
    ListenServer,
    ListenStorage,
    ListenTarget,
    ListenVerification,
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
from port_hook_cli.cli.option_groups import command
from port_hook_cli.errors import MissingCredentialsError, SettingsError
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.listener.policy import Policy
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET, Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.invocations.source import OpenSource
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.serving import ListenPlan
    from port_hook_cli.terminal.prompts import Ask


_MOST_SEED = 1_000_000


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
) -> ExitCode:
    """Receive Port's requests: verify, explain, save and forward them.

    Without --forward-to, the listener responds to each verified invocation with 200. If verification fails, it
    shows, explains and saves the request, and responds with 401 instead of forwarding it. On a terminal, press ? to
    list the keys: replay, copy the URL, switch the view, open the inspector, hold incoming requests, and quit.
    """
    runtime: Runtime = ctx.obj
    responses.refuse_seed_without_chance()
    from port_hook_cli.cli.listen_process import RunWatching, run_session
    from port_hook_cli.listener.screen import Display
    from port_hook_cli.listener.session import Interaction, Session
    from port_hook_cli.terminal.prompts import asker
    from port_hook_cli.tunnels.protocol import decline

    tunnel_options = tunnel.read(is_needed=not kafka.is_read)
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
    settings = None if verification.no_verify else chosen(needs=ONLY_THE_SECRET).settings
    secret = _secret(settings) if settings else None
    policy = _policy(target.routes(server.path), target, verification, responses, secret, runtime)
    if settings and settings.other_secret:
        policy = replace(policy, other_secrets=(settings.other_secret.secret,))
    plan = _plan(policy, target, server, responses, end, storage)
    ask = asker(runtime)
    retarget.refuse_incomplete(ask)  # checked before a tunnel is opened
    if retarget.names or runs.follow or runs.report:
        access.settings.require_access()
    session = Session(
        plan=plan,
        tunnel=tunnel_options,
        retarget=retarget.with_access(access, ask),
        sources=(_kafka_source(kafka, target, retarget, access, ask, runtime),) if kafka.is_read else (),
    )
    interaction = Interaction(
        ask=ask or decline, copies_url=tunnel.copy, secret_place=settings.secret_place if settings else ""
    )
    display = Display(
        compact=output.compact,
        app_url=_app_url(runtime, verification.org),
        reveal=output.reveal(secret, runtime),
        conflict=settings.conflict if settings else "",
    )
    observers: list[Observer] = []
    open_page: Callable[[], None] | None = None
    if inspector.inspect:
        from port_hook_cli.cli.inspect import beside_listener

        observer, companion, open_page = beside_listener(
            plan,
            runtime,
            port=inspector.inspect_port,
            actions=inspector.actions or [],
            access=access,
            private_key=output.private_key,
        )
        observers.append(observer)
        session = replace(session, companions=(companion,))
    watching = RunWatching(access=access, report=runs.report, follow_s=runs.follow_timeout if runs.follow else None)
    shown_as = None if output.json else display
    return asyncio.run(run_session(session, runtime, shown_as, interaction, watching, observers, open_page))


def _secret(settings: Settings) -> Secret:
    try:
        return settings.require_secret()
    except MissingCredentialsError as error:
        error.hint = f"{error.hint.removesuffix('.')}, or only look: `listen --verify off`."
        raise


def _policy(
    routes: Routes,
    target: ListenTarget,
    verification: ListenVerification,
    responses: ListenResponses,
    secret: Secret | None,
    runtime: Runtime,
) -> Policy:
    return Policy(
        secret=secret,
        routes=routes,
        tolerance_s=verification.tolerance,
        strict=verification.strict,
        allow_unverified=verification.allow_unverified,
        refuse_replays=verification.refuse_replays,
        only=frozenset(target.only or ()),
        respond=responses.response(runtime.cwd),
        delay=responses.delay,
        fail_first=responses.fail_first,
        fail_rate=responses.fail_rate,
        seed=secrets.randbelow(_MOST_SEED) if responses.seed is None else responses.seed,
        drop=responses.drop,
        max_in_flight=target.max_in_flight,
        in_order=target.in_order,
    )


def _plan(
    policy: Policy,
    target: ListenTarget,
    server: ListenServer,
    responses: ListenResponses,
    end: ListenEnd,
    storage: ListenStorage,
) -> ListenPlan:
    from port_hook_cli.listener.serving import ListenPlan

    return ListenPlan(
        policy=policy,
        host=server.host,
        port=server.port,
        store=storage.store,
        max_captures=storage.max_captures,
        max_store=storage.most_on_disk(),
        keep_secrets=storage.keep_secrets,
        max_body=storage.max_body,
        forward_timeout_s=target.forward_timeout,
        wait_for_handler_s=target.wait_for_handler,
        max_response=responses.max_response,
        count=1 if end.once else end.count,
        timeout_s=end.timeout,
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

    options = KafkaOptions(
        group=kafka.group,
        take_over=kafka.take_over,
        yes=retarget.yes,
        since_s=None if kafka.since is None else parse_since(kafka.since, now=runtime.now()),
        from_end=kafka.from_end,
        forwards=bool(target.forward_to or target.route),
    )
    return kafka_opening(runtime, access.client, options, ask)


def _app_url(runtime: Runtime, org: str | None) -> str | None:
    """Return the URL of Port's pages, or None for a broken settings file. The listener then works without links."""
    try:
        return PortAccess(runtime, sayer(runtime), org=org, needs=("api_url",)).settings.app_url
    except SettingsError:
        return None
