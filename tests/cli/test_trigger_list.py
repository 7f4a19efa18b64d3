"""`trigger --list`: the definitions in files that `trigger` can invoke."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.sandboxes import a_sequence, a_webhook

EXAMPLES = Path(__file__).parents[2] / "examples"
WEBHOOK = {"type": "WEBHOOK", "url": "https://a.example.com/x", "method": "PUT"}


def write(folder: Path, name: str, document: Any) -> str:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(document), "utf-8")
    return name


def an_action(identifier: str, **method: Any) -> dict[str, Any]:
    return {**create_vm_action(), "identifier": identifier, "invocationMethod": method or WEBHOOK}


def test_list_shows_actions_automations_workflows_and_their_nodes(run: Run) -> None:
    actions = run("trigger", "--list", str(EXAMPLES / "actions"))
    assert (actions.code, actions.err) == (0, "")
    assert "\n  create_vm  action  Create VM  POST https://example.com\n" in actions.out
    assert "  tier_changed  automation  Report a changed tier  POST https://example.com/tiers\n" in actions.out
    workflow = str(EXAMPLES / "workflows" / "deploy_service.json")
    assert run("trigger", "--list", workflow).out == (
        f"{workflow}\n  deploy_service  workflow  Deploy service\n"
        f"  {workflow}#check  node  Check build  POST https://hooks.example.com/builds/check\n"
        f"  {workflow}#deploy  node  Deploy  POST https://hooks.example.com/deploy\n"
    )


def test_records_have_the_argument_of_trigger(run: Run, folder: Path) -> None:
    kafka = an_action("tell", type="KAFKA", payload={})
    write(folder, "a.json", {"actions": [an_action("make"), kafka]})
    ask = {"identifier": "ask", "config": {"type": "AI"}}
    publish = {"identifier": "publish", "config": {"type": "KAFKA", "payload": {}}}
    write(folder, "w.json", a_sequence(ask, a_webhook("call"), publish, identifier="flow"))
    records = run("trigger", "--list", ".", "--json", env={"PORT_ORG_ID": "org_1"}).records
    found = [(each["argument"], each["kind"], each["method"], each["url"], each["topic"]) for each in records]
    assert found == [
        ("a.json#make", "action", "PUT", "https://a.example.com/x", None),
        ("a.json#tell", "action", None, None, "org_1.runs"),
        ("w.json", "workflow", None, None, None),
        ("w.json#call", "workflow-node", "POST", "http://127.0.0.1:1/", None),
        ("w.json#publish", "workflow-node", None, None, "org_1.runs"),
    ]
    shown = run("trigger", str(records[0]["argument"]), "--dry-run", "--no-sign", "--input", "title=a")
    assert shown.out.startswith("PUT /x HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert "Would send to http://127.0.0.1:8000/ (default; --to changes it)\n" in shown.err


def test_without_a_name_the_usual_directories_are_read(run: Run, folder: Path) -> None:
    write(folder, "package.json", {"name": "x"})
    write(folder, "here.json", an_action("here"))
    write(folder, "actions/there.json", [an_action("there")])
    result = run("trigger", "--list")
    assert (result.code, result.err) == (0, "")
    assert [line for line in result.out.splitlines() if not line.startswith(" ")] == ["here.json", "actions/there.json"]


def test_uninvokable_definition_is_listed_in_a_note(run: Run, folder: Path) -> None:
    write(folder, "a.json", [an_action("hub", type="GITHUB"), an_action("late", type="INTEGRATION_ACTION")])
    result = run("trigger", "--list", "a.json")
    assert (
        "note: hub in a.json is not listed: it is invoked by GITHUB, but only a WEBHOOK sends a request" in result.err
    )
    assert "  late  action  Create VM  INTEGRATION_ACTION, with --via-port only" in result.out


def test_uninvokable_definitions_beyond_the_first_20_are_only_counted(run: Run, folder: Path) -> None:
    write(folder, "a.json", [an_action(f"hub{number}", type="GITHUB") for number in range(23)])
    notes = [line for line in run("trigger", "--list", "a.json").err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 21
    assert notes[-1] == "note: 3 more definitions are not listed"


def test_directory_without_definitions_lists_nothing(run: Run) -> None:
    result = run("trigger", "--list")
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith("No action, automation or workflow here can be triggered.\nhint: ")


def test_list_rejects_other_options(run: Run) -> None:
    for args, code, words in (
        (("--list", "--to", "8000"), ExitCode.USAGE, "--list does not send requests, so --to has no effect."),
        (("--list", "missing.json"), ExitCode.STORE, "File or directory not found: missing.json."),
        ((), ExitCode.USAGE, "`port-hook trigger --list` lists them."),
    ):
        result = run("trigger", *args)
        assert (result.code, words in result.err) == (code, True)
