"""The rules that decide where invocations are forwarded: by action, blueprint, workflow node or jq expression.

The first matching rule wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum, unique

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import NODE_MARK, Payload

# Both an expression and the query of a URL may contain `=`.
_BEFORE_URL = r"(?s)(.*)=(https?://.*)"


@unique
class RouteBy(StrEnum):
    """What a rule compares. The value is the prefix in `--route`. A node has no prefix."""

    ACTION = "action"
    BLUEPRINT = "blueprint"
    JQ = "jq"
    NODE = "node"


_PREFIXED = (RouteBy.ACTION, RouteBy.BLUEPRINT, RouteBy.JQ)


class BadRoute(ValueError):
    """The text is not a rule with a target."""


@frozen
class RouteRule:
    """A rule that forwards the invocations that `name` selects to `target`.

    `name` is an identifier, `WORKFLOW#NODE`, or a jq expression over the body. `label` is the text that the user
    passed.
    """

    by: RouteBy
    name: str
    target: str
    label: str

    def matches(self, payload: Payload) -> bool:
        """Return whether the rule selects `payload`, or False for an expression, which only jq can evaluate."""
        match self.by:
            case RouteBy.ACTION:
                return payload.action == self.name
            case RouteBy.BLUEPRINT:
                return payload.blueprint == self.name
            case RouteBy.NODE:
                return payload.name == self.name
            case RouteBy.JQ:
                return False


@frozen(kw_only=True)
class Routes:
    """The targets of invocations: the target of the first matching rule, otherwise `default`, if it is set.

    `mount` is the path below which the listener receives requests.
    """

    default: str | None = None
    rules: tuple[RouteRule, ...] = ()
    mount: str = "/"

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets, with the default target first."""
        default = () if self.default is None else (self.default,)
        return (*default, *(route.target for route in self.rules))

    @property
    def expressions(self) -> tuple[str, ...]:
        """The jq expressions, in the order of the rules."""
        return tuple(route.name for route in self.rules if route.by is RouteBy.JQ)

    def candidates(self, payload: Payload) -> Iterator[RouteRule]:
        """Yield the rules that select `payload`, and those whose jq expression may select it, in order."""
        for route in self.rules:
            if route.by is RouteBy.JQ or route.matches(payload):
                yield route

    def may_take(self, payload: Payload) -> bool:
        """Return whether an invocation is forwarded, or is forwarded if a jq expression is true."""
        if self.default is not None or not self.rules:
            return self.default is not None
        return next(self.candidates(payload), None) is not None


def split_route(text: str) -> tuple[RouteBy, str, str, str]:
    """Return what a `--route` compares, the value, the target, and the text before the target. Raises BadRoute."""
    label, target = _split(text)
    prefix, colon, name = label.partition(":")
    by = next((by for by in _PREFIXED if colon and prefix == by), None)
    if by is None:
        by, name = (RouteBy.NODE if NODE_MARK in label else RouteBy.ACTION), label
    if not (name.strip() and target) or (by is RouteBy.NODE and not all(name.split(NODE_MARK, 1))):
        raise BadRoute(text)
    return by, name, target, label


def _split(text: str) -> tuple[str, str]:
    """Return the text before and after the `=` in front of the target.

    After an expression, it is the last `=http://` or `=https://`, or otherwise the last `=`. After a name, it is the
    first `=`.
    """
    if not text.startswith(f"{RouteBy.JQ}:"):
        label, _, target = text.partition("=")
    elif before_url := re.fullmatch(_BEFORE_URL, text):
        label, target = before_url[1], before_url[2]
    else:
        label, _, target = text.rpartition("=")
    return label, target
