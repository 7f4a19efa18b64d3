"""`port-hook agent`."""

from __future__ import annotations

from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.contradictions import refuse_contradictions
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.forwarding import read_target
from port_hook_cli.prediction.message import AgentTransport, AgentVersion
from port_hook_cli.runtime import Runtime

_LOWEST_STATUS, _HIGHEST_STATUS = 200, 599


def agent(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="MESSAGE",
            help="A file (a message of a topic, a run that the agent claims, a payload, a capture; - for stdin), a "
            "capture's id, or `last`.",
            show_default=False,
        ),
    ] = None,
    kafka: Annotated[
        bool,
        typer.Option(
            "--kafka",
            help="Show each message of the agent's Kafka topics as it arrives, without taking it from the agent.",
        ),
    ] = False,
    poll: Annotated[
        bool,
        typer.Option(
            "--poll",
            help="Show each action run in progress that is for the agent, without claiming it; see --take-over.",
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="With --kafka or --poll: show messages or runs since this time: 10m, 2h, or 2026-05-01T13:30.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", help="With --kafka or --poll: stop after N messages or runs.", min=1),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            "--mapping",
            metavar="FILE",
            help="The agent's mapping file. Default: CONTROL_THE_PAYLOAD_CONFIG_PATH, or "
            "control_the_payload_config.json in this folder, or the agent's own default.",
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="FILE", help="Check a mapping file instead, without a message."),
    ] = None,
    transport: Annotated[
        AgentTransport | None,
        typer.Option(
            "--transport", help="How the agent gets the message. Default: STREAMER_NAME, or what the message shows."
        ),
    ] = None,
    agent_version: Annotated[
        AgentVersion,
        typer.Option(
            "--agent-version",
            help="Predict the agent of May 2026, of a later time or in its latest version: messages and logs differ.",
        ),
    ] = AgentVersion.LATEST,
    status: Annotated[
        int | None,
        typer.Option(
            "--status",
            metavar="CODE",
            min=_LOWEST_STATUS,
            max=_HIGHEST_STATUS,
            help="Show what the agent reports for this status only.",
        ),
    ] = None,
    response: Annotated[
        str | None,
        typer.Option(
            "--response",
            metavar="FILE",
            help="Show what the agent reports for a response with this body, and with --status or 200.",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME", help="Let expressions read this variable (repeatable). Default: none."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print only the bytes of the request.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the prediction again whenever the mapping file changes, until Ctrl-C.")
    ] = False,
    send: Annotated[bool, typer.Option("--send", help="Send the request, to this machine only.")] = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL|PORT", help="With --send: the target. Without a path, the request's is used."
        ),
    ] = None,
    to_its_url: Annotated[
        bool, typer.Option("--to-its-url", help="With --send: send to the request's URL, even on another machine.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="With --send: report the run to Port as the agent does, for real.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="With --poll --send: claim runs from Port, so that a running agent does not get them. Not needed for a"
            " sandbox on this machine.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --take-over begins.")] = False,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="S",
            min=0,
            help="With --send: wait S seconds for the response; 0 waits indefinitely. The default is the agent's "
            "timeout.",
            callback=options.finite,
        ),
    ] = 30.0,
    api_timeout_s: options.ApiTimeout = API_TIMEOUT_S,
    json: options.Json = False,
    store: options.Store = None,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
    insecure_api: options.InsecureApi = False,
) -> ExitCode:
    """Show what Port's execution agent does with a message: mapping, request, reports.

    Prints which mapping is used, the exact request, and the calls to Port for each response. Nothing is sent without
    --send. Expressions read only the environment variables of --env; in the agent, they can read all.
    """
    runtime: Runtime = ctx.obj
    streams = kafka or poll
    refuse_contradictions(
        {"a MESSAGE": source is not None, "--check": check is not None, "--kafka": kafka, "--poll": poll},
        {"--json": json, "--raw": raw},
        {"--watch": watch, "--raw": raw, "--send": send},
        {"--to": to is not None, "--to-its-url": to_its_url},
        {"--send": send, "--status": status is not None},
        {"--send": send, "--response": response is not None},
        {"--kafka": kafka, "--transport polling": transport is AgentTransport.POLLING},
        {"--poll": poll, "--transport kafka": transport is AgentTransport.KAFKA},
        stdin=(
            ("the message", source),
            ("the mapping file", mapping if check is None else check),
            ("the response", response),
            ("the secret", secret_file),
        ),
        pointless={
            "Nothing is sent without --send": {
                "--to": to is not None and not send,
                "--to-its-url": to_its_url and not send,
                "--report": report and not send,
            },
            "No messages arrive without --kafka or --poll": {
                "--since": not streams and since is not None,
                "--count": not streams and count is not None,
            },
            "No run is claimed without --poll and --send": {"--take-over": take_over and not (poll and send)},
            "Runs are claimed whatever their age": {"--since": poll and send and since is not None},
            "There is no question without --take-over": {"--yes": yes and not take_over},
            "--check needs no message": {
                "--mapping": check is not None and mapping is not None,
                "--env": check is not None and bool(env),
                "--watch": check is not None and watch,
                "--send": check is not None and send,
                "--raw": check is not None and raw,
            },
        },
    )
    if check is not None:
        from port_hook_cli.agent_view.checking import check_mapping_file

        return check_mapping_file(check, runtime, json=json)
    if not source and not streams:
        raise UsageError(
            "Missing argument MESSAGE.",
            hint="Name a message, add --kafka or --poll to show messages as they arrive, or check a mapping file with "
            "--check FILE.",
        )
    if raw and streams and count != 1:
        raise UsageError("--raw prints the bytes of one request, but more messages may arrive.", hint="Add --count 1.")
    if watch and mapping == "-":
        raise UsageError("stdin cannot be watched.", hint="Give the mapping as a file.")
    from port_hook_cli.agent_view.plan import AgentPlan, StreamPlan
    from port_hook_cli.agent_view.run import run_agent
    from port_hook_cli.text.durations import parse_since

    stream = StreamPlan(
        transport=AgentTransport.POLLING if poll else AgentTransport.KAFKA,
        since_s=None if since is None else parse_since(since, now=runtime.now()),
        count=count,
        take_over=take_over,
        yes=yes,
    )
    plan = AgentPlan(
        source=source or stream,
        mapping=mapping,
        transport=transport,
        version=agent_version,
        response=response,
        status=status,
        variables=tuple(env or ()),
        raw=raw,
        watch=watch,
        send=send,
        to=None if to is None else read_target(to, "--to"),
        to_its_url=to_its_url,
        report=report,
        timeout_s=timeout_s,
        api_timeout_s=api_timeout_s,
        json=json,
        store=store,
        org=org,
        secret_file=secret_file,
        insecure_api=insecure_api,
    )
    return run_agent(plan, runtime)
