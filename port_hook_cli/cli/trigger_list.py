"""`trigger --list`: the definitions in files that `trigger` can invoke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import Declaration, is_typed, refuse_contradictions
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell
from port_hook_cli.text.remark import MOST_ALIKE
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled
from port_hook_cli.trigger.definitions import (
    DEFAULT_DIRECTORIES,
    Definition,
    Unlisted,
    definition_record,
    list_definitions,
)

_ALLOWED = frozenset({"action", "list_", "json"})
_CONTINUED = 4
_MOST_OF_A_REASON = 500


def refuse_other_options(ctx: typer.Context) -> None:
    """Raise UsageError for an option on the command line that has no effect with --list."""
    declared: dict[str, Declaration] = ctx.command.callback.declared  # type: ignore[union-attr]
    for name in declared.keys() - _ALLOWED:
        if is_typed(ctx, name):
            refuse_contradictions(pointless={"--list does not send requests": {declared[name].name: True}})


def list_triggers(name: str | None, runtime: Runtime, *, as_json: bool) -> ExitCode:
    """Print the definitions in a file or directory that can be triggered.

    Raises UsageError for an invalid definition, and StoreError for an unreadable file.
    """
    from port_hook_cli.kafka.environment import read_kafka_settings

    known = read_kafka_settings(runtime.environ, runtime.home)
    topic = known.topics(known.org_id or "ORG_ID")[0]
    file, count, unlisted, output = "", 0, 0, Output(runtime.stdout, runtime.environ)
    for found in list_definitions(name, runtime):
        if isinstance(found, Unlisted):
            unlisted += 1
            if unlisted <= MOST_ALIKE:
                tell(f"note: {brief(found.name)} is not listed: it {brief(found.reason, _MOST_OF_A_REASON)}", runtime)
            continue
        count += 1
        if as_json:
            emit(definition_record(found, topic), runtime.stdout)
            continue
        if found.file != file:
            file = found.file
            output.print(Styled(brief(file), "bold"))
        output.print(*output.fit([_line(found, topic)], indent=_CONTINUED))
    if unlisted > MOST_ALIKE:
        tell(f"note: {unlisted - MOST_ALIKE} more definitions are not listed", runtime)
    if not count:
        tell("No action, automation or workflow here can be triggered.", runtime)
        tell(f"hint: {_hint(name)}", runtime)
    return ExitCode.OK


def _hint(name: str | None) -> str:
    if name is not None:
        return "Pass a file or a directory with actions, automations or workflows in the format of Port's API."
    current, *others = DEFAULT_DIRECTORIES
    assert current == "."
    return f"Pass a file or a directory. The default is the current directory, {'/ and '.join(others)}/."


def _line(found: Definition, topic: str) -> Styled:
    typed = found.argument if found.kind == "workflow-node" else found.identifier
    return Styled.assemble("  ", (brief(typed), "bold"), "".join(f"  {part}" for part in _parts(found, topic)))


def _parts(found: Definition, topic: str) -> Iterator[Any]:
    yield {"workflow-node": "node"}.get(found.kind, found.kind)
    if found.title:
        yield brief(found.title)
    if found.url or found.method:
        yield f"{brief(found.method)} {brief(found.url)}"
    elif found.invoked_by == "KAFKA":
        yield f"topic {brief(topic)}"
    elif found.invoked_by:
        yield f"{brief(found.invoked_by)}, with --via-port only"
