"""The values that completion offers: commands, options, captures, runs, actions and files."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.completion.line import Candidate, is_word, plain_description
from port_hook_cli.cli.completion.shells import SHELLS, CompletionRequest, complete
from tests.factories import RUN_ID, a_capture, an_invocation
from tests.options import command, summary

HOSTILE = ("$(touch x)", "`touch x`", "a b", "a;touch x", "a:b", "-rf", "*", "'", '"', "\x1b[31m", "a\nb", "~", "é", "")
HOSTILE_TEXT = "".join(HOSTILE) + '\\"); touch x; ('


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def offered(line: str, **environ: str) -> dict[str, str]:
    """Return the completions for fish at the end of a line, with their descriptions."""
    stdout = io.StringIO()
    variables = {"_TYPER_COMPLETE_ARGS": f"port-hook {line}", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **environ}
    assert complete("complete_fish", variables, stdout) == 0
    return dict(row.split("\t") for row in stdout.getvalue().splitlines())


def with_captures(folder: Path, *ids: str, name: str | None = None) -> None:
    with open_store(None if name is None else Path(name), folder, create=True) as store:
        store.add([a_capture(an_invocation(id=capture_id)) for capture_id in ids])


@pytest.mark.usefixtures("here")
def test_commands_are_offered_with_their_summaries() -> None:
    assert offered("") == {name: summary(name) for name in COMMANDS}
    assert set(offered("help re")) == {"render", "replay", "report-run", "restore"}


@pytest.mark.usefixtures("here")
def test_options_are_offered_unless_they_are_given_and_not_repeatable() -> None:
    assert "--forward-to" in offered("listen --")
    names = offered("listen --forward-to 8000 --route a=b --")
    assert "--forward-to" not in names
    assert "--route" in names
    assert offered("show --bo") == {"--body": "Write the raw body to stdout. On a terminal, print its printable form."}


@pytest.mark.usefixtures("here")
def test_completion_knows_every_option_of_a_command() -> None:
    for name in COMMANDS:
        declared = {flag for option in command(name).params for flag in option.opts if flag.startswith("-")}
        assert declared <= set(offered(f"{name} -"))


def test_capture_ids_are_offered_with_time_and_action(here: Path) -> None:
    for line in ("show ", "replay ", "verify ", "diff ", "diff last ", "export ", "decrypt ", "port-agent "):
        with_captures(here, "aaa", "bbb", *HOSTILE)
        found = offered(line)
        assert list(found)[:3] == ["last", "last-replay", "bbb"]
        assert set(found) - {RUN_ID} == {"last", "last-replay", "bbb", "aaa"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d create_vm valid", found["bbb"])


def test_only_ids_with_the_typed_prefix_are_offered(here: Path) -> None:
    with_captures(here, "aaa", "bbb")
    assert set(offered("show b")) == {"bbb"}
    assert offered("show c") == {}


def test_ids_come_from_the_store_of_the_command_line_or_the_environment(here: Path) -> None:
    for line, environ in (
        ("show --store other.db ", {}),
        ("show --store=other.db ", {}),
        ("show ", {"PORT_HOOK_STORE": "other.db"}),
        ("show ", {"PORT_HOOK_SHOW_STORE": "other.db", "PORT_HOOK_STORE": "none.db"}),
    ):
        with_captures(here, "abc", name="other.db")
        assert set(offered(line, **environ)) == {"last", "last-replay", "abc"}


def test_completion_creates_nothing_without_a_store(here: Path) -> None:
    assert set(offered("show ")) == {"last", "last-replay"}
    assert list(here.iterdir()) == []


def test_run_ids_come_from_captures(here: Path) -> None:
    for line in ("replay ", "report-run ", "captures "):
        with_captures(here, "abc")
        assert any(name.endswith(RUN_ID) for name in offered(line))


def test_files_are_offered_beside_ids_once_a_name_is_begun(here: Path) -> None:
    with_captures(here, "cab")
    for name in ("capture.json", "c a.json", "c$(x)", "other.json"):
        (here / name).write_text("{}")
    (here / "cfolder").mkdir()
    assert set(offered("replay c")) == {"cab", "capture.json"}
    assert "capture.json" not in offered("replay ")


def test_actions_and_webhook_nodes_come_from_files_and_captures(here: Path) -> None:
    with_captures(here, "abc")
    write(here / "actions" / "one.json", {"identifier": "one", "invocationMethod": {}})
    write(here / "more.json", [{"identifier": name, "invocationMethod": {}} for name in ("two", "three", "$(x)", 5)])
    node = {"identifier": "deploy", "config": {"type": "WEBHOOK"}}
    write(here / "workflows" / "flow.json", {"identifier": "flow", "nodes": [node, {"identifier": "wait"}, 1]})
    (here / "four.yaml").write_text("identifier: four\ninvocationMethod:\n  type: WEBHOOK\n")
    (here / "flow.yml").write_text(
        "identifier: yflow\nnodes:\n  - identifier: a\n    config:\n      type: WEBHOOK\n"
        "  - identifier: b\n    config:\n      type: WAIT\n"
    )
    names = {"one", "two", "three", "four", "flow#deploy", "yflow#a", "create_vm"}
    assert set(offered("listen --retarget ")) == names
    assert set(offered("listen --only ")) == names
    assert set(offered("listen --route ")) == {f"{name}=" for name in names}
    assert set(offered("trigger --route=o")) == {"--route=one="}
    files = {"actions/one.json", "more.json#two", "more.json#three", "workflows/flow.json", "four.yaml", "flow.yml"}
    assert set(offered("trigger ")) == files | names
    assert (offered("trigger ")["more.json#two"], offered("trigger ")["flow.yml"]) == ("action two", "workflow yflow")
    assert set(offered("captures --action ")) == {"create_vm"}


def test_definitions_in_responses_of_port_are_offered(here: Path) -> None:
    actions: list[object] = [{"identifier": name, "invocationMethod": {}} for name in ("one", "two")]
    write(here / "a.json", {"ok": True, "actions": actions})
    write(here / "b.json", {"ok": True, "action": {"identifier": "three", "invocationMethod": {}}})
    write(here / "w.json", {"workflows": [{"identifier": "flow", "nodes": []}], "actions": 1})
    assert set(offered("trigger ")) == {"a.json#one", "a.json#two", "b.json", "w.json", "one", "two", "three"}


def write(path: Path, document: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))


def test_pipes_and_huge_files_are_not_offered(here: Path) -> None:
    os.mkfifo(here / "pipe.json")
    (here / "loop.json").symlink_to("loop.json")
    (here / "device.json").symlink_to("/dev/zero")
    (here / "deep.json").write_text("[" * 100_000)
    (here / "large.json").write_text(json.dumps({"identifier": "large", "invocationMethod": "x" * 300_000}))
    (here / "bytes.yaml").write_bytes(b"\xff\x00identifier: [")
    (here / "folder.json").mkdir()
    write(here / "zzz.json", {"identifier": "zzz", "invocationMethod": {}})
    assert set(offered("listen --retarget ")) == {"zzz"}


@pytest.mark.parametrize("value", [1e300, -1.0, "x", b"x", None])
def test_capture_with_a_tampered_time_is_not_offered(value: object, here: Path) -> None:
    with_captures(here, "abc", "def")
    store = here / ".port-hook" / "captures.db"
    with closing(sqlite3.connect(store)) as connection, connection:
        if value is None:
            connection.execute("UPDATE captures SET action = NULL WHERE id = 'abc'")
        else:
            connection.execute("UPDATE captures SET received_at = ? WHERE id = 'abc'", [value])
    assert set(offered("show ")) == (
        {"last", "last-replay", "abc", "def"} if value is None else {"last", "last-replay", "def"}
    )


def test_invalid_store_offers_nothing(here: Path) -> None:
    (here / "bad.db").write_bytes(b"x" * 5000)
    assert set(offered("show --store bad.db ")) == {"last", "last-replay"}


@pytest.mark.usefixtures("here")
def test_tunnels_formats_and_other_fixed_values_are_offered() -> None:
    assert {"auto", "none", "ngrok", "cloudflared"} <= set(offered("listen --tunnel "))
    assert set(offered("export last --format po")) == {"postman"}
    assert set(offered("captures --verdict s")) == {"stale"}


def test_files_are_offered_after_a_name_or_an_at_sign(here: Path) -> None:
    for name in ("event.json", "last.json"):
        (here / name).write_text("{}")
    assert set(offered("trigger a.json --with ")) == {"entity=", "event=", "user=", "secrets=", "outputs="}
    assert set(offered("check --with e")) == {"entity=", "event="}
    assert set(offered("trigger a.json --with event=e")) == {"event=event.json"}
    assert set(offered("trigger a.json --with outputs=l")) == {"outputs=last", "outputs=last.json"}
    assert set(offered("trigger a.json --input @l")) == {"@last.json"}
    assert set(offered("trigger a.json --input l")) == set()


@pytest.mark.usefixtures("here")
def test_failure_offers_nothing_and_prints_no_traceback() -> None:
    for shell in SHELLS:
        stdout = io.StringIO()
        assert complete(f"complete_{shell}", {"COMP_WORDS": "port-hook", "COMP_CWORD": "x"}, stdout) in {0, 1}
        assert "Traceback" not in stdout.getvalue()


def test_other_instructions_are_left_to_typer() -> None:
    for instruction in ("source_bash", "complete_tcsh", "", "complete_"):
        assert complete(instruction, {}, io.StringIO()) is None


@given(st.text() | st.sampled_from([*HOSTILE, HOSTILE_TEXT]))
def test_untrusted_text_is_offered_only_as_a_plain_word(text: str) -> None:
    if is_word(text):
        assert re.fullmatch(r"[\w.#@/+-]+=?", text, re.ASCII)
        assert not text.startswith(("-", "#", "~", "="))
    assert not re.search(r"[^A-Za-z0-9 _.,:/#@+=?-]", plain_description(text))


def test_bash_adds_no_space_after_the_only_name_of_a_rule() -> None:
    assert SHELLS["bash"].write([Candidate("vm=")], CompletionRequest((), "v"), has_files=False) == (
        "vm=\nvm=http\n",
        0,
    )


def test_powershell_gets_words_with_descriptions() -> None:
    for name in ("powershell", "pwsh"):
        assert SHELLS[name].write(
            [Candidate("a", "b"), Candidate("c")], CompletionRequest((), ""), has_files=False
        ) == ("a:::b\nc::: \n", 0)
