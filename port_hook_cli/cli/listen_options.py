"""The options of `listen`, in the groups of its help, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from port_hook_cli.cli.contradictions import refuse_contradictions
from port_hook_cli.cli.options import finite, is_given, one_of, seconds, size
from port_hook_cli.listener.options import read_delay
from port_hook_cli.listener.policy import DelayRange
from port_hook_cli.tunnels.registry import tunnel_help


def _delay(text: str) -> DelayRange:
    try:
        return read_delay(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


# Target
ForwardTo = Annotated[
    str | None,
    typer.Option("--forward-to", metavar="URL|PORT", help="Your handler. The path of a URL replaces Port's path."),
]
Route = Annotated[
    list[str] | None,
    typer.Option(
        "--route",
        metavar="RULE=URL",
        help="Another handler for an ACTION, blueprint:NAME, WORKFLOW#NODE or jq:EXPRESSION (repeatable; the first"
        " match wins).",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="ACTION", help="Show and forward only this action; others get 200 (repeatable)."),
]
MaxInFlight = Annotated[
    int | None,
    typer.Option(
        "--max-in-flight",
        metavar="N",
        min=1,
        help="Forward N requests at a time at most; the others wait for their turn.",
    ),
]
InOrder = Annotated[
    bool,
    typer.Option(
        "--in-order/--no-in-order", help="Forward the requests of one run one after the other, as they arrive."
    ),
]
ForwardTimeout = Annotated[
    float, seconds("--forward-timeout", "Wait S seconds for the handler's response; 0 waits indefinitely.")
]

# Server
ListenPort = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="The port to listen on; 0 takes any free one.")
]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="The address to listen on. Any address but loopback exposes it to your network.",
    ),
]
ServedPath = Annotated[str, typer.Option("--path", metavar="P", help="Serve only this path and the paths below it.")]

# Tunnel
Tunnel = Annotated[str | None, typer.Option("--tunnel", metavar="NAME|URL", help=tunnel_help())]
PublicUrl = Annotated[
    str | None,
    typer.Option("--public-url", metavar="URL", help="The public URL of a tunnel that you run yourself."),
]
Domain = Annotated[str | None, typer.Option("--domain", metavar="NAME", help="Your static domain (--tunnel ngrok).")]
AcceptHostKey = Annotated[
    str | None,
    typer.Option(
        "--accept-host-key",
        metavar="SHA256:…",
        help="Trust an SSH server's key with this fingerprint without asking.",
    ),
]
ProbeInterval = Annotated[
    float, seconds("--probe-interval", "Check the public URL every S seconds; 0 disables the check.")
]
ExitOnTunnelLoss = Annotated[
    float | None,
    seconds("--exit-on-tunnel-loss", "Exit with code 10 after S seconds without a working tunnel."),
]
Copy = Annotated[bool, typer.Option("--copy", help="Copy the public URL to the clipboard.")]

# Kafka
Kafka = Annotated[
    bool,
    typer.Option("--kafka", help="Also read the Kafka topics of Port's execution agent, without taking its messages."),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Start with messages since this time: 10m, 2h, or 2026-05-01T13:30."),
]
FromEnd = Annotated[
    bool,
    typer.Option("--from-end", help="Start at the end, not where the last listener with this store stopped."),
]
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="NAME", help="Join a consumer group; its name must start with your org's id."),
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Join the agent's own group: the agent does not get the messages that this listener gets.",
    ),
]

# Actions and workflows in Port
RetargetNames = Annotated[
    list[str] | None,
    typer.Option(
        "--retarget",
        metavar="NAME",
        help="Point an action, or a workflow's node (WORKFLOW#NODE), in Port at the public URL until listen ends"
        " (repeatable).",
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Do not ask before --retarget changes anything or --take-over begins.")
]

# Verification
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Forward only requests whose signature matches the raw bytes ('valid')."),
]
RefuseReplays = Annotated[
    bool,
    typer.Option("--refuse-replays", help="Respond 401 to a signature that was used before within the tolerance."),
]
AllowUnverified = Annotated[
    bool,
    typer.Option("--allow-unverified", help="Verify signatures, but forward requests that fail verification too."),
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Verify nothing; no client secret is needed.")]

# Responses
Respond = Annotated[
    str | None,
    typer.Option(
        "--respond", metavar="STATUS[:BODY|:@FILE]", help="Respond with this instead of forwarding. Default: 200."
    ),
]
Delay = Annotated[
    DelayRange,
    typer.Option(
        "--delay",
        metavar="S|S..S",
        help="Wait S seconds before responding, or a random time such as 2s..5s.",
        parser=_delay,
    ),
]
FailFirst = Annotated[
    int, typer.Option("--fail-first", metavar="N", min=0, help="Respond 500 to the first N invocations.")
]
FailRate = Annotated[
    float,
    typer.Option(
        "--fail-rate",
        metavar="P",
        min=0,
        max=1,
        help="Respond 500 to each invocation with the probability P, from 0 to 1.",
        callback=finite,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Repeat the random choices of --fail-rate and --delay."),
]
Drop = Annotated[
    bool,
    typer.Option(
        "--drop",
        help="Close the connection without a response, after saving; with --fail-first or --fail-rate, only for"
        " invocations that fail.",
    ),
]
MaxResponse = Annotated[
    int,
    typer.Option(
        "--max-response",
        metavar="SIZE",
        help="Respond 502 when the handler's response is larger than SIZE, such as 500KiB.",
        parser=size,
    ),
]

# Runs in Port
Follow = Annotated[
    bool,
    typer.Option("--follow", help="Watch each run in Port after a 2xx response, and show its logs and status."),
]
FollowTimeout = Annotated[float, seconds("--follow-timeout", "Follow a run for S seconds at most.")]
Report = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="success|failure",
        help="End each run in Port after the handler's response; success means FAILURE where the handler failed.",
        parser=one_of(("success", "failure")),
    ),
]

# When to stop
Count = Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="Stop after N invocations.")]
Once = Annotated[bool, typer.Option("--once", help="Stop after one invocation.")]
StopAfter = Annotated[
    float | None,
    seconds("--timeout", "Stop after S seconds; exit with code 1 if --count was not reached."),
]

# Output
Compact = Annotated[bool, typer.Option("--compact", help="Show one line per invocation.")]
Full = Annotated[bool, typer.Option("--full", help="Show everything about each invocation (the default).")]
Decrypt = Annotated[bool, typer.Option("--decrypt", help="Decrypt encrypted inputs, in the terminal only.")]
DecryptPath = Annotated[
    list[str] | None,
    typer.Option(
        "--decrypt-path",
        metavar="PATH",
        help="Decrypt this property instead of those that the payload names (repeatable).",
    ),
]

# Inspector
Inspect = Annotated[
    bool, typer.Option("--inspect", help="Open the inspector: a page in the browser that shows what arrives.")
]

# Storage
MaxCaptures = Annotated[int, typer.Option("--max-captures", metavar="N", min=1, help="Keep the newest N captures.")]
MaxStore = Annotated[
    int,
    typer.Option(
        "--max-store",
        metavar="SIZE",
        help="Keep at most SIZE on disk, such as 512MiB. The oldest unverified captures are dropped first.",
        parser=size,
    ),
]
MaxBody = Annotated[
    int,
    typer.Option(
        "--max-body",
        metavar="SIZE",
        help="Respond 413 to bodies larger than SIZE, such as 20MiB.",
        parser=size,
    ),
]
KeepSecrets = Annotated[bool, typer.Option("--keep-secrets", help="Save authorization headers and cookies unmasked.")]

_EXCLUSIVE = (
    ("--compact", "--full"),
    ("--allow-unverified", "--no-verify"),
    ("--allow-unverified", "--strict"),
    ("--no-verify", "--strict"),
    ("--no-verify", "--refuse-replays"),
    ("--json", "--compact"),
    ("--json", "--full"),
    ("--json", "--decrypt"),
    ("--json", "--decrypt-path"),
    ("--respond", "--forward-to"),
    ("--once", "--count"),
    ("--since", "--from-end"),
    ("--no-verify", "--report"),
    ("--no-verify", "--follow"),
)
_NEEDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "There is no inspector without --inspect": (("--inspect",), ("--inspect-port", "--actions", "--open")),
    "No messages are read without --kafka": (("--kafka",), ("--since", "--from-end", "--group", "--take-over")),
    "No group is joined without --group": (("--group",), ("--take-over",)),
    "Nothing is forwarded without --forward-to or --route": (
        ("--forward-to", "--route"),
        ("--max-in-flight", "--in-order"),
    ),
    "Nothing is random without --fail-rate or a range in --delay": (("--fail-rate", "a range"), ("--seed",)),
}
"""Reason -> the options of which one is needed, and those that have no effect without it."""


def refuse_listen_contradictions(ctx: typer.Context) -> None:
    """Raise UsageError for options of `listen` that contradict each other or have no effect."""
    given = _given(ctx)
    refuse_contradictions(
        *({name: name in given for name in names} for names in _EXCLUSIVE),
        pointless={
            reason: {name: name in given for name in names}
            for reason, (needed, names) in _NEEDS.items()
            if given.isdisjoint(needed)
        },
    )


def _given(ctx: typer.Context) -> set[str]:
    """Return the options that differ from their defaults, and `a range` if the delay is random."""
    values = {max(option.opts, key=len): (option, ctx.params.get(option.name or "")) for option in ctx.command.params}
    given = {name for name, (option, value) in values.items() if value not in (None, [], (), option.default)}
    given -= {"--in-order"}
    given |= {"--in-order"} if is_given(ctx, "in_order") else set()  # it is on by default
    delay = ctx.params["delay"]
    return given | ({"a range"} if delay.least_s < delay.most_s else set())
