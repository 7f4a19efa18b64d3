"""Handlers with one known defect each, and the findings that `port-hook check` must report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from port_hook_cli.check.catalog import BY_SLUG, CheckGroup
from port_hook_cli.check.plan import CheckWaits

HANDLERS = Path(__file__).parent / "handlers"
SOURCES = Path(__file__).parent / "sources"

STD, FASTAPI, FLASK = "std.py", "fastapi_app.py", "flask_app.py"
NODE, EXPRESS = "plain.mjs", "express_app.cjs"

FAILED, WARNING, INFORMATION = "failed", "warning", "information"
_DEFAULT = "create_vm.yaml"
_AGENT = "create_vm_agent.yaml"
_SYNCHRONIZED = "create_vm_synchronized.yaml"
_WORKFLOW = "create_vm_workflow.yaml#create"
_RUN_WITH_ALL = {
    (STD, "verifies-nothing"),
    (FASTAPI, "ten-runs"),
    (FLASK, "parses-first"),
    (NODE, "dies-of-signature"),
    (EXPRESS, "no-memory"),
}


class DefectCase(NamedTuple):
    """A handler, the request that it is checked with, and the status of each check that does not pass.

    `defect` is the program's second argument. `source` is a file in sources/. An unobserved check is left out
    of `expected`.
    """

    program: str
    defect: str
    expected: Mapping[str, str] = {}
    source: str = _DEFAULT

    @property
    def name(self) -> str:
        """The case as the ID of a test."""
        request = "" if self.source == _DEFAULT else f"-{self.source.partition('.')[0].removeprefix('create_vm_')}"
        return f"{self.program.partition('.')[0]}-{self.defect}{request}"

    @property
    def waits(self) -> CheckWaits:
        """The waits of the check. The end of a run that never comes is not awaited for long."""
        return CheckWaits(end_s=2.0) if self.defect in {"terminal", "node-result"} else CheckWaits()

    @property
    def groups(self) -> tuple[CheckGroup, ...]:
        """The groups of the checks to run.

        All run with a handler without a defect of its own, and with one defect of each program. With the others, the
        group of the defect and one more group run, because all together need a third more processor time.
        """
        if self.defect == "none" or (self.program, self.defect) in _RUN_WITH_ALL:
            return (*CheckGroup,)
        found = {BY_SLUG[slug].group for slug in self.expected}
        other = CheckGroup.REPEATS if found == {CheckGroup.REPORTS} else CheckGroup.REPORTS
        return (*found, other)


# Every signature of the right length is accepted.
_SHAPE = dict.fromkeys(
    ("other-secret", "empty-secret", "default-secret", "body-changed", "timestamp-changed", "body-only", "prefix"),
    FAILED,
)
_NOTHING = {
    **_SHAPE,
    **dict.fromkeys(("no-signature", "no-timestamp", "empty-value", "old"), FAILED),
    "future": INFORMATION,
}
_REPEATS = ("same-delivery", "same-run", "same-run-at-once")
# The documented verifiers do not check the age, and fail without both headers.
_DOCUMENTED = {"old": FAILED, "future": INFORMATION, "rejection-status": WARNING}

CORRECT = (
    *(DefectCase(program, "none") for program in (STD, FASTAPI, FLASK, NODE, EXPRESS)),
    DefectCase(EXPRESS, "none", source="create_vm_put.yaml"),
    DefectCase(FASTAPI, "none", source="create_vm_template.yaml"),
    *(DefectCase(program, "none", source=_AGENT) for program in (STD, EXPRESS)),
    *(DefectCase(program, "none", source=_SYNCHRONIZED) for program in (FASTAPI, NODE)),
    DefectCase(FLASK, "none", source=_WORKFLOW),
)

DOCUMENTED = (
    DefectCase("documented.py", "none", _DOCUMENTED),
    DefectCase("documented_express.cjs", "none", _DOCUMENTED),
    DefectCase("documented.py", "none", {**_DOCUMENTED, "valid-agent": FAILED}, _AGENT),
)

DEFECTS = (
    # A valid request is rejected.
    DefectCase(STD, "milliseconds", {"valid": WARNING}),
    DefectCase(EXPRESS, "sha256-prefix", {"valid": FAILED}),
    DefectCase(FASTAPI, "json-dumps", {"valid": FAILED}),
    DefectCase(FASTAPI, "valid-agent", {"valid-agent": FAILED}, _AGENT),
    # An invalid request is accepted.
    DefectCase(STD, "verifies-nothing", _NOTHING),
    DefectCase(EXPRESS, "shape-only", _SHAPE),
    DefectCase(FASTAPI, "no-signature", {"no-signature": FAILED}),
    DefectCase(FLASK, "no-timestamp", {"no-timestamp": FAILED}),
    DefectCase(FASTAPI, "empty-secret", {"empty-secret": FAILED}),
    DefectCase(NODE, "default-secret", {"default-secret": FAILED}),
    DefectCase(STD, "secret-unset", {"secret-unset": FAILED}),
    DefectCase(STD, "timestamp-changed", {"timestamp-changed": FAILED}),
    DefectCase(FLASK, "body-only", {"body-only": FAILED}),
    DefectCase(FLASK, "prefix", {"prefix": FAILED}),
    DefectCase(STD, "empty-value", {"empty-value": FAILED}),
    DefectCase(FASTAPI, "old", {"old": FAILED}),
    DefectCase(STD, "old-milliseconds", {"old": FAILED}),
    DefectCase(STD, "future", {"future": INFORMATION}),
    # An invalid request is rejected in the wrong way.
    DefectCase(STD, "refusal-500", {"rejection-status": WARNING}),
    DefectCase(FLASK, "refusal-200", {"rejection-status": WARNING}),
    DefectCase(STD, "survives-500", {"survives": WARNING}),
    DefectCase(STD, "survives-utf8", {"survives": WARNING}),
    DefectCase(STD, "survives-hang", {"survives": WARNING}),
    DefectCase(FLASK, "parses-first", {"survives": WARNING}),
    DefectCase(NODE, "dies-of-signature", {"survives": FAILED}),
    DefectCase(EXPRESS, "dies-unsigned", {"survives": FAILED}),
    # A valid request is not read in each form.
    DefectCase(STD, "post-only", {"method": FAILED}, "create_vm_put.yaml"),
    DefectCase(NODE, "header-case", {"header-case": FAILED}),
    DefectCase(FLASK, "charset", {"charset": FAILED}),
    DefectCase(EXPRESS, "size-limit", {"size": FAILED}),
    DefectCase(STD, "size-closed", {"size": INFORMATION}),
    DefectCase(FLASK, "at-once", {"at-once": WARNING}),
    DefectCase(FASTAPI, "slow", {"slow": WARNING}),
    DefectCase(NODE, "cut-off", {"cut-off": WARNING}),
    DefectCase(NODE, "not-json", {"not-json": WARNING}),
    DefectCase(FLASK, "not-object", {"not-object": WARNING}),
    DefectCase(FLASK, "fields", {"fields": WARNING}),
    DefectCase(FASTAPI, "unknown-action-500", {"unknown-action": WARNING}),
    DefectCase(FASTAPI, "unknown-action-hang", {"unknown-action": FAILED}),
    # Work is done twice, or not.
    DefectCase(STD, "no-memory", dict.fromkeys(_REPEATS, WARNING)),
    DefectCase(EXPRESS, "no-memory", dict.fromkeys(_REPEATS, FAILED), _AGENT),
    DefectCase(STD, "same-run", {"same-run": WARNING}),
    DefectCase(FASTAPI, "same-run-at-once", {"same-run-at-once": WARNING}),
    DefectCase(FASTAPI, "ten-runs", {"ten-runs": FAILED}),
    DefectCase(STD, "order", {"order": FAILED}),
    # The end of a run is not reported, or not correctly.
    DefectCase(STD, "terminal", {"terminal": FAILED}),
    DefectCase(STD, "once", {"once": FAILED}),
    DefectCase(EXPRESS, "after-work", {"after-work": FAILED}),
    DefectCase(STD, "failure-dies", {"failure-reported": FAILED}),
    DefectCase(EXPRESS, "sync-status", {"sync-status": FAILED}, _SYNCHRONIZED),
    DefectCase(NODE, "node-result", {"node-result": FAILED}, _WORKFLOW),
)
