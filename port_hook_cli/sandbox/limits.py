"""The rules and limits of a sandbox: who may call it and how often, what it accepts, and how much data it holds."""

from __future__ import annotations

import base64
import hmac
import json
import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.nesting import count_marks

_MINUTE_S = 60
_PERIODS_S = {"": _MINUTE_S, "m": _MINUTE_S, "s": 1}
_UNLIMITED = 1_000_000
_WRITTEN = r"([0-9]{1,6})(?:/(s|m))?"
MAX_STATE_BYTES = 128 * 1024 * 1024
"""Half the maximum size of a state file, so that the next start can load everything.

A part may have a quarter of this size, which is half the maximum size of a part in a state file.
"""

BYTES_OF_A_MARK = 16
"""The minimum size that a comma, colon or opening bracket counts for.

A short value takes more memory than its text. With this weight, a full state has about half of the marks that a state
file may have.
"""


def signed_token(claims: Mapping[str, Any], key: bytes) -> str:
    """Return a signed token that contains these claims."""
    signed = f"{_HEADER}.{_encoded(json.dumps(claims).encode())}"
    return f"{signed}.{_signature(signed, key)}"


def read_token(token: str, key: bytes) -> dict[str, Any] | None:
    """Return the claims of a token if its signature matches `key`. Otherwise return None."""
    signed, _, signature = token.rpartition(".")
    header, _, claims = signed.partition(".")
    given = signature.encode("utf-8", "replace")
    if header != _HEADER or not hmac.compare_digest(given, _signature(signed, key).encode()):
        return None
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(f"{claims}==="))
    return read


def _signature(text: str, key: bytes) -> str:
    return _encoded(hmac.digest(key, text.encode("utf-8", "replace"), "sha256"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


_HEADER = _encoded(b'{"alg":"HS256","typ":"JWT"}')


@frozen
class CallRate:
    """A limit of `calls` in any `period_s` seconds. 0 calls means no limit."""

    calls: int = 0
    period_s: int = _MINUTE_S


NO_LIMIT = CallRate()


def parse_rate(text: str) -> CallRate:
    """Parse a rate in the form `N`, `N/m` (per minute) or `N/s` (per second). Raises ValueError for other text."""
    found = re.fullmatch(_WRITTEN, text)
    if found is None:
        raise ValueError(f"{text!r} is not N, N/m or N/s")
    return CallRate(int(found[1]), _PERIODS_S[found[2] or ""])


TOKEN_LIFETIME_S = 3 * 60 * 60


@frozen(kw_only=True)
class ApiRules:
    """The rules that define which calls the sandbox's API accepts.

    The first report about a well-formed run ID creates the run, unless `strict_runs` is set. With `strict`, entities
    are checked against their blueprints. With `any_entity`, clients can create an entity twice, and change or delete
    an unknown entity, so that a handler can repeat the same work. A token is valid for `token_lifetime_s` seconds.
    """

    strict_runs: bool = False
    strict: bool = False
    any_entity: bool = False
    token_lifetime_s: float = TOKEN_LIFETIME_S
    call_rate: CallRate = NO_LIMIT


DEFAULT_RULES = ApiRules()


class RateLimit:
    """Allows calls up to a rate. `now` returns seconds."""

    def __init__(self, rate: CallRate, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._taken: deque[float] = deque()

    def reset(self) -> None:
        """Reset the count of calls."""
        self._taken.clear()

    def take(self) -> int:
        """Count a call and return 0, or return the number of whole seconds until the next call is allowed."""
        if not self._rate.calls:
            return 0
        self._forget_old()
        if len(self._taken) >= self._rate.calls:
            return self._reset_s()
        self._taken.append(self._now())
        return 0

    def headers(self) -> dict[str, str]:
        """Return the `x-ratelimit-*` headers. The period and the time until the reset are whole seconds."""
        self._forget_old()
        limit = self._rate.calls or _UNLIMITED
        return {
            "x-ratelimit-period": str(self._rate.period_s),
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(limit - len(self._taken)),
            "x-ratelimit-reset": str(self._reset_s()),
        }

    def _forget_old(self) -> None:
        oldest = self._now() - self._rate.period_s
        while self._taken and self._taken[0] <= oldest:
            self._taken.popleft()

    def _reset_s(self) -> int:
        if not self._taken:
            return 0
        return max(1, math.ceil(self._taken[0] + self._rate.period_s - self._now()))


class StateSize:
    """The size of the parts of a state as JSON, in bytes. Many short values count for more.

    A part has a kind and a key.
    """

    def __init__(self, limit: int = MAX_STATE_BYTES) -> None:
        self.limit = limit
        self.total = 0
        self._large: set[tuple[str, str]] = set()
        self._parts: dict[tuple[str, str], int] = {}

    @property
    def is_full(self) -> bool:
        """Whether the state has reached the limit."""
        return self.total >= self.limit

    @property
    def has_room(self) -> bool:
        """Whether the state accepts more data.

        The state accepts data if it is not full and each part is below a quarter of the limit.
        """
        return not self.is_full and not self._large

    def set(self, kind: str, key: str, value: Any) -> None:
        """Count an added or changed part. A value of None means a deleted part."""
        self.total -= self._parts.pop((kind, key), 0)
        self._large.discard((kind, key))
        if value is not None:
            text = json.dumps(value)
            size = self._parts[kind, key] = len(key) + max(len(text), BYTES_OF_A_MARK * count_marks(text))
            self.total += size
            if size >= self.limit // 4:
                self._large.add((kind, key))
