"""A check from its start to its end: the sandbox, the request, the handler's process, and the captures.

With a command, the handler gets the credentials of its own sandbox, which ends with the check. Without a command, a
running sandbox on this machine shows the handler's reports, if the settings point to that sandbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from port_hook_cli.check.checking import OnFinding, OnSearch, check
from port_hook_cli.check.findings import CheckReport
from port_hook_cli.check.languages import language_of
from port_hook_cli.check.means import CheckMeans
from port_hook_cli.check.plan import CheckPlan
from port_hook_cli.check.sources import FoundSubject, SubjectName, reject_other_machine
from port_hook_cli.check.subject import CheckSubject
from port_hook_cli.check.watching import OwnSandboxWatch, SandboxWatch
from port_hook_cli.errors import TargetError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.targets import is_on_this_machine, masked_url
from port_hook_cli.listener.handler_check import connection_problem, handler_address
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import printable
from port_hook_cli.text.secret import masked_errors

if TYPE_CHECKING:
    from ssl import SSLContext

    from port_hook_cli.replay.sending import Keep
    from port_hook_cli.sandbox import Sandbox
    from port_hook_cli.text.secret import Masker, Secret

_START_S = 30.0
_SANDBOX_S = 5.0


class CheckBegins(NamedTuple):
    """The event that a check is about to send its first request.

    `url` is the handler's URL with secrets masked. `works` is how often a handler that does not verify signatures
    starts real work, and `valid_requests` is how often another handler does. `sees_reports` means that a sandbox shows
    the handler's reports. `starts_handler` means that the check started the handler.
    """

    subject: CheckSubject
    url: str
    works: int
    valid_requests: int
    sees_reports: bool
    starts_handler: bool


class SubjectFinder(Protocol):
    """Finds the request under check: `SubjectSource`, or a caller that already has the request."""

    async def find(self, name: SubjectName | None, secret: Callable[[], Secret], /) -> FoundSubject:
        """Return the request that `name` means. `secret` is called if an input is encrypted with the client secret."""
        ...


@frozen(kw_only=True)
class CheckSession:
    """Everything that a check needs.

    `name` is the name of the request, or None. `access` has the credentials, unless `command` starts the handler.
    `sandbox` is the handler's sandbox if it runs in the same event loop. Otherwise, `access` leads to a sandbox.
    `may_leave` allows a handler on another machine, and `trust` replaces the certificates that the system trusts.
    `keep` gets the secret that signs requests and the masker of their secrets, and returns the function that saves the
    requests of findings. The command has 30 seconds to accept connections, which count toward the time limit of `plan`.
    """

    name: SubjectName | None
    source: SubjectFinder
    plan: CheckPlan
    access: PortAccess
    runtime: Runtime
    sandbox: Sandbox | None = None
    command: tuple[str, ...] = ()
    may_leave: bool = False
    trust: SSLContext | None = None
    keep: Callable[[Secret, Masker], Keep] | None = None

    async def run(
        self,
        on_begin: Callable[[CheckBegins], Awaitable[None]],
        on_finding: OnFinding = lambda _: None,
        on_search: OnSearch = lambda _number, _what: None,
    ) -> CheckReport:
        """Check the handler and return the findings.

        When this returns, the handler's process and the sandbox have ended. `on_begin` is awaited before the first
        request. Raises the exceptions of `on_begin`. Also raises UsageError, StoreError, SettingsError, RenderError and
        PortApiError for the request, NotReadyError for the command, and TargetError if nothing listens at the handler's
        URL.
        """
        async with AsyncExitStack() as stack:
            side = await stack.enter_async_context(self._port_side())
            found = await self.source.find(self.name, side.secret)
            side.secret()  # without a secret, nothing is sent
            with masked_errors(found.masker):
                reject_other_machine(found.subject, may_leave=self.may_leave)
            starts = bool(self.command)
            url = masked_url(found.subject.url, found.masker.text)
            # Otherwise, the handler runs only after this event, or its user must agree before a connection is opened.
            is_ready_first = not starts and is_on_this_machine(found.subject.url)
            if is_ready_first:
                await self._require_ready(found.subject.url, url)
            await on_begin(
                CheckBegins(
                    found.subject,
                    url,
                    self.plan.works(found.subject, starts_handler=starts),
                    self.plan.valid_requests(found.subject, starts_handler=starts, sees_reports=side.watch is not None),
                    side.watch is not None,
                    starts,
                )
            )
            began = asyncio.get_running_loop().time()
            means = await self._means(stack, side, found)
            if not is_ready_first:
                await self._require_ready(found.subject.url, url)
            plan = self.plan.without(asyncio.get_running_loop().time() - began)
            return await check(found.subject, means, plan, on_finding, on_search, original=found.original)

    async def _require_ready(self, url: str, shown: str) -> None:
        """Raise TargetError if a running handler does not accept connections, or if TLS fails."""
        if not self.command:
            await _require_handler(url, shown)
        if url.startswith("https:"):
            await self._require_trust(url, shown)

    async def _require_trust(self, url: str, shown: str) -> None:
        """Raise TargetError if no TLS connection can be opened, because that is not a fault of the handler's code."""
        from port_hook_cli.http.client import HttpClient

        async with HttpClient(timeout_s=self.plan.limits.timeout_s, trust=self.trust) as client:
            problem = await client.connection_problem(url)
        if problem:
            raise TargetError(
                f"{printable(shown)} cannot be checked: {printable(problem)}.",
                hint="Correct --to. If the certificate is not trusted, pass it or its authority with --cacert FILE.",
            )

    async def _means(self, stack: AsyncExitStack, side: PortRole, found: FoundSubject) -> CheckMeans:
        from port_hook_cli.http.client import HttpClient

        environ: dict[str, str] = {}
        handler = outbound = None
        if self.command:
            from port_hook_cli.check.outbound import OutboundProxy, uses_proxy
            from port_hook_cli.listener.handler_process import HandlerProcess

            # Otherwise, Python buffers the handler's output.
            environ = {"PYTHONUNBUFFERED": "1", **self.runtime.environ, **side.environ}
            if not uses_proxy(environ):
                outbound = await stack.enter_async_context(OutboundProxy.open())
                environ |= outbound.environ
            starting = HandlerProcess.started(
                self.command,
                environ,
                self.runtime.cwd,
                address=handler_address(found.subject.url),
                timeout_s=min(_START_S, self.plan.limits.within_s),
            )
            handler = await stack.enter_async_context(starting)
        return CheckMeans(
            client=lambda timeout_s: HttpClient(timeout_s=timeout_s, keep_alive=False, trust=self.trust),
            secret=side.secret(),
            now=self.runtime.now,
            new_id=self.runtime.new_id,
            client_id=side.client_id,
            other_secret=side.other_secret,
            other_secret_place=side.other_secret_place,
            watch=side.watch,
            handler=handler,
            language=language_of(self.command),
            outbound=outbound,
            environ=environ,
            masker=found.masker,
            keep=None if self.keep is None else self.keep(side.secret(), found.masker),
        )

    @asynccontextmanager
    async def _port_side(self) -> AsyncIterator[PortRole]:
        """Yield the credentials that sign requests, and the watch that reads the handler's reports."""
        if not self.command:
            async with _running_sandbox(self.access, self.sandbox) as watch:
                settings = self.access.settings
                other = settings.other_secret
                yield PortRole(
                    settings.require_secret,
                    settings.client_id,
                    watch,
                    other.secret if other else None,
                    other.place if other else "",
                )
            return
        from port_hook_cli.sandbox import ApiRules, Sandbox

        # Every request has the same inputs, so later requests create an entity that already exists.
        async with Sandbox.start(now=self.runtime.now, rules=ApiRules(any_entity=True)) as sandbox:
            self.runtime.keep_secret(sandbox.client_secret.reveal())
            found = self.access.found
            yield PortRole(
                lambda: sandbox.client_secret,
                sandbox.client_id,
                OwnSandboxWatch(sandbox),
                found.client_secret,
                found.secret_place,
                _environ_of(sandbox),
            )


async def _require_handler(url: str, shown: str) -> None:
    """Raise TargetError if nothing accepts connections at a URL. The message shows `shown` instead of the URL."""
    if problem := await connection_problem(*handler_address(url)):
        raise TargetError(
            f"Nothing listens on {printable(shown)}: {problem}.",
            hint="Start your handler, or pass the command that starts it, such as `-- python app.py`.",
        )


class PortRole(NamedTuple):
    """Port's role in a check: the credentials and the watch.

    `secret` raises CredentialsError if no secret is set. `other_secret` is another secret in the settings, which the
    handler may use by mistake. `environ` contains the variables for the handler.
    """

    secret: Callable[[], Secret]
    client_id: str | None = None
    watch: SandboxWatch | None = None
    other_secret: Secret | None = None
    other_secret_place: str = ""
    environ: Mapping[str, str] = {}


def _environ_of(sandbox: Sandbox) -> Mapping[str, str]:
    """Return the environment variables for a handler. There are two URLs, because only some handlers append /v1."""
    return {
        "PORT_CLIENT_ID": sandbox.client_id,
        "PORT_CLIENT_SECRET": sandbox.client_secret.reveal(),
        "PORT_API_URL": f"{sandbox.url}/v1",
        "PORT_BASE_URL": sandbox.url,
        "PORT_API_BASE_URL": sandbox.url,
    }


@asynccontextmanager
async def _running_sandbox(access: PortAccess, own: Sandbox | None) -> AsyncIterator[SandboxWatch | None]:
    """Yield a watch of `own` or of the sandbox that the settings point to, or None without any sandbox."""
    if own is not None:
        yield OwnSandboxWatch(own)
        return
    settings = access.settings
    if settings.client_id is None or settings.client_secret is None or not is_on_this_machine(settings.api_url):
        yield None
        return
    async with SandboxWatch.open(access) as watch:
        yield watch if await _responds(watch) else None


async def _responds(watch: SandboxWatch) -> bool:
    """Return whether a sandbox shows its calls in time."""
    try:
        async with asyncio.timeout(_SANDBOX_S):
            await watch.mark()
    except TimeoutError:
        return False
    return watch.problem is None
