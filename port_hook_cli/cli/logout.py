"""`port-hook logout`."""

from __future__ import annotations

from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.contradictions import refuse_contradictions
from port_hook_cli.cli.option_groups import command, option
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.port_api import logins
from port_hook_cli.port_api.login_records import login_record
from port_hook_cli.port_api.logins import Logins
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.text.safe import printable


@command
def logout(
    ctx: typer.Context,
    org: Annotated[str | None, option("--org", help="The organization. Default: the only one.", metavar="NAME")] = None,
    all_of_them: Annotated[bool, option("--all", help="Delete the credentials of all organizations.")] = False,
    as_json: options.Json = False,
) -> ExitCode:
    """Delete credentials that `port-hook login` keeps.

    Only the copy on this machine is deleted; in Port, they stay valid.
    """
    runtime: Runtime = ctx.obj
    logins.delete_leftovers(runtime.home)
    kept = logins.read_logins(runtime.home)
    logins.refuse_unused(kept)
    chosen = _chosen(kept, org, ctx, all_of_them=all_of_them)
    for name in chosen:
        removed = logins.remove_login(runtime.home, name)
        if as_json:
            emit(
                login_record(
                    "removed",
                    name,
                    removed.client_id,
                    removed.api_url,
                    kept_in=str(removed.kept_in),
                    is_default=name == kept.default,
                ),
                runtime.stdout,
            )
        else:
            print(f"Logged out of organization {printable(name)!r}.", file=runtime.stdout)
    if not chosen:
        tell("There are no logins.", runtime)
    return ExitCode.OK


def _chosen(kept: Logins, org: str | None, ctx: typer.Context, *, all_of_them: bool) -> tuple[str, ...]:
    refuse_contradictions({"--org": options.is_given(ctx, "org"), "--all": all_of_them})
    if all_of_them:
        return tuple(kept.by_name)
    if org is not None:
        return (org,)
    if len(kept.by_name) > 1:
        raise UsageError(
            f"There are several logins: {printable(', '.join(kept.by_name))}.", hint="Choose one with --org, or --all."
        )
    return tuple(kept.by_name)
