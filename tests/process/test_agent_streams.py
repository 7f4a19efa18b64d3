"""`port-hook port-agent --kafka` and `--poll` as processes: new messages, Ctrl-C, an edited file."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.sandbox import Sandbox
from tests.factories import SECRET as OTHER_SECRET
from tests.kafka_clusters import Cluster, a_message
from tests.port_clients import authorized
from tests.prediction.worlds import RUN, SECRET, topic_message
from tests.prepared import Popen
from tests.processes import environment, running
from tests.record_schemas import checked
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler

NO_JQ = ("--mapping", "map.json")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops the process with SIGINT")


class RunningAgent:
    """A running `port-hook port-agent`."""

    def __init__(self, process: Popen) -> None:
        self._process = process
        self.notices: list[str] = []

    def until(self, text: str) -> None:
        """Read stderr until a line has this text."""
        while not self.notices or text not in self.notices[-1]:
            line = self._process.stderr.readline()
            assert line, self.notices
            self.notices.append(line)

    def record(self) -> dict[str, Any]:
        """Return the next record."""
        line = self._process.stdout.readline()
        assert line, self.end()
        return dict(checked(json.loads(line)))

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Return the exit code and the rest of stdout."""
        out, err = self._process.communicate(timeout=30)
        self.notices += err.splitlines(keepends=True)
        return self._process.returncode, out


@contextmanager
def an_agent(folder: Path, env: Mapping[str, str], *options: str) -> Iterator[RunningAgent]:
    """Run `port-hook port-agent OPTIONS` in `folder`, which gets a mapping file that needs no jq."""
    (folder / "map.json").write_text("[{}]")
    with running(folder, "port-agent", *options, env=environment(folder, **env), text=True) as process:
        yield RunningAgent(process)


@pytest.fixture
def kafka(cluster: Cluster, org: str) -> dict[str, str]:
    """The environment of an agent that reads from the cluster."""
    return {
        "KAFKA_CONSUMER_BROKERS": cluster.address,
        "PORT_ORG_ID": org,
        "PORT_CLIENT_SECRET": SECRET.reveal(),
        "STREAMER_NAME": "POLLING",
    }


def value(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def test_agent_predicts_each_message_of_the_topics_and_skips_messages_for_others(
    cluster: Cluster, org: str, kafka: dict[str, str], tmp_path: Path
) -> None:
    unsigned = topic_message()
    del unsigned["headers"]
    values = [
        value(topic_message()),
        a_message({"run": "r_1"}, secret=SECRET),
        b"\xff{",
        None,
        b"[1]",
        b"[" * 5000,
        value(unsigned),
        value(topic_message(secret=OTHER_SECRET)),
    ]
    with an_agent(tmp_path, kafka, "--kafka", "--json", "--count", "9", *NO_JQ) as agent:
        agent.until("without committing offsets")
        agent.until("Showing only new messages. To include the last 10 minutes, add --since 10m. Stop with Ctrl-C.")
        cluster.send(f"{org}.runs", *values, partition=1)
        records = [agent.record() for _ in values]
        cluster.send(
            f"{org}.change.log", value({"changelogDestination": {"url": "http://a/", "agent": True}, "diff": {}})
        )
        last = agent.record()
        assert agent.end() == (0, "")

    sent = [record["request"] is not None for record in records if record["type"] == "prediction"]
    reasons = [record["reason"] or "" for record in records]
    assert [record["kafka"]["offset"] for record in records] == list(range(len(values)))
    assert sent == [True, False, False, False]
    assert [record["run_id"] for record in records if record["type"] == "prediction"] == [RUN, None, RUN, RUN]
    assert records[0]["transport"] == "kafka"
    for reason, expected in zip(
        reasons,
        [
            "",
            "`agent` is not true",
            "is not JSON",
            "is not JSON",
            "it is not an object",
            "is nested too deep",
            "its signature does not match",
            "its signature does not match",
        ],
        strict=True,
    ):
        assert expected in reason
    assert (last["subject"], last["kafka"]["topic"]) == ("change log event", f"{org}.change.log")
    assert not cluster.committed(f"{org}.port-hook.watch", f"{org}.runs")


def test_agent_sends_new_messages_and_warns_about_a_running_agent(
    cluster: Cluster, org: str, kafka: dict[str, str], tmp_path: Path
) -> None:
    with handler() as receiver, an_agent(tmp_path, kafka, "--kafka", "--send", *NO_JQ) as agent:
        agent.until("without committing offsets")
        cluster.send(f"{org}.runs", value(topic_message(method={"url": "https://hooks.example.com/"})), partition=2)
        agent.until("hint: Choose a target")
        cluster.send(f"{org}.runs", value(topic_message(method={"url": f"{receiver.url}/vm"})), partition=2)
        cluster.send(f"{org}.runs", value(topic_message(method={"url": "http://127.0.0.1:1/"})), partition=2)
        agent.until("nothing listens on 127.0.0.1:1")
        agent.interrupt()
        code, out = agent.end()

    assert code == ExitCode.USAGE  # of the first request that was not successful
    assert any("The execution agent handles these runs too" in line for line in agent.notices)
    assert [request.line for request in receiver.requests] == ["POST /vm HTTP/1.1"]
    assert out.count(f"{org}.runs[2]@") == 3
    assert "\n\n" in out
    assert "Traceback" not in out + "".join(agent.notices)


def test_watch_shows_the_last_run_again_when_the_mapping_file_changes(tmp_path: Path) -> None:
    method = {"type": "WEBHOOK", "url": "http://127.0.0.1:1/", "agent": True}
    with a_sandbox(actions=[{**create_vm_action(), "invocationMethod": method}]) as sandbox:
        run_id = _start(sandbox)
        with an_agent(tmp_path, environ_of(sandbox), "--poll", "--watch", "--json", *NO_JQ) as agent:
            assert agent.record()["request"]["method"] == "POST"
            (tmp_path / "map.json").write_text("[{")
            agent.until("map.json is not JSON")
            (tmp_path / "map.json").write_text(json.dumps([{"method": '"PUT"'}]))
            record = agent.record()
            agent.interrupt()
            assert agent.end() == (0, "")
    assert (record["run_id"], record["request"]["method"]) == (run_id, "PUT")


def test_ctrl_c_ends_the_reading_of_an_endless_mapping_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mapping")
    env = {
        "PORT_API_URL": "http://127.0.0.1:1",
        "PORT_CLIENT_ID": "id",
        "PORT_CLIENT_SECRET": SECRET.reveal(),
    }
    with (
        an_agent(tmp_path, env, "--poll", "--mapping", "mapping") as agent,
        (tmp_path / "mapping").open("w"),  # waits until the agent has opened it
    ):
        agent.interrupt()
        assert agent.end() == (130, "")
    assert "Traceback" not in "".join(agent.notices)


def _start(sandbox: Sandbox) -> str:
    """Start a run and return its ID."""
    with authorized(environ_of(sandbox)) as client:
        response = client.post("/v1/actions/create_vm/runs", json={"properties": {"title": "a"}})
        return str(response.json()["run"]["id"])
