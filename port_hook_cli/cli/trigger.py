"""`port-hook trigger`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.contradictions import refuse_contradictions
from port_hook_cli.cli.signing_options import Unit
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.forwarding import read_target
from port_hook_cli.invocations.snippets import SNIPPET_FORMATS, find_format
from port_hook_cli.runs.ids import check_run_id
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.trigger.plan import TriggerPlan
from port_hook_cli.trigger.run import run_trigger
from port_hook_cli.trigger.workflow_options import read_responses


class Operation(StrEnum):
    """What a self-service action does to its entity."""

    CREATE = "CREATE"
    DAY_2 = "DAY-2"
    DELETE = "DELETE"


class RunOrigin(StrEnum):
    """Where a self-service action was run from."""

    UI = "UI"
    API = "API"


_COMMANDS = tuple(row.name for row in SNIPPET_FORMATS if row.is_command)


def trigger(
    ctx: typer.Context,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="The file of an action, automation or workflow (JSON or YAML), FILE#ID or DIRECTORY#ID for one of "
            "several, - for stdin, or its identifier, to read it from Port. WORKFLOW#NODE runs one node.",
        ),
    ],
    to: Annotated[
        str | None, options.target("The target. Without a path, the action's path and query are used.")
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option("--route", metavar="ACTION=URL", help="Another target for this action (repeatable)."),
    ] = None,
    to_its_url: Annotated[
        bool, typer.Option("--to-its-url", help="Send to the action's own URL, even on another machine.")
    ] = False,
    kafka: Annotated[
        str | None,
        typer.Option(
            "--kafka",
            metavar="HOST:PORT",
            help="Publish the message that Port publishes to Kafka to this broker, and send no request.",
        ),
    ] = None,
    input_: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=VALUE",
            help="An input, read by its declared type; NAME:=JSON reads JSON (repeatable).",
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option("--inputs", metavar="FILE", help="Inputs as JSON or YAML, or a payload that contains them."),
    ] = None,
    entity: Annotated[
        str | None, typer.Option("--entity", metavar="FILE", help="The entity that the action runs on.")
    ] = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="FILE", help="The event that an automation runs for.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="FILE", help="The user who runs it. Default: a sample user.")
    ] = None,
    operation: Annotated[
        Operation | None, typer.Option("--operation", help="Default: the action's own operation.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="The run's id. Default: a new one.")
    ] = None,
    origin: Annotated[RunOrigin, typer.Option("--origin", help="Where the action was run from.")] = RunOrigin.UI,
    secrets: Annotated[
        str | None,
        typer.Option("--secrets", metavar="FILE", help="The organization's secrets for `.secrets`: JSON or .env."),
    ] = None,
    dry_run: options.DryRun = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Print the request as a command to paste, without sending it.",
            metavar=f"<{'|'.join(_COMMANDS)}>",
            parser=options.one_of(_COMMANDS),
        ),
    ] = None,
    via_port: Annotated[
        bool, typer.Option("--via-port", help="Run the action or workflow in Port instead, for real.")
    ] = False,
    wait_s: Annotated[
        float,
        options.seconds(
            "--wait",
            "With --via-port: follow the run for at most S seconds. For a workflow: wait as long for each report.",
        ),
    ] = 0.0,
    outputs: Annotated[
        str | None,
        typer.Option(
            "--outputs",
            metavar="FILE|last",
            help="The outputs of nodes that should not run: a map, or a run as Port shows it. last: the newest run.",
        ),
    ] = None,
    output_of: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="NODE.PATH=JSON",
            help="One value in the output of a node that should not run (repeatable).",
        ),
    ] = None,
    respond: Annotated[
        list[str] | None,
        typer.Option("--respond", metavar="NODE=OUTLET", help="The response to an INPUT node (repeatable)."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if a jq expression fails, instead of using null.")
    ] = False,
    no_sign: Annotated[bool, typer.Option("--no-sign", help="Send without a signature; needs no secret.")] = False,
    unit: Unit = TimestampUnit.SECONDS,
    timeout_s: options.ResponseTimeout = 40.0,
    api_timeout_s: options.ApiTimeout = API_TIMEOUT_S,
    json: options.Json = False,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
    insecure_api: options.InsecureApi = False,
) -> ExitCode:
    """Invoke an action, automation or workflow as Port does: check, render, sign, send.

    Inputs are checked and defaults filled in, templates are rendered with jq, and the request is sent to your handler.
    Exits with code 1 if the response is not 2xx, and with 11 if the automation's condition is not met.
    """
    plan = TriggerPlan(
        action=action,
        to=None if to is None else read_target(to, "--to"),
        routes=_routes(route or []),
        to_its_url=to_its_url,
        inputs=tuple(input_ or []),
        inputs_file=inputs,
        entity_file=entity,
        event_file=event,
        user_file=user,
        operation=None if operation is None else str(operation),
        run_id=None if run_id is None else check_run_id(run_id),
        origin=str(origin),
        secrets_file=secrets,
        dry_run=dry_run,
        output=None if output is None else find_format(output),
        via_port=via_port,
        wait_s=wait_s,
        strict=strict,
        no_sign=no_sign,
        unit=unit,
        timeout_s=timeout_s,
        api_timeout_s=api_timeout_s,
        json=json,
        org=org,
        secret_file=secret_file,
        insecure_api=insecure_api,
        outputs_file=outputs,
        output_texts=tuple(output_of or []),
        responses=read_responses(respond or []),
        brokers=() if kafka is None else _read_brokers(kafka),
    )
    _refuse_contradictions(ctx, plan)
    return run_trigger(plan, ctx.obj)


def _read_brokers(text: str) -> tuple[str, ...]:
    from port_hook_cli.kafka.local import read_bootstrap

    return read_bootstrap(text)


def _routes(texts: list[str]) -> dict[str, str]:
    routes = {}
    for text in texts:
        action, equals, target = text.partition("=")
        if not (action and equals and target):
            raise UsageError(f"--route {text!r} is not ACTION=URL.", hint="Write it as --route create_vm=8001.")
        routes[action] = read_target(target, "--route")
    return routes


_NOT_VIA_PORT = {
    "--to": "to",
    "--to-its-url": "to_its_url",
    "--event": "event",
    "--outputs": "outputs",
    "--output": "output_of",
    "--respond": "respond",
    "--operation": "operation",
    "--run-id": "run_id",
    "--origin": "origin",
    "--secrets": "secrets",
    "--dry-run": "dry_run",
    "--format": "output",
    "--strict": "strict",
    "--no-sign": "no_sign",
    "--timestamp-unit": "unit",
    "--timeout": "timeout_s",
}


def _refuse_contradictions(ctx: typer.Context, plan: TriggerPlan) -> None:
    ignored = {flag: plan.via_port and options.is_given(ctx, name) for flag, name in _NOT_VIA_PORT.items()}
    refuse_contradictions(
        {"--json": plan.json, "--format": plan.output is not None},
        {"--kafka": bool(plan.brokers), "--format": plan.output is not None},
        {"--kafka": bool(plan.brokers), "--via-port": plan.via_port},
        stdin=plan.inputs_by_name,
        pointless={"--via-port has Port make the request": ignored},
    )
