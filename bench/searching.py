"""How long it takes to find something in 10,000 captures, each beside its limit."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.measuring import at_most, row
from port_hook_cli.captures.store.body_filter import JqBodyFilter
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.statuses import Expectation
from tests.factories import a_body, a_capture, a_document, an_invocation

_CAPTURES = 10_000


def search(rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder))
        with open_store(None, Path(folder)) as store:
            text = median(_text(store) for _ in range(rounds))
            jq = median(_jq(store) for _ in range(rounds))
            failed = median(_failed(store) for _ in range(rounds))
    for name, found, most in (("text", text, 100), ("jq", jq, 1000), ("--status and --failed", failed, 100)):
        row(
            f"search of {_CAPTURES:,} captures, {name} / its limit",
            f"{found:.0f} ms / {most} ms",
            found / most,
            at_most(1),
        )


def _fill(folder: Path) -> None:
    captures = [
        a_capture(
            an_invocation(a_body(_document(number)), id=f"{number:012x}"), response=Response(status=200, body=b"ok")
        )
        for number in range(_CAPTURES)
    ]
    with open_store(None, folder, create=True) as store:
        store.add(captures)


def _document(number: int) -> object:
    return json.loads(json.dumps(a_document(number=number, note="x" * 200)))


def _text(store: CaptureStore) -> float:
    return _ms(store, StoreFilter(text="is not in any of them"))


def _failed(store: CaptureStore) -> float:
    return _ms(store, StoreFilter(failed=True, response=Expectation.parse("5xx")))


def _jq(store: CaptureStore) -> float:
    with JqBodyFilter(".payload.properties.cpu == 1000") as bodies:
        return _ms(store, StoreFilter(), bodies)


def _ms(store: CaptureStore, wanted: StoreFilter, bodies: JqBodyFilter | None = None) -> float:
    began = time.perf_counter()
    found = list(store.select(wanted, bodies=bodies))
    assert not found
    return (time.perf_counter() - began) * 1000
