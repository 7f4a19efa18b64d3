"""The agent's mapping file, `control_the_payload_config.json`. It is a list of mappings, read by the agent's rules.

The agent checks the file with pydantic 1.10 (`core/config.py` in the agent's source). pydantic converts values of some
other types, and ignores unknown keys. The agent does not start with any other error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

from port_hook_cli.frozen import frozen

_TRUE, _FALSE = ("1", "on", "t", "true", "y", "yes"), ("0", "off", "f", "false", "n", "no")
_KEYS = frozenset({"enabled", "method", "url", "body", "headers", "query", "report", "fieldsToDecryptPaths"})
REPORT_KEYS = ("status", "link", "summary", "externalRunId")
"""The keys of a mapping's `report`, in the order in which the agent evaluates them."""


@frozen(kw_only=True)
class AgentMapping:
    """One mapping. `place` is the position of the mapping in the file, such as `[0]`. `fields` omits unset fields.

    The strings in `fields` and `report` are expressions. `enabled` is also an expression, unless it is a bool.
    """

    place: str
    enabled: bool | str = True
    fields: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, str] | None = None
    decrypt_paths: tuple[str, ...] = ()

    @property
    def expressions(self) -> tuple[tuple[str, str], ...]:
        """The place and the text of each expression."""
        enabled = [(f"{self.place}.enabled", self.enabled)] if isinstance(self.enabled, str) else []
        fields = [pair for name, value in self.fields.items() for pair in texts_in(value, f"{self.place}.{name}")]
        report = [(f"{self.place}.report.{name}", text) for name, text in (self.report or {}).items()]
        return (*enabled, *fields, *report)


DEFAULT_MAPPINGS = (
    AgentMapping(
        place="[0]",
        enabled='.payload.action.invocationMethod.type == "GITLAB"',
        fields={
            "url": '(env.GITLAB_URL // "https://gitlab.com/") + "api/v4/projects/"'
            ' + (.payload.action.invocationMethod | .groupName + "/" + .projectName | @uri) + "/trigger/pipeline"',
            "body": {
                "ref": '.payload | .properties.ref // .action.invocationMethod.defaultRef // "main"',
                "token": '.payload.action.invocationMethod | env[(.groupName | gsub("/"; "_")) + "_" + .projectName]',
                "variables": ".payload | .action.invocationMethod.omitUserInputs as $omit"
                " | [.properties | to_entries[] | {(.key): (.value | tostring)}] | add"
                " | if $omit then {} else . end",
                "port_payload": "if .payload.action.invocationMethod.omitPayload | not then . else {} end",
            },
        },
    ),
    AgentMapping(
        place="[1]",
        fields={
            "method": '.payload.action.invocationMethod.method // "POST"',
            "url": ".payload.action.invocationMethod.url // .changelogDestination.url",
        },
    ),
)
"""The agent's default mappings, which are in a file in its image.

The first mapping triggers a GitLab pipeline, with the project's trigger token from the environment. The second mapping
uses the action's method and URL, and sends the whole message. The expressions have the same results as the expressions
in the agent's file.
"""


class Severity(StrEnum):
    """The effect of a problem in a mapping file: the agent does not start, an expression is always null, or neither."""

    FATAL = "fatal"
    ERROR = "error"
    NOTE = "note"


@frozen(kw_only=True)
class MappingProblem:
    """An error or a note at a place in a mapping file."""

    place: str
    message: str
    severity: Severity = Severity.FATAL


def read_mappings(document: Any) -> tuple[tuple[AgentMapping, ...], tuple[MappingProblem, ...]]:
    """Return the mappings in a file's JSON, and the problems of the file."""
    if not isinstance(document, list):
        return (), (MappingProblem(place="the file", message="must be a list of mappings"),)
    reader = _Reader()
    return tuple(reader.mapping(value, f"[{index}]") for index, value in enumerate(document)), tuple(reader.problems)


def mapping_notes(mappings: Sequence[AgentMapping]) -> Iterator[MappingProblem]:
    """Yield a note for each setting that the agent accepts, but that may surprise its author."""
    is_reached = True
    for mapping in mappings:
        if not is_reached:
            message = "is never used: a mapping before it is always enabled"
            yield MappingProblem(place=mapping.place, message=message, severity=Severity.NOTE)
        is_reached = is_reached and mapping.enabled is not True
        for path in mapping.decrypt_paths:
            if {"*", "**"} & set(path.split(".")):
                place, message = f"{mapping.place}.fieldsToDecryptPaths", f"{path}: wildcards do not decrypt values"
                yield MappingProblem(place=place, message=message, severity=Severity.NOTE)


def texts_in(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each string in a field."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, element in value.items():
            yield from texts_in(element, f"{place}.{key}")
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from texts_in(element, f"{place}[{index}]")


class _Reader:
    """Collects the problems of a file while the file is read."""

    def __init__(self) -> None:
        self.problems: list[MappingProblem] = []

    def mapping(self, given: Any, place: str) -> AgentMapping:
        value = _as_object(given)
        if value is None:
            self._reject(place, "must be an object")
            return AgentMapping(place=place, enabled=False)
        self._note_unknown(value, _KEYS, place)
        readers = {"method": self._text, "url": self._text, "body": self._body} | dict.fromkeys(
            ("headers", "query"), self._texts
        )
        fields = {
            name: read(value[name], f"{place}.{name}") for name, read in readers.items() if value.get(name) is not None
        }
        return AgentMapping(
            place=place,
            enabled=self._enabled(value.get("enabled", True), f"{place}.enabled"),
            fields=fields,
            report=self._report(value.get("report"), f"{place}.report"),
            decrypt_paths=self._paths(value.get("fieldsToDecryptPaths", []), f"{place}.fieldsToDecryptPaths"),
        )

    def _enabled(self, value: Any, place: str) -> bool | str:
        """Return a bool for a value that pydantic reads as a bool, such as "yes" or 1, otherwise the value as text."""
        if isinstance(value, bool):
            return value
        if not isinstance(value, str | int | float):
            self._reject(place, "must be true, false or a jq expression")
            return False
        word = value.lower() if isinstance(value, str) else str(int(value)) if value in {0, 1} else ""
        if word in _TRUE or word in _FALSE:
            if isinstance(value, str):
                self._note(place, f"is {str(word in _TRUE).lower()}, not a jq expression")
            return word in _TRUE
        return str(value)

    def _text(self, value: Any, place: str) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return str(value)
        self._reject(place, "must be a jq expression, as a string")
        return ""

    def _body(self, value: Any, place: str) -> Any:
        as_object = _as_object(value)
        if as_object is not None:
            return as_object
        return self._expression(value, place)

    def _texts(self, value: Any, place: str) -> Any:
        as_object = _as_object(value)
        if as_object is None:
            return self._expression(value, place)
        return {str(name): self._text(text, f"{place}.{name}") for name, text in as_object.items()}

    def _expression(self, value: Any, place: str) -> str:
        if isinstance(value, str | int | float):
            return str(value)
        self._reject(place, "must be an object or a jq expression")
        return ""

    def _report(self, value: Any, place: str) -> Mapping[str, str] | None:
        if value is None:
            return None
        as_object = _as_object(value)
        if as_object is None:
            self._reject(place, "must be an object")
            return None
        self._note_unknown(as_object, frozenset(REPORT_KEYS), place)
        given = {name: as_object[name] for name in REPORT_KEYS if as_object.get(name) is not None}
        return {name: self._text(text, f"{place}.{name}") for name, text in given.items()}

    def _paths(self, value: Any, place: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            self._reject(place, "must be a list of paths")
            return ()
        return tuple(self._text(path, f"{place}[{index}]") for index, path in enumerate(value))

    def _note_unknown(self, value: Mapping[str, Any], known: frozenset[str], place: str) -> None:
        for name in value:
            if name not in known:
                self._note(f"{place}.{name}", "is an unknown key, which the agent ignores")

    def _note(self, place: str, message: str) -> None:
        self.problems.append(MappingProblem(place=place, message=message, severity=Severity.NOTE))

    def _reject(self, place: str, message: str) -> None:
        self.problems.append(MappingProblem(place=place, message=message))


def _as_object(value: Any) -> dict[Any, Any] | None:
    """Return the result of `dict(value)`, which pydantic tries first.

    An empty string or list becomes an empty object.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, str | list):
        return None
    pairs: Any = value
    try:
        return dict(pairs)
    except (TypeError, ValueError):
        return None
