"""The command `port-hook render`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import ANY_VALUE, argument, command, short_option
from port_hook_cli.errors import SourceError
from port_hook_cli.files.user_files import read_input
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell, write_json_text

if TYPE_CHECKING:
    from port_hook_cli.actions.templates import Rendering

_TIMEOUT_S = 5.0
"""For all expressions together."""


@command
def render(
    ctx: typer.Context,
    template: Annotated[
        str,
        argument(
            help="A JSON or YAML file, text with {{ }} in it, or - for stdin.",
            metavar="TEMPLATE|FILE|-",
            stdin="the template",
        ),
    ],
    data: Annotated[
        str,
        short_option(
            "--data", help="A file with JSON for the expressions, or - for stdin.", metavar="FILE|-", stdin="the data"
        ),
    ],
    strict: Annotated[
        bool, short_option("--strict", help="Fail if an expression fails, instead of using null.", trust=ANY_VALUE)
    ] = False,
    json: options.Json = False,
) -> ExitCode:
    """Render a template with jq, like Port.

    Renders strings, lists, objects and keys. If an expression fails, it becomes null, as in Port, and port-hook prints
    a warning on stderr.
    `render` takes one template and any data. `trigger --dry-run` takes a whole action and its inputs, and prints the
    request.
    """
    runtime: Runtime = ctx.obj
    from port_hook_cli.engines.renderer import Renderer
    from port_hook_cli.files.documents import read_data, read_template

    with Renderer(timeout_s=_TIMEOUT_S) as renderer:
        parsed = read_template(_text(template, runtime), name=_name(template))
        document = read_data(read_input(data, cwd=runtime.cwd, stdin=runtime.stdin), name=_name(data))
        rendering = renderer.render_and_tell(parsed, document, strict=strict)
    _warn(rendering, runtime)
    _note_differences(parsed, runtime)
    _print(rendering, runtime, json=json)
    return ExitCode.OK


def _text(template: str, runtime: Runtime) -> str:
    if "{{" in template:
        return template
    content = read_input(template, cwd=runtime.cwd, stdin=runtime.stdin)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{_name(template)} is not UTF-8 text: {error}.", hint="Save it as UTF-8.") from error


def _name(argument: str) -> str:
    return "The template" if "{{" in argument else "stdin" if argument == "-" else argument


def _warn(rendering: Rendering, runtime: Runtime) -> None:
    from port_hook_cli.engines.outcomes import UNDEFINED
    from port_hook_cli.text.secret import NO_SECRETS
    from port_hook_cli.trigger.remarks import failed_expressions

    for remark in failed_expressions(rendering.errors, NO_SECRETS):
        tell(remark.line, runtime)
    if rendering.value is UNDEFINED:
        tell("note: the template rendered to undefined, so Port leaves it out", runtime)


def _note_differences(template: Any, runtime: Runtime) -> None:
    from port_hook_cli.actions.jq_differences import template_differences
    from port_hook_cli.trigger.remarks import difference_remarks

    for remark in difference_remarks(template_differences(template)):
        tell(remark.line, runtime)


def _print(rendering: Rendering, runtime: Runtime, *, json: bool) -> None:
    from port_hook_cli.actions.templates import rendering_record
    from port_hook_cli.engines.outcomes import UNDEFINED

    if json:
        emit(rendering_record(rendering), runtime.stdout)
    elif rendering.value is not UNDEFINED:
        from port_hook_cli.javascript.values import write_json

        write_json_text(f"{write_json(rendering.value, '  ')}\n", runtime.stdout, environ=runtime.environ)
