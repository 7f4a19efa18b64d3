"""`port-hook listen`."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.cli.contradictions import refuse_contradictions
from port_hook_cli.cli.options import (
    ApiTimeout,
    InsecureApi,
    InspectActions,
    InspectPort,
    Json,
    OpenBrowser,
    Org,
    SecretFile,
    Store,
    Tolerance,
    finite,
    is_given,
    one_of,
    size,
)
from port_hook_cli.errors import ExitCode, SettingsError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.listener.options import (
    check_max_store,
    read_delay,
    read_public_url,
    read_response,
    read_routes,
    read_tunnel,
)
from port_hook_cli.listener.policy import DelayRange, Policy
from port_hook_cli.listener.responses import OK
from port_hook_cli.port_api.credentials import read_settings
from port_hook_cli.port_api.settings import ONLY_THE_SECRET
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret
from port_hook_cli.tunnels.registry import tunnel_help

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


def _delay(text: str) -> DelayRange:
    try:
        return read_delay(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def listen(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option(metavar="N", help="The port to listen on; 0 takes any free one.", min=0, max=65535)
    ] = 8787,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="The address to listen on. Any address but loopback exposes it to your network."
        ),
    ] = "127.0.0.1",
    path: Annotated[str, typer.Option(metavar="P", help="Serve only this path and the paths below it.")] = "/",
    forward_to: Annotated[
        str | None,
        typer.Option(metavar="URL|PORT", help="Your handler. The path of a URL replaces Port's path."),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE=URL",
            help="Another handler for an ACTION, blueprint:NAME, WORKFLOW#NODE or jq:EXPRESSION (repeatable; the first"
            " match wins).",
        ),
    ] = None,
    tunnel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|URL",
            help=tunnel_help(),
        ),
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The public URL of a tunnel that you run yourself.")
    ] = None,
    domain: Annotated[str | None, typer.Option(metavar="NAME", help="Your static domain (--tunnel ngrok).")] = None,
    accept_host_key: Annotated[
        str | None,
        typer.Option(metavar="SHA256:…", help="Trust an SSH server's key with this fingerprint without asking."),
    ] = None,
    probe_interval: Annotated[
        float,
        typer.Option(
            metavar="S",
            help="Check the public URL every S seconds; 0 disables the check.",
            min=0,
            callback=finite,
        ),
    ] = 30.0,
    exit_on_tunnel_loss: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Exit with code 10 after S seconds without a working tunnel.", min=0, callback=finite
        ),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the public URL to the clipboard.")] = False,
    retarget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Point an action, or a workflow's node (WORKFLOW#NODE), in Port at the public URL until listen ends"
            " (repeatable).",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before --retarget changes anything or --take-over begins.")
    ] = False,
    kafka: Annotated[
        bool,
        typer.Option(
            "--kafka", help="Also read the Kafka topics of Port's execution agent, without taking its messages."
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Start with messages since this time: 10m, 2h, or 2026-05-01T13:30."
        ),
    ] = None,
    from_end: Annotated[
        bool, typer.Option("--from-end", help="Start at the end, not where the last listener with this store stopped.")
    ] = False,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="NAME", help="Join a consumer group; its name must start with your org's id."),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Join the agent's own group: the agent does not get the messages that this listener gets.",
        ),
    ] = False,
    tolerance: Tolerance = 300.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Forward only requests whose signature matches the raw bytes ('valid').")
    ] = False,
    refuse_replays: Annotated[
        bool,
        typer.Option("--refuse-replays", help="Respond 401 to a signature that was used before within the tolerance."),
    ] = False,
    allow_unverified: Annotated[
        bool,
        typer.Option("--allow-unverified", help="Verify signatures, but forward requests that fail verification too."),
    ] = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Verify nothing; no client secret is needed.")] = False,
    respond: Annotated[
        str | None,
        typer.Option(metavar="STATUS[:BODY|:@FILE]", help="Respond with this instead of forwarding. Default: 200."),
    ] = None,
    delay: Annotated[
        DelayRange,
        typer.Option(
            metavar="S|S..S", help="Wait S seconds before responding, or a random time such as 2s..5s.", parser=_delay
        ),
    ] = "0",  # type: ignore[assignment] # `_delay` reads it
    fail_first: Annotated[int, typer.Option(metavar="N", help="Respond 500 to the first N invocations.", min=0)] = 0,
    fail_rate: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="Respond 500 to each invocation with the probability P, from 0 to 1.",
            min=0,
            max=1,
            callback=finite,
        ),
    ] = 0.0,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Repeat the random choices of --fail-rate and --delay.")
    ] = None,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop",
            help="Close the connection without a response, after saving; with --fail-first or --fail-rate, only for"
            " invocations that fail.",
        ),
    ] = False,
    forward_timeout: Annotated[
        float,
        typer.Option(
            metavar="S", help="Wait S seconds for the handler's response; 0 waits indefinitely.", min=0, callback=finite
        ),
    ] = 30.0,
    max_in_flight: Annotated[
        int | None,
        typer.Option(metavar="N", help="Forward N requests at a time at most; the others wait for their turn.", min=1),
    ] = None,
    in_order: Annotated[
        bool,
        typer.Option(
            "--in-order/--no-in-order", help="Forward the requests of one run one after the other, as they arrive."
        ),
    ] = True,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ACTION", help="Show and forward only this action; others get 200 (repeatable)."),
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", help="Stop after N invocations.", min=1)] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after one invocation.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Stop after S seconds; exit with code 1 if --count was not reached.",
            min=0,
            callback=finite,
        ),
    ] = None,
    expect_status: Annotated[
        str | None, typer.Option(metavar="CODE|2xx", help="Exit with code 1 unless every response had this status.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Watch each run in Port after a 2xx response, and show its logs and status."),
    ] = False,
    follow_timeout: Annotated[
        float,
        typer.Option(metavar="S", help="Follow a run for S seconds at most.", min=0, callback=finite),
    ] = 600.0,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="success|failure",
            help="End each run in Port after the handler's response; success means FAILURE where the handler failed.",
            parser=one_of(("success", "failure")),
        ),
    ] = None,
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Decrypt encrypted inputs, in the terminal only.")] = False,
    decrypt_path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Decrypt this property instead of those that the payload names (repeatable)."
        ),
    ] = None,
    private_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="The private key for inputs with client-side encryption.")
    ] = None,
    compact: Annotated[bool, typer.Option("--compact", help="Show one line per invocation.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show everything about each invocation (the default).")] = False,
    json_: Json = False,
    inspect: Annotated[
        bool, typer.Option("--inspect", help="Open the inspector: a page in the browser that shows what arrives.")
    ] = False,
    inspect_port: InspectPort = 0,
    actions: InspectActions = None,
    open_: OpenBrowser = False,
    store: Store = None,
    max_captures: Annotated[int, typer.Option(metavar="N", help="Keep the newest N captures.", min=1)] = 10_000,
    max_store: Annotated[
        int,
        typer.Option(
            metavar="SIZE",
            help="Keep at most SIZE on disk, such as 512MiB. The oldest unverified captures are dropped first.",
            parser=size,
        ),
    ] = "1GiB",  # type: ignore[assignment] # `size` reads it
    keep_secrets: Annotated[
        bool, typer.Option("--keep-secrets", help="Save authorization headers and cookies unmasked.")
    ] = False,
    max_body: Annotated[
        int,
        typer.Option(metavar="SIZE", help="Respond 413 to bodies larger than SIZE, such as 20MiB.", parser=size),
    ] = "10MiB",  # type: ignore[assignment] # `size` reads it
    max_response: Annotated[
        int,
        typer.Option(
            metavar="SIZE",
            help="Respond 502 when the handler's response is larger than SIZE, such as 500KiB.",
            parser=size,
        ),
    ] = "32MiB",  # type: ignore[assignment] # `size` reads it
    api_timeout: ApiTimeout = API_TIMEOUT_S,
    secret_file: SecretFile = None,
    org: Org = None,
    insecure_api: InsecureApi = False,
) -> ExitCode:
    """Receive Port's invocations: verify, explain, save, forward and respond.

    Without --forward-to, the response to each verified invocation is 200. Requests that fail verification are shown,
    explained and saved; they are not forwarded, and the response is 401. On a terminal, press ? for the keys that
    replay, copy the public URL, switch the view, open the inspector, hold incoming requests and quit.
    """
    runtime: Runtime = ctx.obj
    refuse_contradictions(
        {"--compact": compact, "--full": full},
        {"--allow-unverified": allow_unverified, "--no-verify": no_verify},
        {"--allow-unverified": allow_unverified, "--strict": strict},
        {"--no-verify": no_verify, "--strict": strict},
        {"--no-verify": no_verify, "--refuse-replays": refuse_replays},
        {"--json": json_, "--compact": compact},
        {"--json": json_, "--full": full},
        {"--json": json_, "--decrypt": decrypt or bool(decrypt_path)},
        {"--respond": bool(respond), "--forward-to": bool(forward_to)},
        {"--once": once, "--count": count is not None},
        {"--since": since is not None, "--from-end": from_end},
        {"--no-verify": no_verify, "--report": bool(report)},
        {"--no-verify": no_verify, "--follow": follow},
        pointless={
            "There is no inspector without --inspect": {
                "--inspect-port": not inspect and bool(inspect_port),
                "--actions": not inspect and bool(actions),
                "--open": not inspect and open_,
            },
            "No messages are read without --kafka": {
                "--since": not kafka and since is not None,
                "--from-end": not kafka and from_end,
                "--group": not kafka and group is not None,
                "--take-over": not kafka and take_over,
            },
            "No group is joined without --group": {
                "--take-over": kafka and take_over and group is None,
            },
            "Nothing is forwarded without --forward-to or --route": {
                "--max-in-flight": not (forward_to or route) and max_in_flight is not None,
                "--in-order": not (forward_to or route) and is_given(ctx, "in_order"),
            },
            "Nothing is random without --fail-rate or a range in --delay": {
                "--seed": seed is not None and not fail_rate and delay.least_s == delay.most_s,
            },
        },
    )
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
        max_store=check_max_store(max_store, max_body),
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
