"""`port-hook port-agent`: its output, masked secrets, requests and rejected options."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.invocations.models import MessageOrigin
from tests.conftest import Run
from tests.factories import SECRET as OTHER_SECRET
from tests.factories import a_capture, an_invocation
from tests.prediction.worlds import RUN, SECRET, action_run, node_run, topic_message
from tests.processes import environment, running
from tests.servers import Handler, handler
from tests.stores import keep

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
MAPPING = "control_the_payload_config.json"


@pytest.fixture
def receiver() -> Iterator[Handler]:
    with handler(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n" + b'{"id": 7}'
    ) as it:
        yield it


def write(folder: Path, name: str, document: Any) -> str:
    (folder / name).write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return name


def words(text: str) -> str:
    return " ".join(text.split())


def test_agent_shows_mapping_request_and_reports(run: Run, folder: Path) -> None:
    write(folder, "map.json", [{"enabled": '.action == "other"'}, {"method": '"PUT"', "body": {"n": ".payload.x.y"}}])
    result = run("port-agent", write(folder, "m.json", topic_message()), "--mapping", "map.json", env=ENV)
    assert (result.code, result.err) == (0, "")
    shown = words(result.out)
    for part in (
        f"message action run {RUN}, from a Kafka topic, synchronized",
        'mapping [0] is skipped: `.action == "other"` is false',
        "mapping [1] is used: enabled is true",
        "maps [1].body.n `.payload.x.y` is null",
        "PUT http://127.0.0.1:8000/hook Host: 127.0.0.1:8000 User-Agent: python-requests/2.32.4",
        '{"n": null} 11 bytes. It signs the compact form (10 bytes), so its raw bytes do not match the signature',
        "before the request log An action message has been received",
        "before each call, the agent gets a new token (POST /v1/auth/access_token)",
        "if the response is 200 log Action invocation has completed successfully with status code: 200",
        f'call PATCH /v1/actions/runs/{RUN} {{"status": "SUCCESS"}}',
        "if there is no response (refused) no report: the run keeps its status in Port",
    ):
        assert part in shown, shown


def test_captured_request_is_not_shown_as_a_topic_message(run: Run, folder: Path) -> None:
    body = json.dumps(topic_message()).encode()
    keep(folder, a_capture(an_invocation(body)))
    for name, stdin in (("0123456789ab", b""), ("-", body)):
        assert RUN in run("port-agent", name, stdin=stdin, env=ENV).out
    shown = words(run("port-agent", "last", env=ENV).out)
    assert f"message action run {RUN}, captured over HTTP and read as if from a Kafka topic, synchronized" in shown
    keep(folder, a_capture(an_invocation(body, id="bb0000000002", origin=MessageOrigin("org.runs", 0, 1, None))))
    assert f"message action run {RUN}, from a Kafka topic, synchronized" in words(
        run("port-agent", "last", env=ENV).out
    )


def test_agent_prints_a_record(run: Run, folder: Path) -> None:
    result = run("port-agent", write(folder, "m.json", node_run()), "--json", env=ENV)
    (record,) = result.records
    assert (record["type"], record["transport"], record["subject"], record["mapping"]) == (
        "prediction", "polling", "workflow node run", "[1]",
    )  # fmt: skip
    assert record["request"]["headers"][0] == ["Host", "127.0.0.1:8000"]
    assert [outcome["response"]["name"] for outcome in record["outcomes"]] == ["200", "400", "refused", "timeout"]
    assert record["taking"][1]["path"] == "/v1/workflows/runs/ack"
    assert result.err == "note: no mapping file, so the agent's default mappings are used\n"


def test_agent_explains_why_no_request_is_sent(run: Run, folder: Path) -> None:
    write(folder, MAPPING, [{"enabled": ".action == 1"}])
    result = run("port-agent", write(folder, "m.json", topic_message()), env=ENV)
    assert "sends nothing: no mapping is enabled for it" in words(result.out)
    assert "in Port no report: the run keeps its status in Port" in words(result.out)
    assert result.err == f"note: mappings from {MAPPING}\n"
    (record,) = run("port-agent", "m.json", "--json", env=ENV).records
    assert (record["request"], record["reason"]) == (None, "no mapping is enabled for it")


def test_agent_shows_the_reports_for_a_given_response(run: Run, folder: Path) -> None:
    for options, expected in (
        (("--response", "500"), "status code: 500 and response: "),
        (("--response", "@r.json"), 'call PATCH /v1/actions/runs/r_QOz6WoOB1Q2lmhZZ/response {"response": {"a": 1}}'),
    ):
        write(folder, "r.json", '{"a": 1}')
        result = run("port-agent", write(folder, "m.json", action_run()), *options, env=ENV)
        assert expected in words(result.out)
        assert result.out.count("if the response is") == 1
        assert "no response" not in result.out


def test_agent_explains_an_ignored_message_of_an_earlier_sandbox(run: Run, folder: Path) -> None:
    result = run("port-agent", write(folder, "m.json", topic_message(secret=OTHER_SECRET)), env=ENV)
    assert "the agent ignores it" in result.out
    assert "each start of a sandbox creates a new secret" in result.err


def test_agent_reads_settings_from_the_agents_own_variables(run: Run, folder: Path) -> None:
    write(folder, "other.json", [{"method": '"DELETE"'}])
    document = topic_message()
    del document["headers"]
    env = {
        **ENV,
        "CONTROL_THE_PAYLOAD_CONFIG_PATH": "other.json",
        "STREAMER_NAME": "POLLING",
        "DETAILED_LOGGING": "false",
    }
    result = run("port-agent", write(folder, "m.json", document), env=env)
    assert "from polling" in result.out
    assert (
        "from polling"
        in run("port-agent", write(folder, "r.json", action_run()), env={**ENV, "STREAMER_NAME": "KAFKA"}).out
    )
    assert "DELETE http://127.0.0.1:8000/hook" in result.out
    assert "failed with status code: 400\n" in result.out


def test_gitlab_pipeline_is_triggered_without_a_mapping_file(run: Run, folder: Path) -> None:
    method = {"type": "GITLAB", "groupName": "my/group", "projectName": "app", "omitPayload": True, "defaultRef": "dev"}
    message = topic_message(method=method, cpu=2)
    del message["headers"], message["payload"]["action"]["invocationMethod"]["url"]
    env = {**ENV, "GITLAB_URL": "http://127.0.0.1:8000/", "my_group_app": "the-t0ken-itself"}
    names = ("--env", "GITLAB_URL", "--env", "my_group_app")
    record = run("port-agent", write(folder, "m.json", message), "--json", *names, env=env).records[0]
    assert record["mapping"] == "[0]"
    assert record["request"]["url"] == "***api/v4/projects/my%2Fgroup%2Fapp/trigger/pipeline"
    assert record["request"]["method"] == "POST"
    assert record["request"]["body"] == {
        "ref": "dev",
        "token": "***",
        "variables": {"name": "Zoë", "cpu": "2"},
        "port_payload": {},
    }
    assert record["environment"] == {"names": ["GITLAB_URL"], "open": True, "given": ["GITLAB_URL", "my_group_app"]}
    plain = run("port-agent", "m.json", env=ENV)
    assert "POST https://gitlab.com/api/v4/projects/my%2Fgroup%2Fapp/trigger/pipeline" in plain.out
    assert "the variable GITLAB_URL (not given, so null here: add --env GITLAB_URL)" in plain.out


def test_version_of_the_agent_is_chosen_and_recognized(run: Run, folder: Path) -> None:
    name = write(folder, "r.json", node_run(onTimeout="fail"))
    records = [
        run("port-agent", name, "--json", *more, env=ENV).records[0] for more in ((), ("--agent-version", "2026-05"))
    ]
    assert [record["agent_version"] for record in records] == ["latest", "2026-05"]
    methods = [record["request"]["body"]["payload"]["action"]["invocationMethod"] for record in records]
    assert ["onTimeout" in method for method in methods] == [True, False]
    sent = write(folder, "sent.json", records[1]["request"]["body"])
    shown = run("port-agent", sent, env=ENV)
    assert "it looks like the agent of May 2026" in shown.out
    assert "this prediction is for the agent in its latest version: add --agent-version 2026-05" in shown.out
    assert run("port-agent", sent, "--json", env=ENV).records[0]["looks_like"] == "2026-05"
    assert "add --agent-version" not in run("port-agent", sent, "--agent-version", "2026-05", env=ENV).out


def test_many_problems_of_a_mapping_file_are_shortened(run: Run, folder: Path) -> None:
    write(folder, "map.json", [{f"key{number}": 1 for number in range(500)}])
    result = run("port-agent", write(folder, "m.json", topic_message()), "--mapping", "map.json", env=ENV)
    assert result.err.splitlines()[-1] == "warning: 480 more problems; --check lists all"
    assert len(result.err.splitlines()) == 21


def test_expression_crash_of_the_agent_is_reported(run: Run, folder: Path) -> None:
    write(folder, "map.json", [{"body": {"name": ".payload.properties.name | debug", "all": ".action"}}])
    checked = run("port-agent", "--check", "map.json", env=ENV)
    reason = "jq 1.5, which the agent uses, may crash on `debug`"
    assert (checked.code, checked.out.splitlines()) == (1, [f"[0].body.name is always null: {reason}"])
    shown = run("port-agent", write(folder, "m.json", topic_message()), "--mapping", "map.json", env=ENV)
    assert reason in shown.out


@pytest.mark.parametrize(
    ("body", "report", "hint"),
    [
        ("42", {}, "`response` of a run is text, an array or an object, not a number"),
        ("true", {}, "`response` of a run is text, an array or an object, not true or false"),
        ('{"n": 7}', {"summary": ".response.json.n"}, "`summary` of a run is text, not a number"),
        ('{"n": 7}', {"link": "[1]"}, "`link` of a run is text or an array of texts"),
        ('{"n": 7}', {"status": '"DONE"'}, "`status` of a run is SUCCESS or FAILURE"),
        ('{"n": 7}', {"summary": '"ok"', "link": '["https://ci"]', "externalRunId": '"7"'}, None),
    ],
)
def test_value_of_an_undocumented_type_gets_a_note(
    run: Run, folder: Path, body: str, report: dict[str, str], hint: str | None
) -> None:
    write(folder, "map.json", [{"report": report}])
    message, response = write(folder, "m.json", action_run()), write(folder, "r.json", json.loads(body))
    result = run("port-agent", message, "--mapping", "map.json", "--response", f"@{response}", env=ENV)
    assert result.code == 0
    assert hint is None or f"in Port's API document, {hint}" in words(result.out)
    assert ("API document" in result.out) is (hint is not None)


def test_non_json_number_is_text_in_a_record(run: Run, folder: Path) -> None:
    write(folder, "map.json", [{"body": {"n": "infinite", "big": "1700000000000"}}])
    result = run("port-agent", write(folder, "m.json", topic_message()), "--mapping", "map.json", "--json", env=ENV)
    assert [field["value"] for field in result.records[0]["fields"]] == ["inf", 1700000000000.0]
    assert "InvalidJSONError" in result.records[0]["reason"]


# Secrets.


def test_expressions_read_only_the_environment_variables_of_env(run: Run, folder: Path) -> None:
    headers = {"Authorization": '"Bearer " + env.TOKEN', "X-Other": 'env.PORT_CLIENT_SECRET // "none"'}
    write(folder, "map.json", [{"headers": headers, "body": {"all": "env", "t": "env.TOKEN"}}])
    env = {**ENV, "TOKEN": "the-t0ken-itself"}
    arguments = ("port-agent", write(folder, "m.json", topic_message()), "--mapping", "map.json")
    closed = run(*arguments, env=env)
    assert '{"all": {}, "t": null}' in closed.out
    assert "X-Other: none" in closed.out
    assert "the variable TOKEN (not given, so null here: add --env TOKEN)" in closed.out
    assert "computed variable names" in closed.out
    opened = [run(*arguments, "--env", "TOKEN", *more, env=env) for more in ((), ("--json",), ("--raw",))]
    for result in opened:
        assert result.code == 0
        assert "the-t0ken-itself" not in result.out + result.err
        assert SECRET.reveal() not in result.out + result.err
    assert '"t": "***"' in opened[0].out
    assert opened[1].records[0]["environment"] == {
        "names": ["TOKEN", "PORT_CLIENT_SECRET"],
        "open": True,
        "given": ["TOKEN"],
    }
    assert "secrets are masked" in opened[2].err


def test_missing_variable_is_rejected(run: Run, folder: Path) -> None:
    result = run("port-agent", write(folder, "m.json", topic_message()), "--env", "NOTHING", env=ENV)
    assert (result.code, "this variable is not set" in result.err) == (ExitCode.USAGE, True)


def test_decrypted_values_are_not_shown(run: Run, folder: Path, receiver: Handler) -> None:
    for value in ("hunter2-hunter2", "short", '{"password": "in-an-object"}'):
        document = topic_message(pw=encrypt_aes_gcm(SECRET, value.encode()), method={"url": receiver.url})
        body = {"pw": ".payload.properties.pw", "part": ".payload.properties.pw | fromjson? // .password? // null"}
        mapping = {"fieldsToDecryptPaths": ["payload.properties.pw"], "body": body}
        write(folder, "map.json", [mapping])
        for options in ((), ("--json",), ("--send",)):
            result = run("port-agent", write(folder, "m.json", document), "--mapping", "map.json", *options, env=ENV)
            assert value not in result.out + result.err
            assert "in-an-object" not in result.out + result.err
            assert "payload.properties.pw" in result.out
        assert json.loads(receiver.requests[-1].body)["pw"] == value


def test_only_undecryptable_paths_are_yellow(run: Run, folder: Path) -> None:
    document = topic_message(pw=encrypt_aes_gcm(SECRET, b"one"), other=encrypt_aes_gcm(OTHER_SECRET, b"two"))
    paths = ["payload.properties.pw", "payload.properties.other"]
    write(folder, "map.json", [{"fieldsToDecryptPaths": paths}])
    write(folder, "m.json", document)
    result = run("port-agent", "m.json", "--mapping", "map.json", env={**ENV, "FORCE_COLOR": "1"})
    assert "payload.properties.pw is decrypted\n" in result.out
    problem = "payload.properties.other: the client secret does not decrypt it"
    assert f"\x1b[33m{problem}\x1b[0m" in result.out


# Sending.


def test_agent_sends_the_raw_body(run: Run, folder: Path, receiver: Handler) -> None:
    document = topic_message(method={"url": f"{receiver.url}/hook?a=1"})
    raw = run("port-agent", write(folder, "m.json", document), "--raw", env=ENV)
    result = run("port-agent", "m.json", "--send", env=ENV)
    assert result.code == 0
    (received,) = receiver.requests
    head, _, body = raw.raw.partition(b"\r\n\r\n")
    assert received.body == body
    unsigned = [line for line in received.head.decode().split("\r\n") if not line.startswith("X-Port-")]
    assert "\r\n".join(unsigned).strip() == "\r\n".join(
        line for line in head.decode().split("\r\n") if not line.startswith("X-Port-")
    )
    assert "it would report log An action message has been received" in words(result.out)
    assert f'call PATCH /v1/actions/runs/{RUN}/response {{"response": {{"id": 7}}}}' in words(result.out)


def test_agent_sends_to_another_target_with_its_host(run: Run, folder: Path, receiver: Handler) -> None:
    document = topic_message(method={"url": "https://example.com/deploy?x=1"})
    result = run(
        "port-agent", write(folder, "m.json", document), "--send", "--to", str(receiver.port), "--json", env=ENV
    )
    assert receiver.requests[0].line == "POST /deploy?x=1 HTTP/1.1"
    assert receiver.requests[0].value("host") == f"127.0.0.1:{receiver.port}"
    (record,) = result.records
    assert (record["delivery"]["status"], len(record["outcomes"])) == (200, 1)


def test_agent_does_not_send_to_another_machine_unasked(run: Run, folder: Path) -> None:
    document = topic_message(method={"url": "https://example.com/deploy"})
    result = run("port-agent", write(folder, "m.json", document), "--send", env=ENV)
    assert result.code == ExitCode.USAGE
    assert "is not on this machine, so nothing was sent" in words(result.err)


def test_mapping_file_of_the_current_directory_is_used_to_send_only_with_mapping(
    run: Run, folder: Path, receiver: Handler
) -> None:
    write(folder, MAPPING, [{"url": f'"{receiver.url}/elsewhere"'}])
    write(folder, "m.json", topic_message())
    refused = run("port-agent", "m.json", "--send", "--to", str(receiver.port), env=ENV)
    assert (refused.code, receiver.requests) == (ExitCode.USAGE, [])
    assert f"--mapping {MAPPING}" in refused.err
    assert run("port-agent", "m.json", "--send", "--mapping", MAPPING, env=ENV).code == 0
    assert receiver.requests[0].line == "POST /elsewhere HTTP/1.1"


def test_agent_exits_6_when_nothing_listens(run: Run, folder: Path) -> None:
    document = topic_message(method={"url": "http://127.0.0.1:1/"})
    result = run("port-agent", write(folder, "m.json", document), "--send", env=ENV)
    assert result.code == ExitCode.TARGET
    assert "nothing listens on 127.0.0.1:1" in result.err
    assert "ConnectionError" in result.out


def test_check_shows_the_key_and_the_column(run: Run, folder: Path) -> None:
    mapping = {"method": "POST", "url": ".a +", "uri": "x", "headers": {"A": "env.TOKEN"}}
    result = run("port-agent", "--check", write(folder, "map.json", [{}, mapping]))
    assert result.code == ExitCode.FAILED
    lines = [words(line) for line in result.out.splitlines()]
    assert lines[0] == "[1].uri is an unknown key, which the agent ignores"
    assert lines[1].startswith("[1].method is always null: jq: compile error: POST/0 is not defined")
    assert lines[1].endswith('for literal text, use jq\'s quotes: "\\"POST\\""')
    assert lines[2].endswith("line 1, column 4")
    assert lines[3] == "[1] is never used: a mapping before it is always enabled"
    assert "read these environment variables: TOKEN" in result.err


TEXT_HINT = 'for literal text, use jq\'s quotes: "\\"PUT\\""'
TEMPLATE_HINT = "Port's templates do not work in mappings: write the jq expression without {{ }}"


def test_prediction_and_check_explain_how_to_fix_an_expression(run: Run, folder: Path) -> None:
    for text, hint in (("PUT", TEXT_HINT), ("{{ .foo }}", TEMPLATE_HINT)):
        write(folder, MAPPING, [{"method": text, "url": ".payload.action.invocationMethod.url"}])
        assert hint in words(run("port-agent", "--check", MAPPING).out)
        assert hint in words(run("port-agent", write(folder, "m.json", topic_message()), env=ENV).out)


def test_check_accepts_a_file_without_problems(run: Run, folder: Path) -> None:
    result = run("port-agent", "--check", write(folder, "map.json", [{"url": '"http://x"'}]), "--json")
    assert (result.code, result.err) == (0, "")
    assert result.records == [
        {
            "schema": "port-hook/agent/1",
            "type": "check",
            "file": "map.json",
            "mappings": 1,
            "valid": True,
            "problems": [],
        }
    ]


def test_mapping_file_is_rejected_when_the_agent_would_not_start(run: Run, folder: Path) -> None:
    write(folder, "map.json", [{"body": 5}, {"enabled": []}])
    write(folder, "m.json", topic_message())
    result = run("port-agent", "m.json", "--mapping", "map.json", env=ENV)
    assert result.code == ExitCode.STORE
    assert "The agent does not start with this mapping file: [1].enabled must be" in result.err
    (record,) = run("port-agent", "--check", "map.json", "--json").records
    assert (record["valid"], record["problems"][0]["severity"]) == (False, "fatal")


def test_agent_rejects_unusable_options(run: Run, folder: Path) -> None:
    for arguments, message in (
        ((), "Missing argument MESSAGE"),
        (("m.json", "--check", "map.json"), ", not both."),
        (("m.json", "--to", "8000"), "Nothing is sent without --send"),
        (("m.json", "--send", "--response", "200"), ", not both."),
        (("m.json", "--response", "r.json"), "is neither a status from 200 to 599 nor @FILE"),
        (("m.json", "--response", "600"), "is neither a status"),
        (("m.json", "--raw", "--json"), ", not both."),
        (("-", "--mapping", "-"), "cannot both use stdin"),
    ):
        write(folder, "m.json", topic_message())
        result = run("port-agent", *arguments, env=ENV)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert message in words(result.err)


def test_agent_rejects_unusable_messages(run: Run, folder: Path) -> None:
    for arguments, message in (
        (("list.json",), "is not an agent message: it is not an object"),
        (("text.json",), "text.json is not JSON"),
        (("-",), "The message on stdin is not JSON"),
        (("deep.json",), "is nested too deep"),
        (("claimed.json", "--transport", "kafka"), "claims by polling"),
    ):
        write(folder, "claimed.json", action_run())
        write(folder, "list.json", "[]")
        write(folder, "text.json", "{'a': 1}")
        write(folder, "deep.json", "[" * 2000 + "]" * 2000)
        result = run("port-agent", *arguments, env=ENV)
        assert (result.code, result.out) == (ExitCode.STORE, "")
        assert message in words(result.err)


@pytest.mark.skipif(sys.platform == "win32", reason="stops the process with SIGINT")
def test_watch_shows_the_prediction_again_when_the_mapping_file_changes(folder: Path) -> None:
    write(folder, "m.json", topic_message())
    write(folder, "map.json", [{"method": '"PUT"'}])
    watch = ("port-agent", "m.json", "--mapping", "map.json", "--watch", "--json")
    with running(folder, *watch, env=environment(folder, **ENV), text=True) as process:
        assert json.loads(process.stdout.readline())["request"]["method"] == "PUT"
        write(folder, "map.json", "[{")
        assert "map.json is not JSON" in process.stderr.readline()
        write(folder, "map.json", [{"method": '"PATCH"'}])
        assert json.loads(process.stdout.readline())["request"]["method"] == "PATCH"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == ExitCode.INTERRUPTED


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_pipe_as_the_mapping_file_is_rejected(run: Run, folder: Path) -> None:
    os.mkfifo(folder / MAPPING)
    result = run("port-agent", write(folder, "m.json", topic_message()), env=ENV)
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert "is not a regular file" in result.err


def test_url_with_a_backslash_after_its_host_is_shown(run: Run, folder: Path) -> None:
    write(folder, "map.json", [{"url": json.dumps("http://127.0.0.1:1\\a")}])
    result = run("port-agent", write(folder, "m.json", topic_message()), "--mapping", "map.json", env=ENV)
    assert (result.code, result.err) == (0, "")
    assert "POST http://127.0.0.1:1/%5Ca" in words(result.out)
