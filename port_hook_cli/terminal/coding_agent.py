"""Whether a coding agent runs port-hook. An agent reads the output, but cannot answer a prompt or leave a pager."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The variables that coding agents set for the commands that they run. GitHub's and Stripe's command lines read the same
# variables. Variables that an editor also sets in its user's own terminal (CURSOR_TRACE_ID, REPL_ID, TERM_PROGRAM)
# don't count.
VARIABLES: Mapping[str, str] = {
    "CLAUDECODE": "claude-code",
    "CLAUDE_CODE": "claude-code",
    "CURSOR_AGENT": "cursor-cli",
    "CODEX_SANDBOX": "codex",
    "CODEX_THREAD_ID": "codex",
    "CODEX_CI": "codex",
    "GEMINI_CLI": "gemini-cli",
    "COPILOT_CLI": "copilot-cli",
    "OPENCODE": "opencode",
    "ANTIGRAVITY_AGENT": "antigravity",
    "AUGMENT_AGENT": "augment-cli",
    "CLINE_ACTIVE": "cline",
    "GOOSE_TERMINAL": "goose",
}
# `AGENT` is a common word, which other programs use for other purposes.
_NAMED_BY_AGENT = frozenset({"amp", "goose"})
_NAME = r"(?a)[\w./@-]{1,64}"
_OFF = frozenset({"", "0", "false"})


def coding_agent(environ: Mapping[str, str]) -> str | None:
    """Return the name of the coding agent that runs port-hook, or None for a person or a script.

    `AI_AGENT` can name any agent. A variable whose value is 0 or `false` counts as not set.
    """
    named = environ.get("AI_AGENT", "").strip()
    if named.lower() not in _OFF:
        return named if re.fullmatch(_NAME, named) else "unknown"
    if environ.get("AGENT") in _NAMED_BY_AGENT:
        return environ["AGENT"]
    found = (name for variable, name in VARIABLES.items() if environ.get(variable, "").lower() not in _OFF)
    return next(found, None)
