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
from typing import Any

import pytest

import port_hook_cli
from port_hook_cli import __version__
from port_hook_cli.actions import encrypted_inputs
from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.encrypted_inputs import Decryption
from port_hook_cli.actions.encryption import Scheme
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.actions.templates import JqError, Rendering, rendering_record
from port_hook_cli.assistant.catalog import TOOLS
from port_hook_cli.captures.comparison import compare, diff_record
from port_hook_cli.captures.documents.capture_file import capture_summary, to_capture
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS
from port_hook_cli.captures.store.deleting import PruneCount
from port_hook_cli.cli.app import COMMANDS
from port_hook_cli.cli.prune import prune_record
from port_hook_cli.doctor.check import CheckResult, CheckState, check_record
from port_hook_cli.invocations import view as records
from port_hook_cli.invocations.models import Delivery, Exchange, Payload, Response, Status
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.listener import view as listener_view
from port_hook_cli.listener.policy import Tally
from port_hook_cli.port_api.logins import login_record
from port_hook_cli.replay.comparing import ResponseComparison, comparison_fields
from port_hook_cli.retarget.entry import End, Entry, Outcome
from port_hook_cli.retarget.view import restore_record
from port_hook_cli.runs import view as run_view
from port_hook_cli.runs.updates import Reported
from port_hook_cli.sandbox import events as sandbox_records
from port_hook_cli.signatures import view as signature_records
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger import records as trigger_records
from port_hook_cli.trigger.action import Made, RunRequest, Unmet
from port_hook_cli.trigger.invoker import UnmetExpression
from port_hook_cli.trigger.run_data import RunData
from port_hook_cli.workflows.run import NodeRun, WorkflowRun
from port_hook_cli.workflows.shown_run import show_run
from port_hook_cli.workflows.walk import Step
from port_hook_cli.workflows.workflow import read_workflow
from tests.conftest import Run
from tests.factories import NOW, SECRET, a_body, an_invocation, signed
from tests.record_schemas import checked

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
EXAMPLE_PAGES = [ROOT / "examples" / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *EXAMPLE_PAGES]
_COMMAND_LINE = re.compile(r"^\s*(?:\$ )?(port-hook .*)$", re.MULTILINE)


def test_generated_pages_are_up_to_date() -> None:
    script = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun `make docs`"


def test_picture_shows_a_forwarded_request_and_the_cause_and_fix_of_a_wrong_signature() -> None:
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", (ROOT / "docs" / "images" / "listen.svg").read_text("utf-8"))
    valid, invalid = " ".join(html.unescape(" ".join(texts)).split()).split("signature invalid")
    assert re.search(r"signature valid .* forwarded http://127\.0\.0\.1:8000/ 202 in ", valid)
    assert re.search(r"cause secret-quoted: .* fix \w+ .* 401 and not forwarded", invalid)
    assert "![" in (ROOT / "README.md").read_text("utf-8").split("(docs/images/listen.svg)")[0]


def test_picture_loads_nothing_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "images" / "listen.svg").read_text("utf-8")
    assert re.findall(r"@font-face|@import|<script|href|url\((?!#)", picture) == []


def test_demo_in_the_readme_names_different_servers_and_requests_differently() -> None:
    demo = (ROOT / "README.md").read_text("utf-8").split("<!-- demo:", 1)[1].split("\n2. ", 1)
    servers = re.findall(r"http://127\.0\.0\.1:(\d+)", demo[0])
    requests = re.findall(r"(?m)-> \d{3}  ([0-9a-f]{12})$", demo[1])
    assert (len(servers), len(set(servers))) == (3, 3)
    assert (len(requests), len(set(requests))) == (2, 2)


def command_lines() -> Iterator[tuple[str, str]]:
    for page in (*PAGES, ROOT / "docs" / "llms.txt"):
        for block in re.findall(r"```(?:sh|console|bash|text)\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for line in _COMMAND_LINE.findall(block):
                yield str(page.relative_to(ROOT)), line.split(" #")[0].rstrip(" \\")


@pytest.fixture(scope="session")
def helps() -> dict[str, str]:
    pages = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    return dict(re.findall(r"(?ms)^## (\S+)\n(.*?)(?=^## |\Z)", pages))


@pytest.mark.parametrize(("page", "line"), sorted(set(command_lines())))
def test_every_command_line_in_the_docs_is_valid(page: str, line: str, helps: dict[str, str]) -> None:
    words = shlex.split(re.split(r"\s{2,}| [|>] ", line)[0])
    if len(words) < 2 or words[1].startswith("-"):
        return
    assert words[1] in COMMANDS
    for option in (word.split("=")[0] for word in words[2:] if word.startswith("--")):
        assert re.search(rf"{option}\b", helps[words[1]]), f"{words[1]} has no {option}"


def test_no_page_installs_from_an_index_without_the_package() -> None:
    for page in PAGES:
        installs = re.findall(r"pipx?\s+install\b[^\n`]*", page.read_text("utf-8"))
        assert [line for line in installs if re.search(r"(?<![/.\w-])port-hook\b", line)] == [], page.name


def shown_verdicts() -> Iterator[tuple[str, list[str]]]:
    """The blocks that show a command with its whole output: the secret, the command line, the lines shown."""
    page = (ROOT / "docs" / "how-to" / "debug-a-bad-signature.md").read_text("utf-8")
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


def test_page_about_use_without_port_opens_no_tunnel() -> None:
    page = (ROOT / "docs" / "how-to" / "use-without-port.md").read_text("utf-8")
    listeners = re.findall(r"^port-hook listen.*", page, re.MULTILINE)
    assert listeners
    assert [line for line in listeners if "--tunnel none" not in line] == []


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CONTRIBUTING.md"],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_page_uses_american_spelling(page: Path) -> None:
    if not page.exists():  # the wheel's tests run without CONTRIBUTING.md
        return
    prose = re.sub(r"(?s)```.*?```|`[^`]*`", "", page.read_text("utf-8"))  # quotes of the program stay as they are
    assert re.findall(r"(?i)\w*(?:organis|synchronis|serialis|normalis|recognis|behaviour|colour)\w*", prose) == []


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


def test_every_module_on_the_page_how_it_works_exists() -> None:
    page = (ROOT / "docs" / "explanation" / "how-it-works.md").read_text("utf-8")
    named = set(re.findall(r"\b(?:\w+/)+\w+\.py\b", page))
    assert len(named) > 10
    folders = (Path(port_hook_cli.__file__).parent, ROOT)
    assert [name for name in sorted(named) if not any((folder / name).exists() for folder in folders)] == []


def test_every_test_in_the_threat_model_exists() -> None:
    page = (ROOT / "docs" / "explanation" / "trust-and-secrets.md").read_text("utf-8")
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
    assert table("how-to/work-with-captures.md", "format") == set(formats), "list it in how-to/work-with-captures.md"
    page = (ROOT / "docs" / "reference" / "inspector-api.md").read_text("utf-8")
    exports = re.findall(r'"exports": (\[.*\])', page)
    assert [json.loads(each) for each in exports] == [formats], "list it in `exports` of reference/inspector-api.md"


def test_page_of_records_describes_the_result_of_every_tool() -> None:
    tools = {tool.name for tool in TOOLS}
    assert table("reference/json-records.md", "tool") == tools, "describe it in reference/json-records.md"


def test_the_changelog_has_this_version() -> None:
    newest = re.search(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert newest
    assert newest[1] == __version__


def every_record() -> Iterator[dict[str, Any]]:
    invocation = an_invocation()
    verdict = verify_signature(signed(a_body()), a_body() + b" ", SECRET, now=NOW)
    delivery = Delivery(url="http://h", error="nothing answers")
    exchange = Exchange(
        invocation=invocation,
        verdict=verdict,
        payload=read_payload(invocation.body, invocation.headers),
        delivery=delivery,
        response=Response(status=200),
    )
    yield records.invocation_event(exchange)
    yield listener_view.ready_event(url="u", public_url=None)
    yield listener_view.summary_event(Tally())
    yield signature_records.verdict_record(verdict)
    failed = JqError("foo", "compile", "jq: compile error")
    yield rendering_record(Rendering(value={}, errors=(failed,)))
    yield records.delivery_record(delivery, source="s", run_id=None)
    yield capture_summary(exchange)
    yield dict.fromkeys(to_capture(exchange))
    compared = compare(exchange, Exchange(invocation=invocation, verdict=verdict, payload=Payload()))
    yield diff_record(("a", "b"), compared)
    yield {**compared["facts"][0], "from": ""}
    yield prune_record(PruneCount(1, 2), dry_run=False)
    recorded = ResponseComparison(recorded=200, status=200)
    yield {**records.delivery_record(delivery, source="s", run_id=None), **comparison_fields(recorded), "capture": None}
    yield run_view.report_record(Reported(run_id="r", status=None, logs_sent=0, fields=()), page="")
    yield run_view.dry_run_record("r", [], api_url="u")
    yield restore_record(
        Outcome(entry=Entry(identifier="a", api_url="u", original={}), end=End.RESTORED), "w", dry_run=False
    )
    yield encrypted_inputs.decryption_record(Decryption(path=JsonPath(("a",)), plaintext=b"\xff"))
    yield encrypted_inputs.encryption_record(Scheme.AES_GCM, "v")
    yield from trigger_records_of_each_type()
    yield sandbox_records.sandbox_ready_record("u", "i", "s")
    yield login_record("listed", "n", "i", "u", kept_in="file", is_default=True)
    yield check_record(CheckResult(check="clock", state=CheckState.OK, message="m"))
    yield sandbox_records.ApiEvent(at=0.0, method="GET", path="/", status=200).record


def trigger_records_of_each_type() -> Iterator[dict[str, Any]]:
    """One record of each type that `trigger --json` prints, with every field that can be null filled in."""
    masker, delivery = Masker(()), Delivery(url="http://h", error="nothing answers")
    failed = JqError("foo", "compile", "jq: compile error")
    made = RenderedRequest(run_id="r", method="POST", url="u", headers=(), body={}, errors=(failed,))
    action = PortAction(identifier="a", kind=ActionKind.SELF_SERVICE, method={})
    ready = RunRequest(
        made=Made(action=action, data=RunData(), request=made, masker=masker),
        invocation=an_invocation(b"{}"),
        url="u",
    )
    yield trigger_records.invocation_record(ready, delivery)
    yield trigger_records.unmet_record(Unmet("a", (UnmetExpression("false", "is false"),)))
    yield trigger_records.run_record("a", {}, page="")
    start = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}
    workflow = read_workflow({"identifier": "w", "nodes": [start]})
    node_run = NodeRun(id="wfnr_", node="start", created_at="", updated_at="")
    run = WorkflowRun(id="wfr_", workflow=workflow, created_at="", node_runs=(node_run,))
    step = Step(run=run, node_run=node_run, request=made, delivery=delivery, errors=(failed,), remarks=("r",), url="u")
    yield trigger_records.step_record(step, masker)
    yield trigger_records.workflow_run_record(workflow, show_run(run))


@pytest.mark.parametrize("record", list(trigger_records_of_each_type()), ids=lambda record: record["type"])
def test_page_lists_exactly_the_fields_of_a_record_of_trigger(record: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "reference" / "json-records.md").read_text("utf-8")
    section = page.split("## `port-hook/trigger/1`")[1].split("\n## ")[0]
    (entry,) = re.findall(rf"(?m)^- `{record['type']}`, (.*)$", section)
    listed = {name for name in re.findall("`([^`]+)`", entry) if not name.startswith("--")}
    own = record.keys() - {"schema", "type"}
    inner = (fields_of(record) | {name for item in items_of(record) for name in item}) - own
    # What is in a delivery and in an error is described once, with the first type.
    described_before = {"url", "status", "latency_ms", "error", "expression", "message"}
    assert (own - listed, inner - listed - described_before, listed - own - inner) == (set(), set(), set())


def items_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects in the lists of a record."""
    return [item for value in record.values() if isinstance(value, list) for item in value if isinstance(item, dict)]


def test_every_field_of_every_record_is_described(run: Run, folder: Path) -> None:
    page = (ROOT / "docs" / "reference" / "json-records.md").read_text("utf-8")
    (folder / "p.json").write_text("{}")
    sign = run("sign", "p.json", "--format", "json", env={"PORT_CLIENT_SECRET": "s"})
    described = set(re.findall(r"`([^`]+)`", page))
    for record in [*every_record(), *sign.records]:
        assert record.get("schema") is None or record["schema"] in page
        assert fields_of(record) <= described, record


def test_every_record_matches_its_schema() -> None:
    names = {checked(record).get("schema") for record in every_record()}
    assert len(names - {None}) > 12


def fields_of(record: dict[str, Any]) -> set[str]:
    names = set(record) - {"schema", "type"}
    for name, value in record.items():
        if isinstance(value, dict) and name != "headers":
            names |= fields_of(value)
    return names


def test_every_status_and_cause_is_on_the_page_of_signatures() -> None:
    page = (ROOT / "docs" / "reference" / "signatures.md").read_text("utf-8")
    assert all(f"`{status}`" in page for status in Status if status is not Status.UNCHECKED)
