"""The options of `listen` that use Port's model: what happens to runs, and encrypted inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli.listen_additions import Addition, Listen, ListenOptions
from port_hook_cli.cli.option_groups import option, option_group, refuse_contradictions, short_option
from port_hook_cli.cli.options import one_of

if TYPE_CHECKING:
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.serving import ListenPlan


@option_group("Runs in Port", after="ListenResponses")
class ListenRuns(ListenOptions):
    """The options for runs in Port after the response."""

    follow: Annotated[
        bool, option("--follow", help="Watch each run in Port after a 2xx response, and show its logs and status.")
    ] = False
    report: Annotated[
        str | None,
        short_option(
            "--report",
            metavar="success|failure",
            help="Report each run's result to Port after the handler's response. With success, a run ends as FAILURE"
            " if the response is not a 2xx.",
            parser=one_of(("success", "failure")),
        ),
    ] = None

    @property
    def needs_access(self) -> bool:
        """Whether runs are read or reported."""
        return self.follow or self.report is not None

    def refuse(self, listen: Listen) -> None:
        """Raise UsageError if anyone could report a run, because requests are not verified."""
        is_off = not listen.is_verified
        refuse_contradictions(
            {"--verify off": is_off, "--report": bool(self.report)}, {"--verify off": is_off, "--follow": self.follow}
        )

    def addition(self, listen: Listen, plan: ListenPlan) -> Addition:
        """Return what reports runs, and then follows them to their end."""
        del plan
        if not self.needs_access:
            return Addition()

        def watching(screen: Observer, settled: set[str]) -> Sequence[Observer]:
            from port_hook_cli.listener.port_runs import RunFollower, RunReporter
            from port_hook_cli.runs.updates import RunStatus

            client = listen.access.client
            found: list[Observer] = []
            if self.report is not None:
                found.append(RunReporter(RunStatus(self.report), client, screen, settled))
            if self.follow:
                found.append(RunFollower(client, screen, settled))
            return found

        return Addition(watching=watching, reports=self.report is not None)


@option_group("Output", after="ListenOutput")
class ListenDecrypt(ListenOptions):
    """The option for encrypted inputs."""

    decrypt: Annotated[
        bool,
        option("--decrypt", help="Decrypt the inputs that the payload lists as encrypted, in the terminal only."),
    ] = False

    def addition(self, listen: Listen, plan: ListenPlan) -> Addition:
        """Return what decrypts inputs for display. This method may ask for the passphrase of the private key."""
        if not self.decrypt:
            return Addition()
        from port_hook_cli.cli.encryption import build_decrypter

        return Addition(reveal=build_decrypter(plan.policy.secret, listen.private_key, listen.runtime).reveal)
