"""The documentation says what is so: generated pages are fresh, command lines can be typed, records are described."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import port_hook_cli
from port_hook_cli import __version__
from port_hook_cli.assistant.catalog import TOOLS
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.signatures.signing import as_port_sends, signed_headers
from port_hook_cli.text.secret import Secret
from tests import prepared
from tests.conftest import Run
from tests.factories import NOW, a_capture, an_invocation
from tests.stores import keep

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
CONTRIBUTING = ROOT / "docs" / "contributing"
EXAMPLE_PAGES = [ROOT / "examples" / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *EXAMPLE_PAGES]
_COMMAND_LINE = re.compile(r"^\s*(?:\$ )?(port-hook .*)$", re.MULTILINE)


def test_generated_pages_are_up_to_date() -> None:
    script = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = prepared.run(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{done.stdout}\nrun `make docs`"


def test_picture_shows_a_forwarded_request_and_the_cause_and_fix_of_a_wrong_signature() -> None:
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", (ROOT / "docs" / "images" / "listen.svg").read_text("utf-8"))
    valid, invalid = " ".join(html.unescape(" ".join(texts)).split()).split(" invalid ")
    assert " valid -> 202 in " in valid
    assert re.search(r"-> 401, not forwarded .* cause secret-quoted: .* fix \w+ ", invalid)
    assert "![" in (ROOT / "README.md").read_text("utf-8").split("(docs/images/listen.svg)")[0]


def test_picture_loads_nothing_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "images" / "listen.svg").read_text("utf-8")
    assert re.findall(r"@font-face|@import|<script|href|url\((?!#)", picture) == []


def test_demo_on_the_install_page_shows_different_servers_and_requests() -> None:
    demo = (ROOT / "docs" / "install" / "install.md").read_text("utf-8").split("<!-- demo:", 1)[1].split("\n2. ", 1)
    servers = re.findall(r"http://127\.0\.0\.1:(\d+)", demo[0])
    requests = re.findall(r"(?m)-> \d{3}.*  ([0-9a-f]{8})$", demo[1])
    assert (len(servers), len(set(servers))) == (3, 3)
    assert (len(requests), len(set(requests))) == (3, 3)


def command_lines() -> Iterator[tuple[str, str]]:
    for page in (*PAGES, ROOT / "docs" / "llms.txt"):
        for block in re.findall(r"```(?:sh|console|bash|text)\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for line in _COMMAND_LINE.findall(block):
                yield str(page.relative_to(ROOT)), line.split(" #")[0].rstrip(" \\")


def test_command_lines_in_the_docs_use_existing_commands_and_options() -> None:
    pages = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    helps = dict(re.findall(r"(?ms)^## (\S+)\n(.*?)(?=^## |\Z)", pages))
    unknown = []
    for page, line in set(command_lines()):
        words = shlex.split(re.split(r"\s{2,}| [|>] ", line)[0])
        if len(words) < 2 or words[1].startswith("-"):
            continue
        own = words[2 : words.index("--") if "--" in words else None]
        options = [word.split("=")[0] for word in own if word.startswith("--")]
        if words[1] not in COMMANDS or not all(re.search(rf"{option}\b", helps[words[1]]) for option in options):
            unknown.append(f"{page}: {line}")
    assert unknown == []


def test_no_page_installs_from_an_index_without_the_package() -> None:
    for page in PAGES:
        installs = re.findall(r"pipx?\s+install\b[^\n`]*", page.read_text("utf-8"))
        assert [line for line in installs if re.search(r"(?<![/.\w-])port-hook\b", line)] == [], page.name


def shown_verdicts() -> Iterator[tuple[str, list[str]]]:
    """The blocks that show a command with its whole output: the secret, the command line, the lines shown."""
    page = (ROOT / "docs" / "debug" / "bad-signature.md").read_text("utf-8")
    for block in re.findall(r"<!-- verify: [^\n]*-->\n```console\n(.*?)```", page, re.DOTALL):
        yield block.split("PORT_CLIENT_SECRET=", 1)[1].split("\n")[0], block.splitlines()[1:]


@pytest.mark.parametrize(("secret", "lines"), list(shown_verdicts()))
def test_verdicts_on_pages_match_the_program(secret: str, lines: list[str], run: Run, folder: Path) -> None:
    (folder / "examples").symlink_to(ROOT / "examples")
    result = run(*shlex.split(lines[0])[2:], env={"PORT_CLIENT_SECRET": secret})
    assert result.out.splitlines() == lines[1:]
    assert result.code == (0 if lines[1].startswith("valid") else 3)


def test_pages_show_a_valid_and_a_reencoded_verdict() -> None:
    assert [lines[1].split(":")[0] for _, lines in shown_verdicts()] == ["valid", "reencoded"]


def computed_signatures() -> Iterator[list[str]]:
    """The blocks that compare a signature with the last capture: the command line, and the lines shown."""
    pages = (ROOT / "docs" / name for name in ("debug/bad-signature.md", "reference/signatures.md"))
    page = "".join(page.read_text("utf-8") for page in pages)
    for block in re.findall(r"<!-- own code: [^\n]*-->\n```console\n(.*?)```", page, re.DOTALL):
        yield block.splitlines()


@pytest.mark.parametrize("lines", list(computed_signatures()))
def test_verdicts_on_computed_signatures_match_the_program(lines: list[str], run: Run, folder: Path) -> None:
    secret = "an-example-and-no-secret"
    body = (ROOT / "examples" / "payloads" / "create_vm.json").read_bytes()
    fields = signed_headers(as_port_sends(body).body, Secret(secret), str(int(NOW)))
    invocation = an_invocation(as_port_sends(body).body, headers=Headers(fields), received_at=NOW + 2)
    keep(folder, a_capture(invocation))
    result = run(*shlex.split(lines[0])[2:], env={"PORT_CLIENT_SECRET": secret})
    assert result.out.splitlines() == lines[1:]
    assert result.code == 3
    assert "note: the request's own signature is valid, so port-hook has the right client secret" in result.err


def test_pages_compare_four_computed_signatures() -> None:
    causes = [line.split(":")[0] for lines in computed_signatures() for line in lines if ": Your code" in line]
    assert {"timestamp-not-signed", "reserialized-python", "secret-quoted", "secret-or-body"} <= set(causes)


def test_pages_use_american_spelling() -> None:
    british = re.compile(r"(?i)\w*(?:organis|synchronis|serialis|normalis|recognis|behaviour|colour)\w*")
    found = {}
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        if page.exists():  # the wheel's tests run without CONTRIBUTING.md
            prose = re.sub(r"(?s)```.*?```|`[^`]*`", "", page.read_text("utf-8"))  # quotes of the program stay
            found[page.relative_to(ROOT).as_posix()] = british.findall(prose)
    assert {page: words for page, words in found.items() if words} == {}


def test_every_link_between_pages_has_a_target() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        if not page.exists():
            continue
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            if not target.startswith("CONTRIBUTING") or (ROOT / "CONTRIBUTING.md").exists():
                assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_every_row_about_workflows_has_a_source() -> None:
    page = (ROOT / "docs" / "reference" / "workflows.md").read_text("utf-8")
    targets = re.findall(r"(?m)^\[([\w-]+)\]: https://\S+$", page)
    used = re.findall(r"\]\[([\w-]+)\]", page)
    assert (set(used) - set(targets), set(targets) - set(used)) == (set(), set())
    rows = [line for line in page.splitlines() if line.startswith("| ") and "source" not in line]
    assert len(rows) > 15
    assert [row for row in rows if not re.search(r"\]\[|not documented", row.rsplit(" | ", 1)[1])] == []


def test_every_module_on_the_page_about_the_code_exists() -> None:
    page = "".join(CONTRIBUTING.joinpath(name).read_text("utf-8") for name in ("code-map.md", "code-walks.md"))
    named = set(re.findall(r"\b(?:\w+/)+\w+\.py\b", page))
    assert len(named) > 10
    folders = (Path(port_hook_cli.__file__).parent, ROOT)
    assert [name for name in sorted(named) if not any((folder / name).exists() for folder in folders)] == []


def test_every_test_in_the_threat_model_exists() -> None:
    page = "".join(path.read_text("utf-8") for path in CONTRIBUTING.glob("threat-model*.md"))
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 80
    assert [name for name in sorted(named) if not re.search(rf"def {name}\b", tests)] == []


def table(page: str, heading: str) -> set[str]:
    """Return the names in the first column of the table whose first heading is given."""
    rows = (ROOT / "docs" / page).read_text("utf-8").split(f"\n| {heading} |", 1)[1].partition("\n\n")[0]
    return {name for row in rows.splitlines()[2:] for name in re.findall("`([^`]+)`", row.split("|")[1])}


def test_pages_list_every_export_format() -> None:
    formats = [row.name for row in EXPORT_FORMATS]
    assert table("debug/captures.md", "format") == set(formats), "list it in debug/captures.md"
    page = (ROOT / "docs" / "reference" / "inspector-api.md").read_text("utf-8")
    exports = re.findall(r'"exports": (\[.*\])', page)
    assert [json.loads(each) for each in exports] == [formats], "list it in `exports` of reference/inspector-api.md"


def test_page_of_records_describes_the_result_of_every_tool() -> None:
    tools = {tool.name for tool in TOOLS}
    assert table("reference/json-records.md", "tool") == tools, "describe it in reference/json-records.md"


def test_changelog_has_this_version() -> None:
    latest = re.search(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert latest
    assert latest[1] == __version__
