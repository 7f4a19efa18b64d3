"""Refuse options that contradict each other, in the same way for every command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from port_hook_cli.errors import UsageError


def refuse_contradictions(
    *exclusive: Mapping[str, bool],
    stdin: Iterable[tuple[str, str | None]] = (),
    pointless: Mapping[str, Mapping[str, bool]] | None = None,
) -> None:
    """Raise UsageError for options that contradict each other.

    Of each `exclusive` group, at most one option may be given. `stdin` contains inputs with their names, of which only
    one may be `-`. `pointless` maps a reason to the options that have no effect for that reason; a reason that
    ends with `without` and other options says which are needed. Options are mapped to whether they are given.
    """
    for group in exclusive:
        given = [name for name, is_given in group.items() if is_given]
        if len(given) > 1:
            raise UsageError(_sentence(f"{_listed(given)} exclude each other."), hint="Give only one of them.")
    readers = [what for what, name in stdin if name == "-"]
    if len(readers) > 1:
        raise UsageError(
            _sentence(f"{_listed(readers[:2])} cannot both use stdin."), hint="Give one of them as a file."
        )
    for reason, group in (pointless or {}).items():
        for name, is_given in group.items():
            if is_given:
                raise UsageError(_sentence(f"{reason}, so {name} has no effect."), hint=_leave_out(name, reason))


def _leave_out(name: str, reason: str) -> str:
    needed = reason.partition(" without ")[2]
    return f"Add {needed}, or leave out {name}." if needed else f"Leave out {name}."


def _sentence(text: str) -> str:
    """Return the text with a capital: names of inputs, such as `the secret`, have none."""
    return text[0].upper() + text[1:]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
