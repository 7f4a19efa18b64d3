"""`port-hook listen`."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import typer

from port_hook_cli.cli import listen_options, options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.listen_options import refuse_listen_contradictions
from port_hook_cli.errors import SettingsError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.listener.options import (
    check_max_body,
    check_max_store,
    read_public_url,
    read_response,
    read_routes,
    read_tunnel,
)
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.responses import OK
from port_hook_cli.port_api.credentials import read_settings
from port_hook_cli.port_api.settings import ONLY_THE_SECRET
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from port_hook_cli.actions.encrypted_inputs import Decryption
    from port_hook_cli.invocations.models import Exchange
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.session import Session
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.port_api.settings import Settings

    Reveal = Callable[[Exchange], Sequence[Decryption]]


_MOST_SEED = 1_000_000


def listen(
    ctx: typer.Context,
    port: listen_options.ListenPort = 8787,
    host: listen_options.Host = "127.0.0.1",
    path: listen_options.ServedPath = "/",
    forward_to: listen_options.ForwardTo = None,
    route: listen_options.Route = None,
    tunnel: listen_options.Tunnel = None,
    public_url: listen_options.PublicUrl = None,
    domain: listen_options.Domain = None,
    accept_host_key: listen_options.AcceptHostKey = None,
    probe_interval: listen_options.ProbeInterval = 30.0,
    exit_on_tunnel_loss: listen_options.ExitOnTunnelLoss = None,
    copy: listen_options.Copy = False,
    retarget: listen_options.RetargetNames = None,
    yes: listen_options.Yes = False,
    kafka: listen_options.Kafka = False,
    since: listen_options.Since = None,
    from_end: listen_options.FromEnd = False,
    group: listen_options.Group = None,
    take_over: listen_options.TakeOver = False,
    tolerance: options.Tolerance = 300.0,
    strict: listen_options.Strict = False,
    refuse_replays: listen_options.RefuseReplays = False,
    allow_unverified: listen_options.AllowUnverified = False,
    no_verify: listen_options.NoVerify = False,
    respond: listen_options.Respond = None,
    delay: listen_options.Delay = "0",  # type: ignore[assignment] # its parser reads it
    fail_first: listen_options.FailFirst = 0,
    fail_rate: listen_options.FailRate = 0.0,
    seed: listen_options.Seed = None,
    drop: listen_options.Drop = False,
    forward_timeout: listen_options.ForwardTimeout = 30.0,
    max_in_flight: listen_options.MaxInFlight = None,
    in_order: listen_options.InOrder = True,
    only: listen_options.Only = None,
    count: listen_options.Count = None,
    once: listen_options.Once = False,
    timeout: listen_options.StopAfter = None,
    expect_status: options.ExpectStatus = None,
    follow: listen_options.Follow = False,
    follow_timeout: listen_options.FollowTimeout = 600.0,
    report: listen_options.Report = None,
    decrypt: listen_options.Decrypt = False,
    decrypt_path: listen_options.DecryptPath = None,
    private_key: options.PrivateKey = None,
    compact: listen_options.Compact = False,
    full: listen_options.Full = False,  # noqa: ARG001 - the default; it contradicts others
    json_: options.Json = False,
    inspect: listen_options.Inspect = False,
    inspect_port: options.InspectPort = 0,
    actions: options.InspectActions = None,
    open_: options.OpenBrowser = False,
    store: options.Store = None,
    max_captures: listen_options.MaxCaptures = 10_000,
    max_store: listen_options.MaxStore = "1GiB",  # type: ignore[assignment] # its parser reads it
    keep_secrets: listen_options.KeepSecrets = False,
    max_body: listen_options.MaxBody = "10MiB",  # type: ignore[assignment] # its parser reads it
    max_response: listen_options.MaxResponse = "32MiB",  # type: ignore[assignment] # its parser reads it
    api_timeout: options.ApiTimeout = API_TIMEOUT_S,
    secret_file: options.SecretFile = None,
    org: options.Org = None,
    insecure_api: options.InsecureApi = False,
) -> ExitCode:
    """Receive Port's invocations: verify, explain, save, forward and respond.

    Without --forward-to, the response to each verified invocation is 200. Requests that fail verification are shown,
    explained and saved; they are not forwarded, and the response is 401. On a terminal, press ? for the keys that
    replay, copy the public URL, switch the view, open the inspector, hold incoming requests and quit.
    """
    runtime: Runtime = ctx.obj
    refuse_listen_contradictions(ctx)
    from port_hook_cli.kafka.opening import KafkaOptions, kafka_opening
    from port_hook_cli.listener.asking import asker
    from port_hook_cli.listener.public_url import TunnelOptions
    from port_hook_cli.listener.serving import ListenPlan
    from port_hook_cli.listener.session import Retarget, Session
    from port_hook_cli.retarget.entry import split_name
    from port_hook_cli.text.durations import parse_since

    tunnel_options = TunnelOptions(
        choice=read_tunnel(
            "none" if kafka and not (tunnel or public_url or domain or accept_host_key) else tunnel,
            {"--public-url": public_url, "--domain": domain, "--accept-host-key": accept_host_key},
        ),
        public_url=read_public_url(public_url),
        domain=domain,
        accept_host_key=accept_host_key,
        probe_interval_s=probe_interval,
        exit_after_s=exit_on_tunnel_loss,
    )
    # The ready lines say where the secret comes from.
    read = partial(read_settings, runtime, org=org, secret_file=secret_file, tells_secret_place=False)
    settings = None if no_verify else read(needs=ONLY_THE_SECRET)
    policy = Policy(
        secret=settings.require_secret() if settings else None,
        routes=read_routes(forward_to, route or [], path),
        tolerance_s=tolerance,
        strict=strict,
        allow_unverified=allow_unverified,
        refuse_replays=refuse_replays,
        only=frozenset(only or ()),
        respond=read_response(respond, runtime.cwd) if respond else OK,
        delay=delay,
        fail_first=fail_first,
        fail_rate=fail_rate,
        seed=secrets.randbelow(_MOST_SEED) if seed is None else seed,
        drop=drop,
        max_in_flight=max_in_flight,
        in_order=in_order,
    )
    plan = ListenPlan(
        policy=policy,
        host=host,
        port=port,
        store=store,
        max_captures=max_captures,
        max_store=check_max_store(max_store, check_max_body(max_body)),
        keep_secrets=keep_secrets,
        max_body=max_body,
        forward_timeout_s=forward_timeout,
        max_response=max_response,
        count=1 if once else count,
        timeout_s=timeout,
        expect=Expectation.parse(expect_status) if expect_status else None,
    )
    for name in retarget or ():
        split_name(name)  # an incomplete name is refused before a tunnel is opened
    session = Session(
        plan=plan,
        tunnel=tunnel_options,
        ask=asker(runtime),
        copy=copy,
        secret_place=settings.secret_place if settings else "",
        retarget=Retarget(
            names=retarget,
            settings=read(insecure_api=insecure_api),
            yes=yes,
            api_timeout_s=api_timeout,
        )
        if retarget
        else None,
    )
    if kafka:
        opening_kafka = kafka_opening(
            runtime,
            partial(read, insecure_api=insecure_api),
            KafkaOptions(
                group=group,
                take_over=take_over,
                yes=yes,
                since_s=None if since is None else parse_since(since, now=runtime.now()),
                from_end=from_end,
                forwards=bool(forward_to or route),
            ),
            session.ask,
            api_timeout,
        )
        session = replace(session, sources=(opening_kafka,))
    reveal = _reveal(decrypt_path or [], private_key, policy.secret, runtime) if decrypt or decrypt_path else None
    observers: list[Observer] = []
    open_page: Callable[[], None] | None = None
    opening = _api_opening(partial(read, insecure_api=insecure_api), runtime, api_timeout) if follow or report else None
    if inspect:
        from port_hook_cli.cli.inspect import beside_listener

        observer, companion, open_page = beside_listener(
            plan,
            runtime,
            port=inspect_port,
            actions=actions or [],
            settings=cache(partial(read, insecure_api=insecure_api)),
            private_key=private_key,
            opens=open_,
        )
        observers.append(observer)
        session = replace(session, companions=(companion,))
    return asyncio.run(
        _run(
            session,
            runtime,
            observers,
            app_url=_app_url(runtime, org),
            compact=compact,
            as_json=json_,
            reveal=reveal,
            conflict=settings.conflict if settings else "",
            run_observers=_run_observers(opening, report=report, follow_s=follow_timeout if follow else None),
            open_page=open_page,
        )
    )


async def _run(
    session: Session,
    runtime: Runtime,
    observers: Sequence[Observer],
    *,
    app_url: str | None,
    compact: bool,
    as_json: bool,
    reveal: Reveal | None,
    conflict: str,
    run_observers: Callable[[Observer, set[str]], Sequence[Observer]],
    open_page: Callable[[], None] | None,
) -> ExitCode:
    from port_hook_cli.listener.keys import KeyCommands
    from port_hook_cli.listener.screen import JsonScreen, TextScreen
    from port_hook_cli.listener.session import run_session

    broken, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_broken() -> None:
        loop.call_soon_threadsafe(broken.set)

    screen = (
        JsonScreen(runtime.stdout, runtime.stderr, on_broken=on_broken)
        if as_json
        else TextScreen(
            runtime.stdout,
            runtime.stderr,
            environ=runtime.environ,
            compact=compact,
            app_url=app_url,
            on_broken=on_broken,
            reveal=reveal,
            conflict=conflict,
        )
    )
    settled: set[str] = set()
    if isinstance(screen, TextScreen):
        keys = KeyCommands(runtime, session.plan.policy.secret, toggle=screen.toggle, open_page=open_page)
        session, observers = replace(session, keys=keys), [*observers, keys]
    session = replace(session, settled=settled)
    return await run_session(session, runtime, [screen, *observers, *run_observers(screen, settled)], broken)


def _api_opening(read: Callable[[], Settings], runtime: Runtime, timeout_s: float) -> Callable[[], PortApi]:
    """Return a function that opens a client of Port's API; raises SettingsError now if a setting is missing."""
    from port_hook_cli.port_api.credentials import open_port_api

    settings = read()
    settings.require_access()
    return lambda: open_port_api(settings, runtime, timeout_s=timeout_s)


def _run_observers(
    opening: Callable[[], PortApi] | None, *, report: str | None, follow_s: float | None
) -> Callable[[Observer, set[str]], Sequence[Observer]]:
    """Return a function that returns the observers of runs in Port, the one that reports before the one that follows.

    It gets the screen, and a set for the ids of the runs that have ended.
    """

    def build(screen: Observer, settled: set[str]) -> Sequence[Observer]:
        if opening is None:
            return ()
        observers: list[Observer] = []
        if report is not None:
            from port_hook_cli.listener.run_reporter import RunReporter
            from port_hook_cli.runs.updates import RunStatus

            observers.append(RunReporter(RunStatus(report), opening, screen, settled))
        if follow_s is not None:
            from port_hook_cli.listener.run_follower import RunFollower

            observers.append(RunFollower(opening, screen, settled, timeout_s=follow_s))
        return observers

    return build


def _reveal(paths: list[str], private_key: str | None, secret: Secret | None, runtime: Runtime) -> Reveal:
    """Return what decrypts the inputs that are shown; may ask for the passphrase of the key."""
    from port_hook_cli.cli.keys import build_decrypter
    from port_hook_cli.javascript.paths import JsonPath

    return build_decrypter(secret, private_key, runtime, paths=tuple(map(JsonPath.parse, paths))).reveal


def _app_url(runtime: Runtime, org: str | None) -> str | None:
    """Return where the pages of runs are; a settings file that is broken costs the link, not the listener."""
    try:
        return read_settings(runtime, org=org, secret_file=None, needs=("api_url",)).app_url
    except SettingsError:
        return None
