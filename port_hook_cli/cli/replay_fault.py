"""`replay --find-fault`: find out why a handler rejects a valid request."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.check.fault import MOST_REQUESTS, FaultKind, FaultSearch, FoundFault, find_fault
from port_hook_cli.check.subject import with_run
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import TIMESTAMP_HEADER
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.view import MOST_OF_A_URL
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.replay.rewriting import ReadyReplay, Rewriter
from port_hook_cli.replay.sending import LambdaClient, announce
from port_hook_cli.replay.sources import KINDS, ReplaySource
from port_hook_cli.replay.store import ReplayKeeper
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import SigningKeys, as_port_sends
from port_hook_cli.terminal.coding_agent import coding_agent
from port_hook_cli.terminal.console import Output, emit, rich_console, sayer, shows_progress, tell
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Secret
from port_hook_cli.text.styled import Styled
from port_hook_cli.trigger.action import RunTarget

FAULT = "port-hook/fault/1"

_QUIET_S = 1.0
_SHOWN_DIGITS = 8
_IN_PYTHON = "import hashlib; print(len(secret.encode()), hashlib.sha256(secret.encode()).hexdigest()[:8])"


def sample_source(to: str | None, access: PortAccess, store: Path | None, runtime: Runtime) -> ReplaySource:
    """Return the request of the sample action from `check`, and print a note. Raises UsageError if --to is missing."""
    from port_hook_cli.check.sources import SubjectSource

    if to is None:
        raise UsageError("Missing option --to.", hint="Pass the port or URL of your handler, such as --to 8000.")
    say = sayer(runtime)
    with closing(Finder(store, runtime, CaptureUse.SEND, say, kinds=KINDS)) as finder:
        source = SubjectSource(finder=finder, access=access, runtime=runtime, say=say, target=RunTarget(to=to))
        subject = asyncio.run(source.of_sample(lambda: access.secret)).subject
    tell(f"note: without a SOURCE, port-hook sends a request of the sample action {subject.name}", runtime)
    return ReplaySource(name=subject.name, invocation=subject.request)


def search_fault(
    ready: ReadyReplay,
    rewriter: Rewriter,
    keys: SigningKeys,
    access: PortAccess,
    runtime: Runtime,
    *,
    timeout_s: float,
    as_lambda: bool,
    new_runs: bool,
) -> FoundFault | None:
    """Print how many requests the search sends, then search. Return None after Ctrl-C.

    With `new_runs`, each request gets another run ID, because a sandbox rejects reports of ended runs. The sandbox is
    told about each run, because with --strict it rejects reports of unknown runs.
    """
    from port_hook_cli.http.client import HttpClient  # imported here, so that `--help` starts faster

    unsigned = replace(rewriter, signer=None)
    url = brief(ready.url, MOST_OF_A_URL)
    tell(f"Sending at most {MOST_REQUESTS} requests to {url}, one at a time.", runtime)
    tell("note: each accepted request may start real work", runtime)

    def fresh() -> Invocation:
        request, old = unsigned.finish(ready.draft), ready.run_id
        if old is None or not new_runs:
            return request
        return with_run(request, old, make_run_id(secrets.choice, old.partition("_")[0] + "_"))

    async def search() -> FoundFault:
        async with HttpClient(timeout_s=timeout_s, keep_alive=False) as http:
            recipient = LambdaClient(http) if as_lambda else http

            async def send(request: Invocation) -> Delivery:
                await announce([replace(ready, draft=request)], access)
                return await recipient.send(request, ready.url)

            with _progress(runtime) as on_send:
                return await find_fault(FaultSearch(fresh, keys, runtime.now, send, on_send))

    try:
        return asyncio.run(search())
    except KeyboardInterrupt:
        return None


@contextmanager
def _progress(runtime: Runtime) -> Iterator[Callable[[int, str], None]]:
    """Yield a function that receives the progress. On a terminal, the function shows one line after a second."""
    if not shows_progress(runtime):
        yield lambda _number, _what: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = rich_console(runtime.stderr, runtime.environ)
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), console=console, transient=True
    )
    task = progress.add_task("")
    starting = asyncio.get_running_loop().call_later(_QUIET_S, progress.start)
    try:
        yield lambda number, what: progress.update(task, description=f"{number} of at most {MOST_REQUESTS}: {what}")
    finally:
        starting.cancel()
        progress.stop()


def report_fault(
    ready: ReadyReplay, found: FoundFault, keeper: ReplayKeeper, secret: Secret, runtime: Runtime, *, as_json: bool
) -> ExitCode:
    """Print the result, and return the exit code. If the source is a capture, save the decisive requests.

    If no mistake was found, also print how to find out whether the handler uses another secret or signs other bytes.
    """
    captures = [_saved(*each[1:], keeper, runtime) for each in found.requests] if ready.source.is_stored else []
    if as_json:
        emit(_record(ready, found, captures), runtime.stdout)
    else:
        output = Output(runtime.stdout, runtime.environ)
        output.print(*output.wrap(_lines(found, captures)))
        if found.kind is FaultKind.NOT_FOUND:
            output.print(*_comparison(ready, found.requests[1].request, captures[1:2], secret, runtime))
    if found.requests[-1].delivery.fault == "unreachable":
        return ExitCode.TARGET
    return ExitCode.OK if found.kind is FaultKind.NOTHING else ExitCode.FAILED


def _saved(request: Invocation, delivery: Delivery, keeper: ReplayKeeper, runtime: Runtime) -> str:
    kept = keeper.save(request, delivery)
    if kept.problem:
        tell(f"warning: the requests were not saved: {kept.problem}", runtime)
    return kept.capture


def _lines(found: FoundFault, captures: Sequence[str]) -> Iterator[Styled]:
    is_fine = found.kind is FaultKind.NOTHING
    yield Styled(printable(found.sentence), "green" if is_fine else "yellow")
    if found.fix:
        yield Styled(f"  fix: {found.fix}", "cyan")
    if found.kind is FaultKind.NOT_FOUND and found.tried:
        yield Styled(f"  tried: {', '.join(found.tried)}")
    for tested, capture in zip(found.requests, captures or [""] * len(found.requests), strict=True):
        saved = f"  {capture}" if capture else ""
        yield Styled(f"  {tested.what}: {tested.delivery.outcome}{saved}")
    yield Styled(f"{found.sent} requests sent.")


def _comparison(
    ready: ReadyReplay, valid: Invocation, captures: Sequence[str], secret: Secret, runtime: Runtime
) -> Iterator[Styled]:
    """Yield lines that tell the user how to find out whether the handler uses another secret or signs other bytes.

    The digest of the secret is shown only on a terminal. A capture with its signature reveals more about the secret.
    """
    key = secret.reveal().encode("utf-8", "surrogatepass")
    timestamp = valid.headers.get(TIMESTAMP_HEADER) or ""
    message = timestamp.encode() + b"." + valid.body
    shows_digest = runtime.stdout.isatty() and not coding_agent(runtime.environ)
    yield Styled("To compare with your handler:")
    yield Styled(f"  client secret: {_size(key)}{_digest(key) if shows_digest else ''}")
    if shows_digest:
        yield Styled("    in Python, where `secret` is the handler's secret:")
        yield Styled(f"    {_IN_PYTHON}")
    yield Styled(f"  signed bytes of the valid request: {_size(message)}{_digest(message)}")
    yield Styled(f"  timestamp of the valid request: {printable(timestamp)}")
    yield Styled(f"  then: {_explaining(ready, captures, timestamp, valid.body, runtime)}", "cyan")
    yield Styled("    S is the signature that your handler computed for this request")


def _size(content: bytes) -> str:
    return f"{len(content)} byte{'' if len(content) == 1 else 's'}"


def _digest(content: bytes) -> str:
    return f", SHA-256 begins with {hashlib.sha256(content).hexdigest()[:_SHOWN_DIGITS]}"


def _explaining(ready: ReadyReplay, captures: Sequence[str], timestamp: str, body: bytes, runtime: Runtime) -> str:
    """Return the command that explains a signature S for the valid request."""
    if captures and captures[0]:
        return f"port-hook verify {captures[0]} --signature S"
    source = ready.source
    is_signed_alike = body == source.invocation.body and _is_as_port_writes(body)
    if is_signed_alike and (runtime.cwd / source.name).is_file():
        name = printable(shlex.quote(source.name))
        return f"port-hook verify --body {name} --timestamp {timestamp} --signature S"
    return "capture the request with `port-hook listen`, and run `port-hook verify last --signature S`"


def _is_as_port_writes(body: bytes) -> bool:
    try:
        return as_port_sends(body).body == body
    except NotJson:
        return False


def _record(ready: ReadyReplay, found: FoundFault, captures: Sequence[str]) -> dict[str, Any]:
    ids = [capture or None for capture in captures] or [None] * len(found.requests)
    return {
        "schema": FAULT,
        "source": ready.source.name,
        "run_id": ready.run_id,
        "url": ready.url,
        "kind": str(found.kind),
        "way": None if found.way is None else found.way.slug,
        "rewrites_body": found.kind is FaultKind.REWRITES or found.rewrites_too,
        "message": found.sentence,
        "fix": found.fix or None,
        "sent": found.sent,
        "tried": list(found.tried),
        "requests": [
            {
                "what": tested.what,
                "status": tested.delivery.status,
                "error": tested.delivery.error,
                "capture": capture,
            }
            for tested, capture in zip(found.requests, ids, strict=True)
        ],
    }
