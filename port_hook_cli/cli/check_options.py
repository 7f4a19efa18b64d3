"""The options of `check`, grouped as in its help, and the values that the check is called with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from port_hook_cli.check.catalog import BY_SLUG, CheckGroup
from port_hook_cli.check.plan import TIMEOUT_S, WITHIN_S, CheckLimits, CheckPlan
from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import ANY_VALUE, HANDLER_HERE, Trust, option, option_group, short_option
from port_hook_cli.cli.run_options import RunContents
from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.terminal.prompts import can_ask

if TYPE_CHECKING:
    from ssl import SSLContext

    from port_hook_cli.invocations.handlers import Handler
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.trigger.action import RunTarget

COMMAND = "a command after --"
_NAMES = (*map(str, CheckGroup), *BY_SLUG)
_LIMITS_S = {"--within": (10.0, WITHIN_S), "--timeout": (1.0, TIMEOUT_S)}
"""The range that a project's file may set. With a shorter time, some checks would not run."""


@option_group("Target")
class CheckTarget:
    """The options for the URL of the handler."""

    to: Annotated[
        str | None,
        short_option(
            "--to",
            metavar="URL|PORT",
            help="Your handler, on this machine. If it has no path, port-hook uses the path and query of SOURCE. "
            "Default: the handler that received the capture, or your handler in port-hook.toml.",
            trust=HANDLER_HERE,
        ),
    ] = None
    to_its_url: Annotated[
        bool,
        option(
            "--to-its-url",
            help="Check the handler at the action's own URL, even on another machine. Asks first.",
            excludes=("--to", COMMAND),
        ),
    ] = False
    cacert: Annotated[
        str | None,
        option(
            "--cacert",
            metavar="FILE",
            help="For an https handler, trust the certificates in this PEM file and the system's.",
            stdin="the certificates",
        ),
    ] = None
    yes: Annotated[
        bool,
        option(
            "--yes",
            "-y",
            help="Skip the confirmation before checking a running handler.",
            excludes=(COMMAND,),
        ),
    ] = False

    def trust(self, runtime: Runtime) -> SSLContext | None:
        """Return the TLS context for --cacert, or None. Raises StoreError and SourceError for the file."""
        from port_hook_cli.files.user_files import read_input
        from port_hook_cli.http.proxies import trust_also

        if self.cacert is None:
            return None
        pem = read_input(self.cacert, cwd=runtime.cwd, stdin=runtime.stdin)
        try:
            return trust_also(pem.decode("ascii", "replace"))
        except ValueError:
            raise SourceError(
                f"{self.cacert} has no certificate.", hint="Pass a PEM file that contains `BEGIN CERTIFICATE`."
            ) from None

    def read(self, runtime: Runtime) -> RunTarget:
        """Return the target.

        Raises UsageError if it is invalid, or if port-hook cannot ask for a required confirmation.
        """
        from port_hook_cli.invocations.targets import read_target
        from port_hook_cli.trigger.action import RunTarget

        if self.to_its_url and not self.yes and not can_ask(runtime):
            raise UsageError(
                "--to-its-url can start work on another machine. port-hook cannot ask for confirmation because this "
                "is not a terminal.",
                hint="Pass --yes.",
            )
        return RunTarget(to=None if self.to is None else read_target(self.to, "--to"), to_its_url=self.to_its_url)


@option_group("Checks")
class CheckChoice:
    """The options that select checks."""

    only: Annotated[
        list[str] | None,
        short_option(
            "--only", metavar="CHECK|GROUP", help="Run only this check or group of checks (repeatable).", choices=_NAMES
        ),
    ] = None
    skip: Annotated[
        list[str] | None,
        short_option(
            "--skip", metavar="CHECK|GROUP", help="Skip this check or group of checks (repeatable).", choices=_NAMES
        ),
    ] = None
    lists: Annotated[bool, short_option("--list", help="List the checks.", excludes=("--json",))] = False

    def plan(self, limits: CheckLimits) -> CheckPlan:
        """Return the plan with the selected checks. Raises UsageError for an unknown name, and if no check is left."""
        return CheckPlan.of(self.only or (), self.skip or (), limits)


@option_group("Limits")
class CheckTimes:
    """The options for the time limits of a check."""

    within_s: Annotated[
        float,
        options.seconds(
            "--within",
            "Stop after S seconds, and report the remaining checks as not observed.",
            least=1.0,
            trust=Trust(*_LIMITS_S["--within"]),
        ),
    ] = WITHIN_S
    timeout_s: Annotated[
        float,
        options.seconds(
            "--timeout", "Wait at most S seconds for a response.", least=0.1, trust=Trust(*_LIMITS_S["--timeout"])
        ),
    ] = TIMEOUT_S

    def read(self) -> CheckLimits:
        """Return the limits of the check."""
        return CheckLimits(self.within_s, self.timeout_s)


@option_group("Credentials")
class CheckCredentials:
    """The credentials that sign requests and call a sandbox or Port."""

    secret_file: options.SecretFile = None
    org: options.Org = None

    def access(self, runtime: Runtime) -> PortAccess:
        """Return the access to the sandbox or Port."""
        from port_hook_cli.port_api.access import PortAccess
        from port_hook_cli.terminal.console import sayer

        return PortAccess(
            runtime,
            sayer(runtime),
            org=self.org,
            secret_file=self.secret_file,
        )


@option_group("Output")
class CheckOutput:
    """The options for the output and the store."""

    json: options.Json = False
    junit: Annotated[
        str | None,
        short_option("--junit", metavar="FILE", help="Write a JUnit report for CI. Replaces an earlier report."),
    ] = None
    strict: Annotated[
        bool, short_option("--strict", help="Fail even for warnings and checks without a result.", trust=ANY_VALUE)
    ] = False
    store: options.Store = None


@frozen(kw_only=True)
class CheckCommand:
    """The values of the command line. `words` are the words of the command that starts the handler.

    `handler` is the project's handler.
    """

    source: str | None
    words: tuple[str, ...]
    plan: CheckPlan
    target: CheckTarget
    run: RunContents
    credentials: CheckCredentials
    output: CheckOutput
    runtime: Runtime
    handler: Handler | None = None
