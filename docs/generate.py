"""Write the generated parts of the documentation: `python docs/generate.py [--check]`.

- docs/man/port-hook.1: the man page, from the help of the commands
- port_hook_cli/assistant/SKILL.md: the skill for coding agents (docs/skill.py)
- port_hook_cli/cli/completion/words.py: what completion knows of the commands
- docs/contributing/code-map.md: the folders, from the import contract and the docstrings of the packages
- docs/install/install.md: the demo, from a run of the demo
- docs/receive/public-url.md: the table of tunnels, from the tunnel registry
- docs/images/listen.svg: from a run of `listen` (docs/picture.py)
- docs/llms.txt: the page for coding agents, from the code and the reference (docs/llms.py)
- docs/reference/cli.md: from the help of the commands
- docs/reference/exit-codes.md: the table of exit codes, from the code
- docs/reference/mcp.md: from the tools
- docs/reference/settings.md: the options that a project's file may set, from the code
- docs/reference/signatures.md: the causes, from the code and docs/reproductions.toml

Ports, ids, times and other values that differ between two runs are replaced. With `--check`, nothing is written, and a
difference is an error.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import port_hook_cli
from port_hook_cli.assistant.catalog import TOOLS
from port_hook_cli.assistant.sending import TO
from port_hook_cli.assistant.tool import CAPTURE, UNTRUSTED, AssistantTool
from port_hook_cli.check.catalog import CHECKS, CheckGroup, HandlerCheck
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import ANY_VALUE, Trust
from port_hook_cli.cli.topics import TOPICS
from port_hook_cli.invocations.models import Cause, Status
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S, clock_skew
from port_hook_cli.tunnels.registry import AUTO, NO_TUNNEL, PROVIDERS, YOUR_URL, automatic

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # so that modules beside this one can be imported as docs.…
_BEYOND_ANY_USE = 2**30
PACKAGE = Path(port_hook_cli.__file__).parent
_LAYOUT = re.compile(r"(?s)(<!-- layout: [^\n]*-->\n```text\n).*?(```)")
# Different values get different placeholders, so that two ports remain two ports.
_REPLACED = (
    (re.compile(r"(?<=http://127\.0\.0\.1:)\d+"), ("40121", "40122", "40123")),
    (re.compile(r"\br_[A-Za-z0-9]{16}\b"), ("r_QOz6WoOB1Q2lmhZZ",)),
    (re.compile(r"\bwfr_[A-Za-z0-9]{16}\b"), ("wfr_Qw9Er5Ty3Ui7Op1A",)),
    (re.compile(r"\bwfnr_[A-Za-z0-9]{16}\b"), ("wfnr_h7Kq2ZpX4mN8sT1v",)),
    (re.compile(r"(?m)^\d\d:\d\d:\d\d"), ("14:05:09",) * 9),  # a run can cross the end of a second
    (re.compile(r"\b[0-9a-f]{8}(?=$|, whose)", re.MULTILINE), ("3f2a9c0b", "5d9be27a", "81c07d5e")),
)
_LATENCY = re.compile(r"(?<=in )\d+(?:\.\d)? m?s +")
_OPTIONS = re.compile(r"(<!-- project options: [^\n]*-->\n)(?:\n?\|[^\n]*\n)*")
_TUNNELS = re.compile(r"(<!-- tunnels: [^\n]*-->\n)(?:\n?\|[^\n]*\n)*")
_EXIT_CODES = re.compile(r"(<!-- exit codes: [^\n]*-->\n)(?:\|[^\n]*\n)*")
_CAUSES = re.compile(r"(?s)(<!-- causes: [^\n]*-->\n).*?(?=\*\*Next:)")
_LISTENING = "Run `port-hook listen --tunnel none` in another terminal with the same `PORT_CLIENT_SECRET`, and then:"
_OF_LISTENERS = {"body-changed", "replayed"}
_TOOLS = re.compile(r"(?s)(<!-- tools: [^\n]*-->\n).*\Z")
_TARGET, _USERS_TARGET = TO.partition(" Default:")[0], "Default: the user's"
# What the page explains once, elsewhere: texts of several arguments, and what stands for each.
_EXPLAINED = {
    CAPTURE: "A [capture](../debug/captures.md#name-a-capture).",
    _TARGET: "A [target](#tools-that-send).",
    "Find only ": "",
    "captures with this verdict": "captures with this [verdict](signatures.md#verdicts)",
    "first capture. A [capture]": "first [capture]",
    "second capture. A [capture]": "second [capture]",
}
_SENDING = (
    "These tools are available with `--allow-send`. A target is a port or a URL on this machine or, "
    "except for `check_handler`, the target in `--to`. Without a path, the request's own path and query are used."
)
_AFTER_TOOLS = "**Next:** [let a coding agent debug](../agents/coding-agents.md)."
_AFTER_CHECKS = "**Next:** [check your handler](../debug/check-your-handler.md)."
_CHECKS = re.compile(r"(?s)(<!-- checks: [^\n]*-->\n).*\Z")
_DEMO = re.compile(r"(?s)(<!-- demo: [^\n]*-->\n```text\n).*?(```)")


_CONSTANTS = [cause for cause in vars(causes).values() if isinstance(cause, Cause)]
# Causes whose text depends on the request.
_EXAMPLES = {
    "reserialized-indented": [causes.reserialized_indented("indented with 2 spaces like JSON.stringify")],
    "wrong-way": [
        Cause(
            "wrong-way",
            "Your code signs `b'...'`, the text that Python writes for bytes, instead of the raw body.",
            "Concatenate bytes: `timestamp.encode() + b'.' + body`, not `f'{timestamp}.{body}'`.",
        )
    ],
    "wrong-separator": [causes.wrong_separator("a colon")],
    "wrong-hash": [causes.wrong_hash(20, "SHA-1")],
    "clock-skew": [clock_skew(age_s, DEFAULT_TOLERANCE_S) for age_s in (600.0, -7_200.0)],
}

# One process for the help of all commands.
_HELPS = """
from port_hook_cli.cli.app import main
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.topics import TOPICS
pages = [["--help", "--all"], *([name, "--help", "--all"] for name in COMMANDS), *(["help", name] for name in TOPICS)]
for words in pages:
    main(words)
    print(end="\\0", flush=True)
"""


def output(*args: str) -> str:
    """Run Python in an empty folder, 100 columns wide, and return its stdout."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": folder,
            "COLUMNS": "100",
            "TERMINAL_WIDTH": "100",
        }
        done = subprocess.run(
            [sys.executable, *args],
            check=True,
            capture_output=True,
            cwd=folder,
            env=environment,
        )
    return done.stdout.decode()


def cli_reference(_: str) -> str:
    """Return the page with the help of all commands."""
    general, *helps = output("-c", _HELPS).split("\0")[:-1]
    sections = [
        "# Commands and options\n\nThe output of `port-hook COMMAND --help --all`, generated by `make docs`.\n",
        f"```text\n{general}```\n",
        *(
            f"## {name}\n\n```text\n{text}```\n"
            for name, text in zip((*COMMANDS, *(f"help {each}" for each in TOPICS)), helps, strict=True)
        ),
        "**Next:** [settings](settings.md), or [exit codes](exit-codes.md).\n",
    ]
    return "\n".join(sections)


def install(text: str) -> str:
    """Return the install page with the output of a run of the demo."""
    shown = output("-m", "port_hook_cli", "demo")
    for pattern, placeholders in _REPLACED:
        shown = _replaced(shown, pattern, placeholders)
    shown = _LATENCY.sub(lambda match: "3.2 ms".ljust(len(match[0])), shown)  # the ID behind it stays in its column
    return _DEMO.sub(lambda match: f"{match[1]}{shown.strip()}\n{match[2]}", text)


def _replaced(text: str, pattern: re.Pattern[str], placeholders: Sequence[str]) -> str:
    values = dict.fromkeys(pattern.findall(text))
    by_value = dict(zip(values, placeholders, strict=False))
    return pattern.sub(lambda match: by_value[match[0]], text)


def picture(_: str) -> str:
    """Return the picture of a terminal in which `listen` runs."""
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "picture.py")], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def settings(text: str) -> str:
    """Return the settings page with the options that a project's file may set."""
    commands: dict[str, list[str]] = {}
    for name in COMMANDS:
        commands.setdefault(_trusted(name, text), []).append(f"`{name}`")
    rows = [f"| {', '.join(names)} | {options} |" for options, names in commands.items() if options]
    return _OPTIONS.sub(lambda match: "\n".join((f"{match[1]}\n| command | options |\n|---|---|", *rows, "")), text)


def _trusted(command: str, text: str) -> str:
    """Return the options of a command that a project may set. An option keeps its place, so that the diff is small."""
    from docs.command_line import trusted_options

    row = re.search(rf"(?m)^\|[^|\n]*`{command}`[^|\n]*\| (.*)", text)
    places = {option: place for place, option in enumerate(re.findall("`--([a-z-]+)`", row[1] if row else ""))}
    listed = sorted(trusted_options(command).items(), key=lambda item: places.get(item[0], len(places)))
    return ", ".join(
        f"`--{option}`" if trust == ANY_VALUE else f"`--{option}` ({_allowed(trust)})" for option, trust in listed
    )


def _allowed(trust: Trust) -> str:
    return ", ".join(f"`{word}`" for word in trust.words) or f"{trust.least:g} to {trust.most:.0f}"


def public_url(text: str) -> str:
    """Return the page on public URLs with the table of tunnel providers."""
    automatic_names = ", ".join(f"`{choice.name}`" for choice, _ in automatic())
    cells = [
        ("`--tunnel`", "what it needs", "what to know"),
        ("---", "---", "---"),
        *((f"[{_code(row.values)}]({row.page})", row.needs, row.notes) for row in PROVIDERS),
        (
            f"`{AUTO.name}`",
            "any of the tunnels that it tries",
            f"the default: opens the first usable one of {automatic_names}",
        ),
        (f"`{YOUR_URL}`", "a tunnel that you run", "its public URL"),
        (f"`{NO_TUNNEL.name}`", "nothing", "only this machine can send requests to the listener"),
    ]
    rows = [f"| {' | '.join(row)} |" for row in cells]
    return _TUNNELS.sub(lambda match: "\n".join((f"{match[1]}", *rows, "")), text)


def exit_codes(text: str) -> str:
    """Return the page on exit codes with a row for each situation."""
    rows = [f"| {int(code)} | {situation} |" for code in ExitCode for situation in code.situations]
    return _EXIT_CODES.sub(lambda match: "\n".join((f"{match[1]}| code | situation |", "|---:|---|", *rows, "")), text)


def causes_of_a_bad_signature(text: str) -> str:
    """Return the page on signatures with a section for each cause."""
    sections = "\n\n".join(_section(slug) for slug in causes.CAUSES)
    return _CAUSES.sub(lambda match: f"{match[1]}\n{sections}\n\n", text)


def _section(slug: str) -> str:
    """Return the section on a cause: what `verify` usually says, what else it can mean, and a command that shows it."""
    cause = _told(slug)[0]
    notes = _reproductions()["notes"].get(slug)
    said = f"{cause.explanation}<br>**Fix:** {cause.fix}"
    return "\n\n".join(filter(None, [f"### {slug}", said, notes, _shown(slug)]))


def _told(slug: str) -> list[Cause]:
    said = [cause for cause in _CONSTANTS if cause.slug == slug] or _EXAMPLES.get(slug)
    if not said:
        sys.exit(f"add an example of {slug} to _EXAMPLES in docs/generate.py, or a constant to signatures/causes.py")
    return said


def _shown(slug: str) -> str:
    command = _reproductions().get(slug)
    if slug == "undiagnosed":
        return "No single command shows this cause."
    if command is None:
        sys.exit(f"add a command that shows {slug} to docs/reproductions.toml")
    before = f"{_LISTENING}\n\n" if slug in _OF_LISTENERS else ""
    return f"{before}```sh\n{command.strip()}\n```"


def _reproductions() -> dict[str, Any]:
    return tomllib.loads((ROOT / "docs" / "reproductions.toml").read_text("utf-8"))


def _code(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def handler_checks(text: str) -> str:
    """Return the page on the checks of a handler with a table for each group. `check` itself prints the fixes."""
    sections = "\n\n".join(_check_table(group) for group in CheckGroup)
    return _CHECKS.sub(lambda match: f"{match[1]}\n{sections}\n\n{_AFTER_CHECKS}\n", text)


def _check_table(group: CheckGroup) -> str:
    head = ("check", "severity", "request", "expected", "why it matters")
    cells: list[tuple[str, ...]] = [head, ("---",) * len(head)]
    reasons: dict[str, str] = {}  # to the check that has the reason first
    for check in (check for check in CHECKS if check.group is group):
        first = reasons.setdefault(check.why, check.slug)
        cells.append(_check_cells(check, check.why if first == check.slug else f"As for `{first}`."))
    rows = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    return f"## {str(group).capitalize()}\n\n{group.about}\n\n{rows}"


def _check_cells(check: HandlerCheck, reason: str) -> tuple[str, ...]:
    only = f"<br>only for {check.only}" if check.only else ""
    why = " ".join(filter(None, (reason, check.gap)))
    return f"`{check.slug}`{only}", str(check.severity), check.request, check.expected, why


def mcp_reference(text: str) -> str:
    """Return the page on the tools for coding agents with a section for each."""
    reading, sending = ([_tool(tool) for tool in TOOLS if tool.sends is sends] for sends in (False, True))
    parts = ["## Tools that read", *reading, "## Tools that send", _SENDING, *sending, _AFTER_TOOLS]
    page = "\n\n".join(parts)
    return _TOOLS.sub(lambda match: f"{match[1]}\n{page}\n", text)


def _tool(tool: AssistantTool) -> str:
    """Return the section on a tool. Arguments of an earlier tool are only listed."""
    earlier = TOOLS[: TOOLS.index(tool)]
    first = {name: _first_with(name, schema, earlier) for name, schema in tool.parameters.items()}
    rows = [f"| `{name}` | {_parameter(name, schema, tool)} |" for name, schema in _sorted(tool) if first[name] is None]
    table = "\n".join(["| argument | description |", "|---|---|", *rows])
    parts = [f"### {tool.name}", tool.description.replace(UNTRUSTED, "").strip(), table, _listed(first)]
    return "\n\n".join(filter(None, parts))


def _first_with(name: str, schema: Mapping[str, Any], tools: Sequence[AssistantTool]) -> str | None:
    return next((tool.name for tool in tools if tool.parameters.get(name) == schema), None)


def _listed(first: Mapping[str, str | None]) -> str:
    """Return the sentence about arguments that earlier tools also take."""
    tools = dict.fromkeys(name for name in first.values() if name)
    names = {tool: _code(tuple(name for name, other in first.items() if other == tool)) for tool in tools}
    listed = ", and ".join(f"{arguments}, like [{tool}](#{tool})" for tool, arguments in names.items())
    return listed and f"The tool also takes {listed}."


def _sorted(tool: AssistantTool) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(tool.parameters.items(), key=lambda item: item[0] not in tool.required)


def _parameter(name: str, schema: Mapping[str, Any], tool: AssistantTool) -> str:
    said = schema["description"].replace(_USERS_TARGET, "Default: `--to`")
    for text, shown in _EXPLAINED.items():
        said = said.replace(text, shown)
    if values := _values(schema):
        said = said.replace(".", f" ({values}).", 1)
    default = schema.get("default")
    parts = (
        "Required." if name in tool.required else "",
        said[:1].upper() + said[1:],
        "" if default in {None, False, ""} else f"Default: `{default}`.",
    )
    return " ".join(filter(None, parts))


def _values(schema: Mapping[str, Any]) -> str:
    """Return the values of an argument that has few, or the limits of a number."""
    if values := tuple(schema.get("enum", ())):
        return "" if values == tuple(map(str, Status)) else _code(values)  # the page on signatures has the verdicts
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    return "" if least is None or schema["maximum"] > _BEYOND_ANY_USE else f"{least} to {schema['maximum']}"


def llms(_: str) -> str:
    """Return the page for coding agents."""
    from docs.llms import llms_page

    return llms_page(_told)


def skill(_: str) -> str:
    """Return the skill for coding agents."""
    from docs.skill import skill_page

    return skill_page()


def code_map(text: str) -> str:
    """Return the page on how port-hook works with the folders of the package, in the order of the import contract."""
    return _LAYOUT.sub(lambda match: f"{match[1]}{layout()}{match[2]}", text)


def layout() -> str:
    """Return the package's folders, the uppermost layer first, each with the first line of its docstring."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    names = [name for layer in contracts[0]["layers"] for name in layer.split(" | ")]
    folders = [name for name in names if (PACKAGE / name).is_dir()]
    lines = [f"  {f'{name}/':<15} {_first_line(PACKAGE / name / '__init__.py')}" for name in folders]
    return "\n".join(["port_hook_cli/", *lines, ""])


def _first_line(module: Path) -> str:
    return (ast.get_docstring(ast.parse(module.read_text("utf-8"))) or "").partition("\n")[0]


def completion_words(text: str) -> str:
    """Return the table of words for completion."""
    from docs import command_line

    return command_line.completion_words(text)


def man_page(text: str) -> str:
    """Return the man page."""
    from docs import command_line

    return command_line.man_page(text)


PAGES: dict[str, Callable[[str], str]] = {
    "port_hook_cli/cli/completion/words.py": completion_words,  # first, because `port-hook --help` reads it
    "docs/contributing/code-map.md": code_map,
    "docs/images/listen.svg": picture,
    "docs/install/install.md": install,
    "docs/receive/public-url.md": public_url,
    "docs/llms.txt": llms,
    "docs/reference/cli.md": cli_reference,
    "docs/reference/exit-codes.md": exit_codes,
    "docs/reference/handler-checks.md": handler_checks,
    "docs/reference/mcp.md": mcp_reference,
    "docs/reference/settings.md": settings,
    "docs/reference/signatures.md": causes_of_a_bad_signature,
    "docs/man/port-hook.1": man_page,
    "port_hook_cli/assistant/SKILL.md": skill,
}


def main(*, check: bool) -> int:
    """Write the pages, or only check them. Return 1 if a page that is checked is out of date."""
    stale = []
    for name, render in PAGES.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = render(before)
        if before != after:
            stale.append(name)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(after, encoding="utf-8")
    print(f"{'stale' if check else 'written'}: {', '.join(stale) or 'nothing'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
