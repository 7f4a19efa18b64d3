"""The checks of the credentials: their sources, contradictions between them, and whether Port accepts them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from port_hook_cli.doctor.check import CheckResult, CheckState, clock_result, clock_skew_s
from port_hook_cli.errors import CREDENTIALS_IN_PORT, PortApiError, PortHookError, SettingsError
from port_hook_cli.http.proxies import BadProxy, open_client
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.responses import about_signing
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.port_api.settings_places import Found, SettingsPlaces
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.durations import format_duration

_NAMES = {"client_secret": "client secret", "client_id": "client ID", "api_url": "URL for Port's API"}
_QUOTES = "'\"`"
_ERROR_NUMBER = re.compile(r"^\[Errno -?[0-9]+\] ")


@dataclass(slots=True)
class _Response:
    """The time in the latest response of the API, and the time when that response arrived."""

    date: str | None = None
    received_s: float = 0.0


def check_credentials(access: PortAccess, runtime: Runtime) -> tuple[Settings | None, CheckResult]:
    """Return the settings and the result of checking their sources. The settings are None if they cannot be read."""
    try:
        settings = access.found
    except SettingsError as problem:
        return None, _problem("credentials", problem)
    details = _sources(settings)
    if refusal := _refusal(settings):
        return settings, _problem("credentials", refusal, details)
    doubts = [*_doubts(settings), *_contradictions(settings, access, runtime)]
    details["contradictions"] = doubts
    if settings.placeholders:
        step = f"Replace it with the value of your organization ({CREDENTIALS_IN_PORT}), or run `port-hook login`."
        return settings, _problem("credentials", SettingsError(" ".join(doubts), hint=step), details)
    return settings, CheckResult(
        check="credentials",
        state=CheckState.WARNING if doubts else CheckState.OK,
        message=" ".join([_whence(settings), *doubts]),
        next_step="Keep one place, and remove the values from the others." if doubts else "",
        details=details,
    )


async def check_api(settings: Settings | None, runtime: Runtime, timeout_s: float) -> tuple[CheckResult, CheckResult]:
    """Return two results: whether Port's API issues a token, and whether the clock is right."""
    if settings is None or settings.objection:
        return _skipped("api"), _skipped("clock")
    is_complete = settings.client_id is not None and settings.client_secret is not None
    if not is_complete and settings.project_address:
        return _skipped("api"), _skipped("clock")  # files in the current directory must not choose the API's URL
    response = _Response()
    sent_s, started = runtime.now(), time.monotonic()
    try:
        claim = None
        if is_complete:
            claim = await _get_token(settings, runtime, timeout_s, response)
        else:
            await _ask_for_the_time(settings.api_url, runtime, timeout_s, response)
    except PortApiError as problem:
        result = _api_problem(problem, settings)
    else:
        result = _api_result(settings, time.monotonic() - started, is_complete=is_complete, claim=claim)
    if not response.received_s:
        return result, _skipped("clock")
    return result, clock_result(clock_skew_s(response.date, sent_s, response.received_s), settings.api_url)


async def _get_token(settings: Settings, runtime: Runtime, timeout_s: float, response: _Response) -> bool | None:
    """Get a token, and return its claim `isMachine`, if it has the claim."""

    def note(headers: Mapping[str, str]) -> None:
        response.date, response.received_s = headers.get("date"), runtime.now()

    access = PortAccess.known(settings, runtime, timeout_s=timeout_s)
    async with access.client(retries=False, on_headers=note) as api:
        return await api.check_access()


async def _ask_for_the_time(api_url: str, runtime: Runtime, timeout_s: float, response: _Response) -> None:
    """Send a request without credentials, and store the time in its response.

    Raises PortApiError if there is no response within `timeout_s` seconds.
    """
    import httpx

    try:
        async with (
            asyncio.timeout(timeout_s),
            open_client(api_url, timeout=None) as client,
            client.stream("GET", api_url) as received,
        ):
            response.date, response.received_s = received.headers.get("date"), runtime.now()
    except TimeoutError:
        raise PortApiError(f"Port's API at {api_url} did not respond within {timeout_s:g} s.") from None
    except (BadProxy, httpx.RequestError, httpx.InvalidURL) as error:
        raise PortApiError(f"Port's API at {api_url} could not be reached: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    return _ERROR_NUMBER.sub("", str(error)).rstrip(".") or type(error).__name__


def _api_result(settings: Settings, spent_s: float, *, is_complete: bool, claim: bool | None) -> CheckResult:
    details = {"api_url": settings.api_url, "token": is_complete}
    took = format_duration(spent_s)
    if is_complete:
        message = f"{settings.api_url} accepts the credentials (token issued in {took}). {about_signing(claim)}"
        return CheckResult(check="api", state=CheckState.OK, message=message, details=details)
    message = f"{settings.api_url} responds, but port-hook cannot get a token without credentials."
    return CheckResult(check="api", state=CheckState.SKIPPED, message=message, details=details)


def _api_problem(problem: PortApiError, settings: Settings) -> CheckResult:
    details = {"api_url": settings.api_url, "token": False}
    hint = problem.hint
    if problem.status is None:
        hint = (
            "This machine may have no network. Check the connection, a proxy or VPN, and PORT_API_URL or PORT_REGION."
        )
    elif problem.status == HTTPStatus.UNAUTHORIZED:
        hint = f"{hint} Run `port-hook login` to find the region and save working credentials."
    return CheckResult(check="api", state=CheckState.PROBLEM, message=problem.message, next_step=hint, details=details)


def _refusal(settings: Settings) -> SettingsError | None:
    """Return why the settings cannot be used with Port's API, or None."""
    try:
        settings.require_secret()
        settings.require_access()
    except SettingsError as refused:
        if settings.client_secret is not None or settings.client_id is not None:
            return refused
        both = refused.message.replace("No client secret is set", "No client ID and no client secret are set", 1)
        return SettingsError(both, hint=refused.hint)
    return None


def _sources(settings: Settings) -> dict[str, Any]:
    sources = {f"{name}_from": settings.sources.get(name) for name in _NAMES}
    return {**sources, "api_url": settings.api_url, "contradictions": []}


def _whence(settings: Settings) -> str:
    """Return sentences about the sources of the settings."""
    secret, identity = settings.sources["client_secret"], settings.sources["client_id"]
    address = settings.sources.get("api_url", "the default")
    if secret == identity == address:
        return f"Client ID, client secret and API URL ({settings.api_url}): {secret}."
    return f"Client secret: {secret}. Client ID: {identity}. API URL: {settings.api_url} ({address})."


def _doubts(settings: Settings) -> Iterator[str]:
    """Yield sentences about suspicious settings, without their values."""
    for warning in settings.warnings:
        if f"{warning}." != settings.conflict:  # the conflict is among the contradictions
            yield _capital(f"{warning}.") if warning in settings.placeholders else f"{warning}."
    secret, identity = settings.require_secret().reveal(), settings.require_client_id()
    for name, value in (("client secret", secret), ("client ID", identity)):
        if value != value.strip():
            yield f"The {name} has whitespace around it."
        elif value[0] in _QUOTES and value[-1] == value[0]:
            yield f"The {name} has quotes around it."
    secret_place, id_place = (_place(settings.sources[name]) for name in ("client_secret", "client_id"))
    if secret_place != id_place:
        yield "The client ID and the client secret come from different places, maybe from different organizations."


def _place(source: str) -> str:
    return source.partition(" in ")[2] or source


def _contradictions(settings: Settings, access: PortAccess, runtime: Runtime) -> Iterator[str]:
    """Yield the places whose values differ from the values in use, unless the user chose a place."""
    if access.is_chosen:
        return
    used = {
        "client_id": settings.require_client_id(),
        "client_secret": settings.require_secret().reveal(),
        "api_url": settings.api_url,
    }
    seen = set(settings.sources.values())
    for found in _all_places(runtime):
        for name, other in found.items():
            if other.source not in seen and other.value != used[name]:
                seen.add(other.source)
                yield f"{_capital(other.source)} has a different {_NAMES[name]} and is not used."


def _all_places(runtime: Runtime) -> Iterator[Mapping[str, Found]]:
    """Yield the settings of each place, up to the first unreadable place. The keyring is not read again."""
    places = SettingsPlaces(runtime)
    try:
        for found, _ in places:
            yield found
        yield places.default_login(with_secret=False)[0]
    except SettingsError:
        return  # the settings are reported as missing


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _problem(check: str, problem: PortHookError, details: Mapping[str, Any] | None = None) -> CheckResult:
    return CheckResult(
        check=check,
        state=CheckState.PROBLEM,
        message=problem.message,
        next_step=problem.hint,
        details=details or {},
    )


def _skipped(check: str) -> CheckResult:
    message = "Not checked, because Port's API did not respond." if check == "clock" else "Not checked, see above."
    return CheckResult(check=check, state=CheckState.SKIPPED, message=message)
