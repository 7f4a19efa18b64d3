"""Values of a topic, read by `port-agent --kafka`."""

from __future__ import annotations

from port_hook_cli.agent.sources import MAX_MESSAGE, read_value
from port_hook_cli.invocations.models import MessageOrigin

ORIGIN = MessageOrigin("org_1.runs", 2, 41, None)


def test_message_of_more_than_10_mib_is_not_read() -> None:
    largest = b'"' + b"a" * (MAX_MESSAGE - 2) + b'"'
    assert (read_value(ORIGIN, largest).problem, MAX_MESSAGE) == ("", 10 * 1024 * 1024)
    source = read_value(ORIGIN, largest + b" ")
    assert source.problem == "org_1.runs[2]@41 has 10,485,761 bytes, more than 10 MiB."
    assert source.document is None


def test_value_is_reported_with_the_reason_when_it_is_not_json() -> None:
    for value in (b"", b"\xff", b"NaN", b"[" * 1000):
        source = read_value(ORIGIN, value)
        assert source.problem.startswith("org_1.runs[2]@41 is n")
        assert source.origin == ORIGIN
