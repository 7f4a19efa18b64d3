from __future__ import annotations

import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from port_hook_cli.invocations.headers import Headers
from tests.processes import Listener, listener

BODY = b"x" * 10_000_000
UNSIGNED = Headers((("host", "localhost"),))


def resident_mb(process_id: int) -> int:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1000


def status_of_post(running: Listener) -> int:
    try:
        return running.post(BODY, UNSIGNED)[0]
    except ConnectionError:  # the listener rejected the request while its body was still being sent
        return 503


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
@pytest.mark.extended
def test_memory_is_released_after_unsigned_bodies_of_10_mb(folder: Path) -> None:
    with listener(folder) as running:
        threading.Thread(target=deque, args=(running.process.stdout, 0), daemon=True).start()
        for _ in range(20):
            running.post(b"{}", UNSIGNED)
        before = resident_mb(running.process.pid)
        for _ in range(2):
            with ThreadPoolExecutor(12) as senders:
                assert set(senders.map(status_of_post, [running] * 40)) <= {401, 503}
        deadline = time.monotonic() + 15
        while (grown := resident_mb(running.process.pid) - before) > 64 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert grown <= 64
