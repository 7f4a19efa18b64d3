"""The skill for coding agents, port_hook_cli/assistant/SKILL.md, made of the same declarations as the reference.

`port-hook mcp --skill` prints it. It has the form of agentskills.io: a name and a description in YAML, then Markdown.
"""

from __future__ import annotations

import sys

from docs.command_line import summary_of
from docs.llms import EXAMPLES, RULES
from port_hook_cli.assistant.catalog import TOOLS
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode

_DESCRIPTION = (
    "Debug the webhooks of Port (port.io) workflows, self-service actions and automations with the port-hook command "
    "line. Use it when a handler rejects Port's signature, when you need to see, replay or simulate a request from "
    "Port without an account, or when a run in Port stays IN_PROGRESS."
)

# In the order in which they are needed.
_COMMANDS = ("captures", "verify", "show", "replay", "check", "trigger", "sandbox", "listen", "report-run", "doctor")

_ORDER = """\
1. `port-hook captures --json --limit 5` shows what arrived, with verdict and response. Without captures, ask the \
user to run `port-hook listen --forward-to PORT` and the workflow or action, or make a request yourself (step 6).
2. `port-hook verify last --json` explains why the signature of the latest request is invalid (`causes`, each with a \
`fix`). `last` is the latest request that arrived. A replay never changes what it means.
3. If the signature is valid but the handler rejects it, pass the signature S that the handler's code computed: \
`port-hook verify last --signature S` says what that code did. `port-hook check last --to PORT` finds \
the mistake without a change to the code. An accepted request can start the handler's real work: ask the user first.
4. `port-hook show last` shows the request, the handler's response and what Port does with it.
5. Fix the handler. `port-hook replay last --json` sends the request again, newly signed. \
`--set PATH=JSON` changes it.
6. Without a capture: `port-hook trigger FILE --to PORT --input NAME=VALUE` makes the request from a workflow or an \
action as Port does, and `port-hook sandbox` simulates Port's API for the reports of the handler.
7. `port-hook check --to PORT --json` sends valid, forged, repeated and broken requests, and lists the handler's \
mistakes. It starts the handler's real work several times: ask the user first.
8. `port-hook report-run last --status success` ends a run in Port. Do this only if the user asks for it."""


def skill_page() -> str:
    """Return the page."""
    if unknown := set(_COMMANDS) - set(COMMANDS):
        sys.exit(f"docs/skill.py names commands that do not exist: {', '.join(sorted(unknown))}")
    commands = "\n".join(f"- `{EXAMPLES[name]}`: {summary_of(name)}" for name in _COMMANDS)
    codes = "\n".join(f"- {int(code)}: {code.meaning}" for code in ExitCode)
    reading, sending = (", ".join(f"`{tool.name}`" for tool in TOOLS if tool.sends is sends) for sends in (False, True))
    sections = {
        "How to debug": _ORDER,
        "Commands": f"{commands}\n\n`port-hook help COMMAND` shows a command's options, `port-hook help listen --all` "
        "all of them.",
        "Rules": RULES,
        "Tools of `port-hook mcp`": "The same as tools of the Model Context Protocol, if your client has started "
        f"`port-hook mcp`. These only read: {reading}. These send, and exist only with `--allow-send`: {sending}.",
        "Exit codes": codes,
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"---\nname: port-hook\ndescription: {_DESCRIPTION}\n---\n\n# port-hook\n\n{body}\n"
