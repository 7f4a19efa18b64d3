"""What `report-run` says of what it did, or would do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from port_hook_cli.runs.log_splitting import encode_body
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.runs.updates import Call, Reported

# Nothing that a shell reads, no option, and short: every id that Port makes is like that, and most external ids.
_TYPEABLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}\Z")


def report_command(run_id: str, *, failed: bool) -> str:
    """Return the command that reports a run's end, to be copied; "" for an id that nobody should paste into a shell.

    `failed` says that the answer was no 2xx. After a 2xx the work may yet end either way, which the words around the
    command have to say: on the line itself it would be pasted, too, and be wider than 80 columns.
    """
    status = "failure" if failed else "success"
    return f"port-hook report-run {run_id} --status {status}" if _TYPEABLE.match(run_id) else ""


def format_reported(reported: Reported, page: str) -> str:
    """Return a confirmation: the run, what Port took, and the run's page on a line of its own if it has one."""
    logs = reported.logs_sent
    told = [f"{logs} log {'entry' if logs == 1 else 'entries'}"] if logs else []
    told += [name for name in reported.fields if name != "status"]
    told += [f"status {reported.status}"] if reported.status else []
    line = f"{printable(reported.run_id)}: reported {', '.join(told) or 'nothing'}"
    return f"{line}\n{printable(page)}" if page else line


def format_call(call: Call, api_url: str) -> str:
    """Return a call as its method and URL, and its body on the next line."""
    body = printable(encode_body(call.body or {}).decode())
    return f"{call.method} {printable(api_url + call.path)}\n{body}"
