"""The inspector's own HTTP server. It serves the page, the files of the page, and the API behind the page."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from port_hook_cli.captures.missing import AmbiguousCapture, NoSuchCapture
from port_hook_cli.errors import PortApiError, PortHookError, StoreError
from port_hook_cli.http.servers import disabled_logger
from port_hook_cli.inspector.access import (
    CHANGE_HEADER,
    SECURITY_HEADERS,
    AccessRefusal,
    Asker,
    other_site_refusal,
    refusal,
)
from port_hook_cli.inspector.api import Inspector
from port_hook_cli.inspector.api_routes import ApiRoutes, Handler, error_response
from port_hook_cli.inspector.checking import CheckInProgress
from port_hook_cli.inspector.door import ONCE, Door
from port_hook_cli.inspector.page_files import PageRoutes, refusal_page
from port_hook_cli.inspector.page_hints import hint_of
from port_hook_cli.inspector.sending import BadJson
from port_hook_cli.javascript.paths import NoSuchValue
from port_hook_cli.listener.holding import NotHeld

MAX_BODY = 16 * 1024 * 1024
MAX_URL = 8_190

# The first matching class of an error decides the status. Any other error is a 400.
_STATUSES = (
    (NoSuchCapture, 404),
    (NotHeld, 404),
    (AmbiguousCapture, 409),
    (CheckInProgress, 409),
    (StoreError, 503),
    (PortApiError, 502),
)
_DRAIN_S = 0.2
_READING = frozenset({"GET", "HEAD"})


def runner(inspector: Inspector, door: Door) -> web.AppRunner:
    """Return the application that serves the page and its API. `door` decides which requests are accepted."""
    return web.AppRunner(
        _application(inspector, door),
        access_log=None,
        logger=disabled_logger(),
        shutdown_timeout=_DRAIN_S,
        handler_cancellation=True,  # cancels abandoned requests
        max_line_size=MAX_URL,
    )


def _application(inspector: Inspector, door: Door) -> web.Application:
    page, routes = PageRoutes(door), ApiRoutes(inspector)
    app = web.Application(middlewares=[_guard(door, page)], client_max_size=MAX_BODY)
    app.on_cleanup.append(routes.close)
    door.on_replaced(routes.end_streams)
    app.router.add_get("/{entry:[0-9a-f]+}", page.entry)
    app.router.add_get("/page/{version}/{name:.+}", page.file)
    app.router.add_get(f"{ONCE}{{code}}", page.once, allow_head=False)
    app.router.add_get("/api/hello", page.hello)
    app.router.add_get("/api/events", routes.events, allow_head=False)
    app.router.add_get("/api/session", routes.with_query(inspector.show_session))
    for method, path, handler in (
        ("GET", "/api/captures", inspector.captures_page),
        ("GET", "/api/spans", inspector.spans),
        ("GET", "/api/histogram", inspector.histogram),
        ("GET", "/api/compare", inspector.compare),
        ("GET", "/api/actions", inspector.actions),
        ("GET", "/api/check", inspector.planned_check),
        ("GET", "/api/held", inspector.held),
    ):
        app.router.add_route(method, path, routes.with_query(handler))
    app.router.add_get("/api/captures/{id}", routes.of_one(inspector.capture))
    app.router.add_get("/api/captures/{id}/tree", routes.of_one(inspector.tree))
    app.router.add_get("/api/captures/{id}/body", routes.body)
    app.router.add_get("/api/captures/{id}/export/{format}", routes.export)
    app.router.add_post("/api/captures/{id}/replay", routes.change(inspector.replay))
    app.router.add_post("/api/captures/{id}/decrypt", routes.change(inspector.decrypt))
    app.router.add_get("/api/runs/{id}", routes.of_one(inspector.run))
    app.router.add_post("/api/runs/{id}/report", routes.change(inspector.report))
    app.router.add_get("/api/runs/{id}/retry", routes.of_one(inspector.planned_retry))
    app.router.add_post("/api/runs/{id}/retry", routes.change(inspector.retry))
    app.router.add_post("/api/actions/{id}/trigger", routes.change(inspector.trigger))
    app.router.add_post("/api/check", routes.check)
    app.router.add_post("/api/json", routes.json_problem)
    app.router.add_post("/api/hold", routes.change(inspector.hold))
    app.router.add_post("/api/held/{id}/pass", routes.change(inspector.let_pass))
    app.router.add_post("/api/held/{id}/respond", routes.change(inspector.respond))
    return app


def _guard(door: Door, page: PageRoutes) -> Any:
    """Return the middleware that rejects everyone except the user's browser, and adds the security headers."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = _refusal(request, door, page)
        if refused and (request.method not in _READING or request.path.startswith("/api/")):
            return error_response(refused.status, refused.message, refused.hint)
        if refused:
            return refusal_page(refused)
        response = await _told(request, handler)
        if not response.prepared:
            _secure(response)
        return response

    return guard


def _refusal(request: web.Request, door: Door, page: PageRoutes) -> AccessRefusal | None:
    """Return why a request is rejected, or None if it is allowed.

    The page and its files are public, so they need no token.
    """
    asker = _asker(request)
    if request.method in _READING:
        # A user may follow a link to the page from any site, but only to this host.
        if request.path == door.entry:
            return other_site_refusal(Asker(asker.method, host=asker.host))
        if request.path == "/api/hello" or request.path.startswith((f"/page/{page.files.version}/", ONCE)):
            return other_site_refusal(asker)
    return refusal(asker, door.token)


def _secure(response: web.StreamResponse) -> None:
    """Add the missing security headers to a response."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return the handler's response, or an error response if the handler raises an error."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return error_response(error.status, f"{error.reason}.", "Check the path, the method and the body.")
    except BadJson as error:
        return error_response(400, error.message, error.hint, line=error.line, column=error.column)
    except NoSuchValue as error:
        return error_response(404, f"The body has no value at {str(error)[:200]}.", "Load the capture again.")
    except PortHookError as error:
        return error_response(_status(error), error.message, hint_of(error))
    except Exception as error:  # noqa: BLE001 - the page needs a response, and the listener continues
        return error_response(500, f"The inspector failed ({type(error).__name__}).", "Load the page again.")


def _status(error: PortHookError) -> int:
    """Return the HTTP status for an error."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return 400


def _asker(request: web.Request) -> Asker:
    headers = request.headers
    return Asker(
        method=request.method,
        host=headers.get("host"),
        origin=headers.get("origin"),
        site=headers.get("sec-fetch-site"),
        authorization=headers.get("authorization"),
        change=headers.get(CHANGE_HEADER),
        content_type=headers.get("content-type"),
    )
