"""What `trigger` prints: the request, the response, a command, a record. Known secrets are masked everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from port_hook_cli.actions.jq_differences import JqDifference
from port_hook_cli.actions.request import RenderedRequest, is_url, unusual_headers
from port_hook_cli.actions.templates import JqError
from port_hook_cli.invocations.headers import mask_headers
from port_hook_cli.invocations.models import Delivery, Headers, Invocation, Response
from port_hook_cli.invocations.snippets import SignedRequest, SnippetFormat
from port_hook_cli.invocations.url_text import masked_url, sendable_url
from port_hook_cli.runs.fate import RunFate, run_fate
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell, write_bytes, write_content
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.records import invocation_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The request of an action: as rendered, and as it is sent to `url`; `masker` masks secrets for the screen."""

    action: str
    request: RenderedRequest
    invocation: Invocation
    url: str
    masker: Masker

    @property
    def shown(self) -> Invocation:
        """The request with its secrets masked."""
        raw = [(self.masker.content(name), self.masker.content(value)) for name, value in self.invocation.headers.raw()]
        body = self.masker.content(self.invocation.body)
        return replace(self.invocation, headers=Headers.from_raw(raw), body=body)


def warn(errors: Iterable[JqError], masker: Masker, runtime: Runtime) -> None:
    """Print the expressions that failed and became null."""
    for error in errors:
        message = f"{{{{ {error.expression.strip()} }}}} became null: {error.message}"
        tell(f"warning: {printable(masker.message(message))}", runtime)


def tell_of_agent(request: RenderedRequest, runtime: Runtime) -> None:
    """Print a note if Port's agent would send the request."""
    if request.agent:
        tell(
            "note: the action has `agent` enabled: in Port, the execution agent would send this request "
            "(--kafka HOST:PORT publishes it for the agent)",
            runtime,
        )


def tell_of_request(request: RenderedRequest, masker: Masker, runtime: Runtime, *, node: str | None = None) -> None:
    """Print a note for a placeholder URL, and for each header with non-ASCII characters.

    `node` is the node of a workflow whose request it is.
    """
    owner = "the action" if node is None else f"the node {brief(node)}"
    if not is_url(request.url):
        tell_of_placeholder(masker.text(request.url), owner, runtime)
    of_node = "" if node is None else f" of {owner}"
    for name in unusual_headers(request):
        text = f"note: the header {brief(name)}{of_node} has non-ASCII characters. Port does not document"
        tell(f"{text} whether or how it sends them. port-hook sends UTF-8", runtime)


def tell_of_placeholder(url: str, owner: str, runtime: Runtime) -> None:
    """Print a note that a URL is a placeholder and is not used."""
    tell(f"note: {owner}'s URL is {brief(url)}, which is not a URL. The request goes to the given target", runtime)


def tell_differences(differences: Iterable[JqDifference], runtime: Runtime) -> None:
    """Print a note for each function in an expression that Port's jq may not have, or may run differently."""
    for difference in differences:
        tell(f"note: {printable(difference.message)}", runtime)


def print_request(made: Made, output: SnippetFormat | None, runtime: Runtime, *, json: bool) -> None:
    """Print a request instead of sending it: as HTTP, as a record, or as a shell command."""
    shown, url = made.shown, masked_url(made.url, made.masker.text)
    if (shown.headers, shown.body, url) != (made.invocation.headers, made.invocation.body, made.url):
        print("note: secrets are masked, so this is not exactly what would be sent", file=runtime.stderr)
    if json:
        _emit(made, None, None, runtime)
        return
    if output is not None:
        request = SignedRequest(
            url=sendable_url(url), headers=shown.headers.items, body=shown.body, method=made.request.method
        )
        write_bytes(f"{output.write(request)}\n".encode("utf-8", "replace"), runtime.stdout)
        return
    from port_hook_cli.invocations.view import request_text

    content = request_text(shown, sendable_url(url))
    write_content(content, runtime.stdout, environ=runtime.environ, end="\n")


def show_request(made: Made, runtime: Runtime) -> None:
    """Show a request as the listener does."""
    from port_hook_cli.trigger.view import request_lines

    screen = Output(runtime.stdout, runtime.environ)
    url, content = made.masker.text(made.url), made.shown.body
    screen.print(*screen.fit(request_lines(made.action, made.request, url=url, content=content)))


def show_response(made: Made, delivery: Delivery, runtime: Runtime, *, json: bool, conflict: str = "") -> None:
    """Print the response and its effect on the run in Port.

    `conflict` says that two places have different secrets; it is shown if the handler refused the signature.
    """
    fate = _fate(made, delivery)
    if delivery.error:  # it contains the host, which a template may have made from a secret
        delivery = replace(delivery, error=made.masker.text(delivery.error))
    if json:
        _emit(made, delivery, fate, runtime)
        return
    from port_hook_cli.trigger.view import response_lines

    screen = Output(runtime.stdout, runtime.environ)
    content = made.masker.content(delivery.body)
    lines = response_lines(delivery, content=content, fate=fate, run_id=made.request.run_id, conflict=conflict)
    screen.print(*screen.fit(lines))


def _fate(made: Made, delivery: Delivery) -> RunFate:
    from port_hook_cli.trigger.view import payload_of

    if delivery.status is None:
        return RunFate.FAILURE if made.request.synchronized else RunFate.NO_RUN
    return run_fate(payload_of(made.request, made.invocation.body), Response(status=delivery.status))


def _emit(made: Made, delivery: Delivery | None, fate: RunFate | None, runtime: Runtime) -> None:
    headers = {name: _text(value) for name, value in mask_headers(made.invocation.headers)}
    record = invocation_record(
        made.action, made.request, headers, url=made.url, delivery=delivery, fate=fate, masker=made.masker
    )
    emit(record, runtime.stdout)


def _text(value: str) -> str:
    """Return a header's value, whose bytes were decoded as Latin-1, decoded as UTF-8."""
    return value.encode("latin-1", "replace").decode("utf-8", "replace")
