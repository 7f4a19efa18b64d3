"""Values that users meet in JSON records, options and stored files: scripts compare them, so they do not change."""

from __future__ import annotations

from enum import Enum

from port_hook_cli.actions.action import ActionKind
from port_hook_cli.actions.encryption import Problem, Scheme
from port_hook_cli.invocations.models import Kind, Status
from port_hook_cli.retarget.entry import End, EntryKind
from port_hook_cli.runs.updates import LogLevel, RunStatus
from port_hook_cli.sandbox.run import Phase
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.tunnels.report import TunnelState
from port_hook_cli.workflows.nodes import NodeResult

VALUES: dict[type[Enum], str] = {
    ActionKind: "self-service automation",
    End: "restored untouched changed another removed failed elsewhere in-use",
    EntryKind: "action workflow-node",
    Kind: "action-run automation change-log workflow-node unknown",
    Phase: "approval pending sending sent claimable claimed acked",
    Problem: "wrong-key truncated not-encrypted missing",
    LogLevel: "debug info warn error",
    NodeResult: "SUCCESS FAILED CANCELLED",
    RunStatus: "success failure failed cancelled",
    Scheme: "aes256-gcm client-side",
    Status: "valid reencoded stale invalid missing malformed unchecked",
    TimestampUnit: "s ms",
    TunnelState: "open reachable unreachable taken lost",
}


def test_public_values_stay_the_same() -> None:
    found = {values.__name__: {value.value for value in values} - {""} for values in VALUES}
    assert found == {values.__name__: set(expected.split()) for values, expected in VALUES.items()}
