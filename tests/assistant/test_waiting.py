"""The tool that waits for the next invocation."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from port_hook_cli.assistant.waiting import StoreWatch
from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Response, Status, Verdict
from tests.assistant.assistants import Assistant, document
from tests.databases import replace_database
from tests.factories import a_capture, an_invocation


def looked(watch: StoreWatch) -> str | None:
    found = watch.look()
    return None if found is None else found.invocation.id[0]


def test_watch_finds_only_captures_after_its_first_look(assistant: Assistant) -> None:
    assistant.save(a_capture())
    watch = StoreWatch(assistant.workspace.store_file, CaptureQuery(), None)
    assert looked(watch) is None
    assistant.save(a_capture(an_invocation(id="b" * 12)), a_capture(an_invocation(id="c" * 12)))
    assert looked(watch) == "b"
    watch.close()


def test_watch_finds_the_first_capture_of_a_store_created_later(assistant: Assistant) -> None:
    watch = StoreWatch(assistant.workspace.store_file, CaptureQuery(), None)
    assert looked(watch) is None
    assistant.save(a_capture())
    assert looked(watch) == "0"
    watch.close()


def test_watch_finds_matching_captures_after_a_capture(assistant: Assistant) -> None:
    bad = a_capture(an_invocation(id="c" * 12), verdict=Verdict(status=Status.INVALID))
    assistant.save(a_capture(), a_capture(an_invocation(id="b" * 12)), bad)
    for query, found in ((CaptureQuery(), "b"), (CaptureQuery(verdicts=(Status.INVALID,)), "c")):
        watch = StoreWatch(assistant.workspace.store_file, query, "0123")
        assert looked(watch) == found
        watch.close()


def test_watch_continues_with_a_replaced_store(assistant: Assistant) -> None:
    assistant.save(a_capture())
    path = assistant.workspace.store_file
    watch = StoreWatch(path, CaptureQuery(), None)
    assert looked(watch) is None
    with open_store(path.with_name("new.db"), path.parent, create=True) as store:
        store.add([a_capture(an_invocation(id="b" * 12))])
    replace_database(path, path.with_name("new.db"))
    assert looked(watch) == "b"
    watch.close()


async def test_wait_shows_a_capture_once_it_has_its_response(assistant: Assistant) -> None:
    capture = a_capture(an_invocation(id="b" * 12))
    assistant.save(a_capture(), capture)
    with open_store(None, assistant.workspace.runtime.cwd) as store:
        outcome = replace(capture, response=Response(status=202))
        asyncio.get_running_loop().call_later(0.2, store.complete, [outcome])  # after the first look
        found = document(await assistant.answer("wait_for_invocation", after="0123"))
    assert found["result"]["response"]["status"] == 202


def test_wait_shows_a_capture_without_a_response_when_its_time_is_up(assistant: Assistant) -> None:
    assistant.save(a_capture(), a_capture(an_invocation(id="b" * 12)))
    found = assistant.result("wait_for_invocation", after="0123", timeout_s=0.5)
    assert (found["id"], found["response"]) == ("b" * 12, None)


def test_wait_ends_without_a_capture_with_a_note(assistant: Assistant) -> None:
    found = assistant.document("wait_for_invocation", timeout_s=0.01)
    assert found["result"] is None
    assert found["notes"] == ["note: no invocation arrived within 0.01 s. Call again to continue"]


async def test_canceled_wait_closes_the_store(assistant: Assistant) -> None:
    assistant.save(a_capture())
    waiting = asyncio.create_task(assistant.answer("wait_for_invocation", timeout_s=30))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_wait_after_an_unknown_capture_is_an_error(assistant: Assistant) -> None:
    assistant.save(a_capture())
    assert "Capture not found: beef. No ID in " in assistant.error("wait_for_invocation", after="beef")
