"""The part of the Python API that checks a handler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any, TypedDict, Unpack

from port_hook_cli import api_arguments as arguments
from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.check.findings import CheckReport
from port_hook_cli.check.plan import WITHIN_S, CheckLimits, CheckPlan
from port_hook_cli.check.session import CheckBegins, CheckSession
from port_hook_cli.check.sources import SubjectSource
from port_hook_cli.invocations.handlers import HandlerRule
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.replay.store import keep_in_thread
from port_hook_cli.runtime import silent_runtime
from port_hook_cli.text.remark import say_nothing
from port_hook_cli.trigger.action import RunTarget
from port_hook_cli.trigger.run_data import RunData, default_starter


class CheckSelection(TypedDict, total=False):
    """The selection of checks, for `check`.

    `only` contains the names of the checks or groups to run, and `skip` the checks or groups to leave out. The check
    ends after `within_s` seconds, by default 60.
    """

    only: Iterable[str]
    skip: Iterable[str]
    within_s: float


_SELECTION: Mapping[str, arguments.Reader] = {
    "only": arguments.read_texts,
    "skip": arguments.read_texts,
    "within_s": arguments.read_seconds,
}


async def check(
    source: str | PurePath | Mapping[str, Any] | bytes | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    to: str | int | None = None,
    command: Iterable[str] = (),
    secret: str | None = None,
    store: str | PurePath | None = None,
    **selection: Unpack[CheckSelection],
) -> CheckReport:
    """Send valid, forged, repeated and broken requests to a handler on this machine, and return the findings.

    `source` is the request: a capture ID, `last`, a file, an action as for `trigger`, `FILE#NODE` of a workflow, a
    payload as bytes or a mapping, or None. None means the latest valid capture, or a sample action if there is no such
    capture. `inputs` are inputs of an action. Missing inputs get sample values. `to` is a URL, or a port on this
    machine.

    `command` starts the handler with the credentials of a temporary sandbox. Without `command`, the checks can observe
    reports only if the settings point to a running sandbox. With `secret`, settings are not used. port-hook saves the
    requests of findings in `store`, and creates the store if needed. Without `store`, port-hook uses the current
    directory's store if that store exists.

    Raises PortHookError for an unknown source or check, a missing target or secret, a URL on another machine, a command
    that does not start, and a target that does not accept connections. Raises TypeError for an unknown argument, and
    for `only`, `skip` or `command` that are not iterables of strings.
    """

    async def begin(_: CheckBegins) -> None:
        pass

    runtime, target = silent_runtime(), RunTarget(to=arguments.read_address("to", to))
    words, file = arguments.read_texts("command", command), arguments.read_path("store", store)
    given = arguments.read_all(selection, _SELECTION)
    limits = CheckLimits(within_s=given.get("within_s", WITHIN_S))
    properties = {} if inputs is None else arguments.read_object("inputs", inputs)
    access = arguments.open_access(runtime, say_nothing, only_the_secret=False)
    own = (
        access
        if secret is None
        else PortAccess.known(Settings(client_secret=arguments.secret_of(secret, access)), runtime)
    )
    with closing(Finder(file, runtime, CaptureUse.SEND, say_nothing)) as finder:
        subjects = SubjectSource(
            finder=finder,
            access=access,
            runtime=runtime,
            say=say_nothing,
            target=replace(target, handler=HandlerRule(last=finder.last_target).url),
            run_data=lambda form: RunData(properties=properties, by=default_starter(form, None), origin="API"),
        )
        path = store_path(file, runtime.cwd)
        session = CheckSession(
            name=arguments.read_source("source", source),
            source=subjects,
            plan=CheckPlan.of(given.get("only", ()), given.get("skip", ()), limits),
            access=own,
            runtime=runtime,
            command=words,
            keep=lambda key, masker: partial(keep_in_thread, path, key, creates=file is not None, masker=masker),
        )
        return await session.run(begin)
