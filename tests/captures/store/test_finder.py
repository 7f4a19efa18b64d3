"""The meaning of capture names: one table for all commands, and names that only some of them accept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.finder import CaptureUse, Finder, FoundRequest
from port_hook_cli.errors import PortApiError, PortHookError, SettingsError, StoreError, UsageError
from port_hook_cli.invocations.http_text import RawRequest
from port_hook_cli.invocations.models import Capture
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import say_nothing
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation

MakeRuntime = Callable[..., Runtime]
NODE_RUN = "wfnr_abc123"
REQUEST = b"PUT /x HTTP/1.1\r\ncontent-type: application/json\r\n\r\n{}"

# How commands find captures: the tools of `mcp`, `show`, `diff` and `export`, `verify` and `decrypt`, and `replay`.
KINDS: Mapping[str, tuple[CaptureUse, bool]] = {
    "show_capture": (CaptureUse.SHOW, False),
    "diff": (CaptureUse.SHOW, True),
    "verify": (CaptureUse.CHECK, True),
    "replay": (CaptureUse.SEND, True),
    "replay_capture": (CaptureUse.SEND, False),
}
UNKNOWN, SEVERAL, SHORT = "starts with it", "is the start of several capture IDs", "is too short"
RUN, NO_FILE, NO_PATH = "has no capture of this run", "File not found", "is a directory"
TOO_FAR = r"Capture not found: last~2\. .* has 2 captured requests"
OTHER_RUN = "r_aaaaaaaaaaaaaaaa"
CAPTURES = frozenset({"aaaa1", "aaaa2", "bbbb3"})
FOUND = CAPTURES | {"a file", "stdin", "cccc4", "PUT /x"}

# The table shows what each kind of command finds. The captures are aaaa1, aaaa2, and bbbb3, which is a replay and the
# latest capture.
TABLE: Mapping[str, tuple[str, str, str, str, str]] = {
    #        show_capture       diff       verify     replay     replay_capture
    "last": ("aaaa2", "aaaa2", "aaaa2", "aaaa2", "aaaa2"),
    "last~1": ("aaaa1", "aaaa1", "aaaa1", "aaaa1", "aaaa1"),
    "last~2": (TOO_FAR, TOO_FAR, TOO_FAR, TOO_FAR, TOO_FAR),
    "last-replay": ("bbbb3", "bbbb3", "bbbb3", "bbbb3", "bbbb3"),
    "aaaa1": ("aaaa1", "a file", "a file", "a file", "aaaa1"),
    "aaaa2": ("aaaa2", "aaaa2", "aaaa2", "aaaa2", "aaaa2"),
    "bbbb": ("bbbb3", "bbbb3", "bbbb3", "bbbb3", "bbbb3"),
    "bb": ("bbbb3", "bbbb3", "bbbb3", SHORT, SHORT),
    "aaaa": (SEVERAL, SEVERAL, SEVERAL, SEVERAL, SEVERAL),
    "ffff": (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
    RUN_ID: ("aaaa2", "aaaa2", "aaaa2", "aaaa2", "aaaa2"),
    OTHER_RUN: (RUN, RUN, RUN, RUN, RUN),
    "-": (UNKNOWN, "stdin", "stdin", "stdin", SHORT),
    "capture.json": (UNKNOWN, "cccc4", "cccc4", "cccc4", UNKNOWN),
    "request.http": (UNKNOWN, "PUT /x", "PUT /x", "PUT /x", UNKNOWN),
    "folder/none": (UNKNOWN, NO_FILE, NO_FILE, NO_FILE, UNKNOWN),
    "folder": (UNKNOWN, NO_PATH, NO_PATH, NO_PATH, UNKNOWN),
    "damaged.json": (UNKNOWN, "a damaged capture", "a damaged capture", "a damaged capture", UNKNOWN),
    "x" * 5000: (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
    "a\0b": (UNKNOWN, UNKNOWN, UNKNOWN, SHORT, SHORT),
    "": ("is empty", "is empty", "is empty", "is empty", "is empty"),
}


@pytest.fixture
def filled(folder: Path) -> Path:
    """Return a directory with a store and files. One file is named like a capture's ID, and one is called `last`."""
    with open_store(None, folder, create=True) as store:
        for number, (name, replay_of) in enumerate((("aaaa1", None), ("aaaa2", None), ("bbbb3", "aaaa2"))):
            invocation = an_invocation(id=name, received_at=1_700_000_000.0 + number, replay_of=replay_of)
            store.add([a_capture(invocation)])
    (folder / "capture.json").write_text(json.dumps(to_capture(a_capture(an_invocation(id="cccc4")))))
    (folder / "request.http").write_bytes(REQUEST)
    (folder / "damaged.json").write_bytes(b'{"schema": "port-hook/capture/1"}')
    (folder / "aaaa1").write_bytes(b"a file")
    (folder / "last").write_bytes(b"a file")
    (folder / "folder").mkdir()
    return folder


def finder(runtime: MakeRuntime, command: str) -> Finder:
    purpose, reads_files = KINDS[command]
    return Finder(None, runtime(stdin=b"stdin"), purpose, say_nothing, reads_files=reads_files)


def what_it_is(found: FoundRequest) -> str:
    if isinstance(found.content, Capture):
        return found.content.invocation.id
    if isinstance(found.content, RawRequest):
        return f"{found.content.method} {found.content.target}"
    assert isinstance(found.content, bytes)
    return found.content.decode()


@pytest.mark.parametrize("command", KINDS)
def test_capture_name_means_the_same_for_all_commands_of_a_kind(
    runtime: MakeRuntime, filled: Path, command: str
) -> None:
    for name, row in TABLE.items():
        expected = row[list(KINDS).index(command)]
        with closing(finder(runtime, command)) as it:
            if expected in FOUND:
                found = it.find(name)
                assert (name, what_it_is(found), found.is_stored) == (name, expected, expected in CAPTURES)
                continue
            with pytest.raises((StoreError, UsageError), match=expected) as caught:
                it.find(name)
        says_file = KINDS[command][1] and expected in {UNKNOWN, SEVERAL, SHORT, RUN}
        assert caught.value.message.startswith(f"File not found: {name}. ") is says_file


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("show", "NAME", "--json"), "diff"),
        (("diff", "NAME", "last"), "diff"),
        (("export", "NAME", "--format", "curl"), "diff"),
        (("verify", "NAME"), "verify"),
        (("decrypt", "NAME"), "verify"),
        (("port-agent", "NAME"), "verify"),
        (("replay", "NAME", "--to", "1", "--dry-run"), "replay"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_command_uses_the_finder_of_its_kind(run: Run, filled: Path, command: tuple[str, ...], kind: str) -> None:
    env = {"PORT_CLIENT_SECRET": SECRET.reveal()}
    for name in ("bb", "capture.json", "ffff"):
        expected = TABLE[name][list(KINDS).index(kind)]
        result = run(*(name if word == "NAME" else word for word in command), env=env)
        assert [problem for problem in (UNKNOWN, SHORT) if problem in result.err] == [expected] * (" " in expected)


def test_missing_store_error_contains_its_path(runtime: MakeRuntime) -> None:
    for command in KINDS:
        with closing(finder(runtime, command)) as it:
            for name in ("last", "aaaa"):
                with pytest.raises(StoreError, match="Capture store not found:") as caught:
                    it.find(name)
                says_file = name != "last" and KINDS[command][1]
                assert caught.value.message.startswith("File not found: aaaa. ") is says_file


def test_payload_file_is_a_body_and_capture_file_is_a_complete_capture(runtime: MakeRuntime, filled: Path) -> None:
    with closing(finder(runtime, "diff")) as it:
        payload, capture, request = (it.find(name) for name in ("-", "capture.json", "request.http"))
    assert [found.is_body_only for found in (payload, capture, request)] == [True, False, False]
    assert [found.shown for found in (payload, capture, request)] == ["-", "cccc4", "request.http"]
    assert (payload.request.method, payload.request.body, payload.capture.verdict.status) == (
        "POST",
        b"stdin",
        "unchecked",
    )
    assert request.capture.invocation.method == "PUT"


class Port(PortAccess):
    """A fake of Port that returns runs. `asked` are the IDs that were requested."""

    def __init__(self, runtime: Runtime, problem: PortHookError | None = None) -> None:
        super().__init__(runtime, say_nothing)
        self.asked: list[str] = []
        self._problem = problem

    async def get_run(self, run_id: str) -> Mapping[str, Any]:
        self.asked.append(run_id)
        if self._problem is not None:
            raise self._problem
        return {"id": run_id}


async def find(runtime: MakeRuntime, name: str, problem: PortHookError | None = None) -> tuple[FoundRequest, list[str]]:
    port = Port(runtime(), problem)
    with closing(finder(runtime, "replay")) as it:
        return await it.find_or_get(name, port), port.asked


def keep_runs(folder: Path, *captures: tuple[str, str]) -> None:
    with open_store(None, folder, create=True) as store:
        for name, run_id in captures:
            store.add([a_capture(an_invocation(a_body(a_document(context={"runId": run_id})), id=name))])


async def test_run_id_selects_a_file_or_the_latest_capture_of_the_run(runtime: MakeRuntime, folder: Path) -> None:
    keep_runs(folder, ("older", RUN_ID), ("newer", RUN_ID), ("of node", NODE_RUN))
    for run_id, expected in ((RUN_ID, "newer"), (NODE_RUN, "of node")):
        found, asked = await find(runtime, run_id)
        assert (found.shown, found.is_stored, asked) == (expected, True, [])
    (folder / RUN_ID).write_bytes(b"[1]")
    assert (await find(runtime, RUN_ID))[0].content == b"[1]"


@pytest.mark.parametrize("has_store", [True, False])
async def test_action_run_without_a_capture_is_requested_from_port(
    runtime: MakeRuntime, folder: Path, has_store: bool
) -> None:
    if has_store:
        keep_runs(folder, ("other", NODE_RUN))
    found, asked = await find(runtime, RUN_ID)
    assert (found.content, found.is_stored, asked) == ({"id": RUN_ID}, False, [RUN_ID])


async def test_unknown_run_error_lists_every_searched_place(runtime: MakeRuntime) -> None:
    problem = SettingsError("No client ID.", hint="Look.")
    words = rf"^File or capture not found: {RUN_ID}, so port-hook asked Port\. {problem.message}$"
    with pytest.raises(type(problem), match=words) as caught:
        await find(runtime, RUN_ID, problem)
    assert caught.value.hint == "Look."


@pytest.mark.parametrize("has_store", [True, False])
async def test_node_run_without_a_capture_is_not_requested_from_port(
    runtime: MakeRuntime, folder: Path, has_store: bool
) -> None:
    if has_store:
        keep_runs(folder, ("other", RUN_ID))
    words = r"File or capture not found: .* Port's API does not return .* only be replayed from captures"
    with pytest.raises(StoreError, match=words) as caught:
        await find(runtime, NODE_RUN, PortApiError("asked"))
    assert "port-hook listen" in caught.value.hint
    assert "file" in caught.value.hint
