from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.trigger.action import RunTarget


def test_target_replaces_the_origin_and_rejects_another_machine_unless_the_user_chooses_it() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("https://example.com/hook?a=1", "http://127.0.0.1:8000", "http://127.0.0.1:8000/hook?a=1"),
        ("https://example.com/hook?a=1", "http://127.0.0.1:8000/other", "http://127.0.0.1:8000/other"),
        ("https://example.com", "http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("http://localhost:3000/x", None, "http://localhost:3000/x"),
    ]
    for url, to, sent_to in rows:
        assert RunTarget(to=to).url_for("a", url) == sent_to
    with pytest.raises(UsageError, match=r"https://example\.com/x, which is not on this machine"):
        RunTarget().url_for("a", "https://example.com/x")
    assert RunTarget(to_its_url=True).url_for("a", "https://example.com/x") == "https://example.com/x"


def test_target_rejects_ports_own_api_with_the_way_to_call_it() -> None:
    url = "https://api.getport.io/v1/actions/notify/runs"
    with pytest.raises(UsageError, match=r"^The node call's URL is .*, which is Port's own API") as found:
        RunTarget().url_for("call", url, owner="The node call")
    assert "--via-port" in found.value.hint
    assert RunTarget(to="http://127.0.0.1:8000").url_for("a", url) == "http://127.0.0.1:8000/v1/actions/notify/runs"
    assert RunTarget(to_its_url=True).url_for("a", url) == url
