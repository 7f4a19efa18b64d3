from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm, create_vm_action
from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.encryption import decrypt_aes_gcm
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Status
from port_hook_cli.signatures.verification import verify_signature
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_capture
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import Handler, RawRequest, handler
from tests.stores import last_listener, project_file

EXAMPLES = Path(__file__).parents[2] / "examples"
CREATE_VM = str(EXAMPLES / "actions" / "create_vm.json")
SCALE = str(EXAMPLES / "actions" / "scale_service.yaml")
TIER = str(EXAMPLES / "actions" / "tier_changed.json")
EVENT = str(EXAMPLES / "payloads" / "entity_updated.json")
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


@pytest.fixture
def receiver() -> Iterator[Handler]:
    with handler() as it:
        yield it


def write(folder: Path, name: str, content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, "utf-8")
    return name


def an_action(**method: Any) -> dict[str, Any]:
    action = create_vm_action()
    return {**action, "invocationMethod": {**action["invocationMethod"], **method}}


def sent(receiver: Handler) -> tuple[RawRequest, Any]:
    (request,) = receiver.requests
    return request, json.loads(request.body)


def assert_valid(request: RawRequest) -> None:
    stamp = float(request.value("x-port-timestamp") or 0)
    assert verify_signature(Headers(tuple(request.fields)), request.body, SECRET, now=stamp).status is Status.VALID


# --- sending --------------------------------------------------------------------------------------------------------


def test_trigger_sends_create_vm_with_the_default_payload(run: Run, receiver: Handler) -> None:
    inputs = ("--input", "title=dev-env", "--input", "cpu=2", "--input", "memory=4", "--input", "region=eu-west-1")
    result = run("trigger", CREATE_VM, "--to", receiver.url, "--run-id", RUN_ID, *inputs, env=ENV)
    assert (result.code, result.err) == (0, "")
    request, document = sent(receiver)
    assert document == create_vm(RUN_ID, at=document["trigger"]["at"])
    assert request.line == "POST / HTTP/1.1"
    assert_valid(request)
    for words in (
        f"create_vm CREATE  POST {receiver.url}/",
        RUN_ID,
        "zoe@example.com from UI",
        '"dev-env"',
        "200 OK in",
    ):
        assert words in result.out
    assert "the run stays IN_PROGRESS until the handler reports its result" in result.out
    assert f"port-hook report-run {RUN_ID} --status success" in result.out


def test_trigger_renders_encrypts_and_sends_an_action_with_templates(run: Run, folder: Path, receiver: Handler) -> None:
    entity = write(folder, "e.json", {"identifier": "checkout", "title": "Checkout"})
    inputs = write(folder, "inputs.yaml", "replicas: 3\napi_key: s3cret\n")
    result = run("trigger", SCALE, "--to", receiver.url, "--input", f"@{inputs}", "--with", f"entity={entity}", env=ENV)
    assert result.code == 0
    request, document = sent(receiver)
    assert request.line == "PUT /services/checkout/scale HTTP/1.1"
    assert request.value("run_id") == document["port_context"]["runId"]
    assert decrypt_aes_gcm(SECRET, document["inputs"]["api_key"]) == b"s3cret"
    assert "s3cret" not in result.out + result.err
    assert "the run is synchronized: this response ends it as SUCCESS" in result.out


def test_trigger_exits_1_when_the_response_is_not_2xx(run: Run, folder: Path) -> None:
    for answer, code, words in (
        (b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nwhy?", ExitCode.FAILED, "this response ends it as FAILURE"),
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", ExitCode.FAILED, "finds its mistake"),
        (b"", ExitCode.FAILED, "without a response it ends as FAILURE"),
    ):
        action = write(folder, "a.json", an_action(synchronized=True))
        with handler(answer) as receiver:
            result = run("trigger", action, "--to", str(receiver.port), "--input", "title=a", env=ENV)
        assert result.code == code
        assert words in result.out


def test_hint_after_a_rejected_request_can_be_pasted(run: Run, folder: Path) -> None:
    action = write(folder, "a.json", an_action())
    arguments = ("trigger", action, "--input", "title=a")
    with handler(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n") as receiver:
        hint = " ".join(run(*arguments, "--to", str(receiver.port), env=ENV).out.split())
        (command,) = re.findall(r"`port-hook (check [^`]*)`", hint)
        own = run(*shlex.split(command), env=ENV)
    assert own.out.startswith("The handler rejected the valid request")
    assert b'"title":"' in receiver.requests[-1].body


def test_trigger_exits_6_when_the_handler_is_unreachable(run: Run) -> None:
    with handler() as gone:
        port = str(gone.port)
    result = run("trigger", CREATE_VM, "--to", port, "--input", "title=a", env=ENV)
    assert result.code == ExitCode.TARGET
    assert "  failed     nothing listens on" in result.out


def test_trigger_route_overrides_to(run: Run, receiver: Handler) -> None:
    routes = ("--route", f"create_vm={receiver.url}/vms", "--route", "other=1")
    assert run("trigger", CREATE_VM, "--to", "1", *routes, "--input", "title=a", env=ENV).code == 0
    assert sent(receiver)[0].line == "POST /vms HTTP/1.1"


def test_trigger_sends_an_action_of_another_machine_to_the_known_handler(
    run: Run, folder: Path, receiver: Handler
) -> None:
    for url in ("https://example.com/vms?a=1", "<WEBHOOK_URL>"):
        action = write(folder, "a.json", an_action(url=url))
        last_listener(folder, receiver.url)
        result = run("trigger", action, "--input", "title=a", env=ENV)
        assert result.code == 0
        assert f"Sending to {receiver.url}, where the last `listen` with this store forwarded.\n" in result.err
        last_listener(folder, "http://127.0.0.1:1")
        project_file(folder, f"handler = {receiver.port}\n")
        result = run("trigger", action, "--input", "title=a", env=ENV)
        assert f"Sending to {receiver.url}, the handler in ./port-hook.toml.\n" in result.err
        (folder / "port-hook.toml").unlink()
    lines = [request.line for request in receiver.requests]
    assert lines == ["POST /vms?a=1 HTTP/1.1"] * 2 + ["POST / HTTP/1.1"] * 2


def test_trigger_sends_nothing_for_ports_own_api(run: Run, folder: Path) -> None:
    action = write(folder, "a.json", an_action(url="https://api.getport.io/v1/blueprints"))
    result = run("trigger", action, "--input", "title=a", env=ENV)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "which is Port's own API, so the request was not sent" in result.err


def test_trigger_sends_an_action_with_a_placeholder_url_to_the_given_target(
    run: Run, folder: Path, receiver: Handler
) -> None:
    action = write(folder, "a.json", an_action(url="<WEBHOOK_URL>"))
    result = run("trigger", action, "--to", receiver.url, "--input", "title=t", "--input", "cpu=2", env=ENV)
    assert result.code == 0
    assert "note: the action's URL is <WEBHOOK_URL>, which is not a URL. The request goes to the given" in result.err
    request, body = sent(receiver)
    assert request.line == "POST / HTTP/1.1"
    assert body["payload"]["action"]["invocationMethod"]["url"] == "<WEBHOOK_URL>"


def test_trigger_rejects_a_placeholder_as_the_actions_own_url(run: Run, folder: Path) -> None:
    action = write(folder, "a.json", an_action(url="<WEBHOOK_URL>"))
    result = run("trigger", action, "--to-its-url", "--input", "title=t", "--input", "cpu=2", env=ENV)
    assert result.code != 0
    assert 'rendered to "<WEBHOOK_URL>", which is not a URL' in result.err


def test_trigger_rejects_an_empty_rendered_url_even_with_a_target(run: Run, folder: Path) -> None:
    action = write(folder, "a.json", an_action(url="{{ .nothing }}"))
    result = run("trigger", action, "--to", "1", "--input", "title=t", "--input", "cpu=2", env=ENV)
    assert "`url` rendered to nothing" in result.err


def test_trigger_needs_no_target_when_the_actions_url_is_on_this_machine(
    run: Run, folder: Path, receiver: Handler
) -> None:
    action = write(folder, "a.json", an_action(url=f"{receiver.url}/here?a=1"))
    assert run("trigger", action, "--input", "title=a", env=ENV).code == 0
    assert sent(receiver)[0].line == "POST /here?a=1 HTTP/1.1"


def test_trigger_options_set_the_user_and_the_timestamp_unit(run: Run, folder: Path, receiver: Handler) -> None:
    action = write(folder, "a.json", an_action(body={"by": "{{ .trigger.by.user.email }}"}))
    user = write(folder, "u.json", {"email": "ada@example.com"})
    options = ("--with", f"user={user}", "--timestamp-unit", "ms")
    result = run("trigger", action, "--to", receiver.url, "--input", "title=a", *options, env=ENV)
    assert result.code == 0
    request, document = sent(receiver)
    assert document == {"by": "ada@example.com"}
    assert len(request.value("x-port-timestamp") or "") == 13


def test_trigger_prints_notes_about_unchecked_parts_of_an_action(run: Run, folder: Path, receiver: Handler) -> None:
    condition = {"type": "SEARCH", "rules": [], "combinator": "and"}
    document = {**an_action(), "requiredApproval": True, "publish": False}
    document["trigger"] = {**document["trigger"], "condition": condition}
    result = run("trigger", write(folder, "a.json", document), "--to", receiver.url, "--input", "title=a", env=ENV)
    assert "note: the action's condition, which selects entities, is not checked" in result.err
    assert "note: Port sends this after an approval, but trigger sends it immediately" in result.err
    assert "note: the action has `publish: false`, so it is disabled in Port. Port does not document" in result.err


def test_trigger_without_a_secret_exits_4_or_sends_unsigned_with_no_sign(run: Run, receiver: Handler) -> None:
    args = ("trigger", CREATE_VM, "--to", receiver.url, "--input", "title=a")
    refused = run(*args)
    assert refused.code == ExitCode.SETTINGS
    assert "PORT_CLIENT_SECRET" in refused.err
    assert receiver.requests == []
    assert run(*args, "--no-sign").code == 0
    assert sent(receiver)[0].value("x-port-signature") is None


# --- automations ----------------------------------------------------------------------------------------------------


def test_trigger_sends_an_automation_for_an_event(run: Run, receiver: Handler) -> None:
    result = run("trigger", TIER, "--to", receiver.url, "--with", f"event={EVENT}", env=ENV)
    assert result.code == 0
    request, document = sent(receiver)
    assert request.line == "POST /tiers HTTP/1.1"
    assert (document["service"], document["tier"]) == ("checkout", "gold")
    assert 'properties.tier: "silver" -> "gold"' in result.out


def test_trigger_sends_nothing_when_the_condition_is_not_met(run: Run, folder: Path, receiver: Handler) -> None:
    for as_json in (False, True):
        event = write(folder, "event.json", {"diff": {"before": {}, "after": {}}})
        options = ("--json",) if as_json else ()
        result = run("trigger", TIER, "--to", receiver.url, "--with", f"event={event}", *options, env=ENV)
        assert result.code == ExitCode.NOT_TRIGGERED
        assert receiver.requests == []
        expression = ".diff.before.properties.tier != .diff.after.properties.tier"
        if as_json:
            (record,) = result.records
            assert record["type"] == "unmet"
            assert record["expressions"] == [{"expression": expression, "message": "is false"}]
        else:
            assert f"  {expression} is false" in result.err.splitlines()


def test_trigger_shows_the_beginning_of_long_conditions_that_are_not_met(run: Run, folder: Path) -> None:
    automation = json.loads(Path(TIER).read_text("utf-8"))
    automation["trigger"]["condition"] = {"type": "JQ", "expressions": ["." * 1000, *["false"] * 100]}
    result = run("trigger", write(folder, "a.json", automation), "--to", "1", "--with", f"event={EVENT}", env=ENV)
    assert result.code == ExitCode.NOT_TRIGGERED
    assert "note: 81 more expressions are not shown" in result.err
    assert len(result.err) < 2000


def test_trigger_exits_2_when_an_automation_has_no_event(run: Run) -> None:
    result = run("trigger", TIER, "--to", "1", env=ENV)
    assert result.code == ExitCode.USAGE
    assert "--with event=FILE" in result.err


# --- printing -------------------------------------------------------------------------------------------------------


def test_trigger_dry_run_prints_the_request_and_sends_nothing(run: Run, receiver: Handler) -> None:
    result = run("trigger", CREATE_VM, "--to", f"{receiver.url}/x", "--input", "title=a", "--dry-run", env=ENV)
    assert (result.code, receiver.requests) == (0, [])
    head, _, body = result.raw.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /x HTTP/1.1"
    assert json.loads(body)["payload"]["properties"]["title"] == "a"


def test_trigger_json_has_the_request_the_response_and_the_run_status(run: Run, receiver: Handler) -> None:
    args = ("trigger", CREATE_VM, "--to", receiver.url, "--input", "title=a", "--run-id", RUN_ID, "--json")
    (record,) = run(*args, env=ENV).records
    assert record["schema"] == "port-hook/trigger/1"
    assert (record["type"], record["action"], record["run_id"]) == ("invocation", "create_vm", RUN_ID)
    assert (record["method"], record["url"]) == ("POST", f"{receiver.url}/")
    assert (record["delivery"]["status"], record["run_status"]) == (200, "IN_PROGRESS")
    assert record["body"] == sent(receiver)[1]
    (dry,) = run(*args, "--dry-run", env=ENV).records
    assert (dry["delivery"], dry["run_status"]) == (None, None)


def test_trigger_sends_secrets_and_never_prints_them(run: Run, folder: Path) -> None:
    secret = 'pa"ss wörd'
    secrets = write(folder, "secrets", f"KEY='{secret}'\n")
    action = write(
        folder,
        "a.json",
        an_action(
            headers={"x-key": "{{ .secrets.KEY }}"}, body={"key": "k-{{ .secrets.KEY }}", "x": "{{ .secrets.KEY.y }}"}
        ),
    )
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(secret.encode())}\r\n\r\n{secret}".encode()
    with handler(answer) as receiver:
        args = ("trigger", action, "--to", receiver.url, "--input", "title=a", "--with", f"secrets={secrets}")
        result = run(*args, env=ENV)
        assert result.code == 0
        request, document = sent(receiver)
        assert document == {"key": f"k-{secret}", "x": None}
        assert request.value("x-key") == secret.encode().decode("latin-1")
        shown = [result, run(*args, "--json", env=ENV), run(*args, "--dry-run", env=ENV)]
        shown += [run(*args, "--format", "curl", env=ENV), run(*args, "--dry-run", "--json", env=ENV)]
    for each in shown:
        assert each.code == 0
        for hidden in (secret, json.dumps(secret)[1:-1], "ss wörd", "w\\u00f6rd"):
            assert hidden not in each.out + each.err
    assert '{"key":"k-***","x":null}' in shown[2].out
    assert "secrets are masked" in shown[2].err


def test_dry_run_of_a_url_from_a_secret_masks_only_the_secret(run: Run, folder: Path) -> None:
    for secret, target, host in (
        ("https://hooks.example:8443", "/api", "***"),
        ("https://hooks.example:8443/base", "/***/api", "***"),
    ):
        secrets = write(folder, "secrets.json", {"U": secret})
        action = write(folder, "a.json", an_action(url="{{ .secrets.U }}/api"))
        options = ("--input", "title=a", "--with", f"secrets={secrets}", "--to-its-url", "--dry-run")
        result = run("trigger", action, *options, env=ENV)
        assert result.code == 0
        lines = result.out.splitlines()
        assert lines[:2] == [f"POST {target} HTTP/1.1", f"Host: {host}"]
        assert "hooks.example" not in result.out + result.err


LONG = "correct-horse-battery-staple"


def test_trigger_errors_never_contain_a_secret(run: Run, folder: Path) -> None:
    project_file(folder, "handler = 1\n")
    for url in ("https://example.com/{{ .secrets.KEY }}", "http://{{ .secrets.KEY }}.localhost:9/{{ .secrets.KEY }}"):
        action = write(folder, "a.json", an_action(url=url))
        secrets = write(folder, "s.json", {"KEY": LONG})
        for more in ((), ("--json",), ("--dry-run",)):
            result = run("trigger", action, "--input", "title=a", "--with", f"secrets={secrets}", *more, env=ENV)
            assert "corr" not in result.out + result.err
            assert "***" in result.out + result.err


def test_trigger_warnings_never_contain_an_encrypted_input(run: Run, folder: Path, receiver: Handler) -> None:
    action = an_action()
    action["trigger"]["userInputs"]["properties"] |= {
        "key": {"type": "string", "encryption": "aes256-gcm"},
        "cpu": {"type": "number", "default": {"jqQuery": ".form.key.x"}},
    }
    inputs = write(folder, "i.json", {"title": "a", "key": LONG})
    args = ("trigger", write(folder, "a.json", action), "--to", receiver.url, "--input", f"@{inputs}")
    result = run(*args, env=ENV)
    assert result.code == 0
    assert "became null: jq: error: Cannot index string" in result.err
    strict = run(*args, "--strict", env=ENV)
    assert strict.code == ExitCode.FAILED
    assert "corr" not in result.out + result.err + strict.out + strict.err


# --- inputs and jq --------------------------------------------------------------------------------------------------


def test_trigger_error_lists_every_violation_with_its_input(run: Run, receiver: Handler) -> None:
    inputs = ("--input", "cpu=3", "--input", "memory=x", "--input", "region=EU", "--input", "foo=1")
    result = run("trigger", CREATE_VM, "--to", receiver.url, *inputs, env=ENV)
    assert (result.code, result.out, receiver.requests) == (ExitCode.USAGE, "", [])
    assert result.err.splitlines() == [
        "error: Port would reject these inputs of create_vm:",
        "  title is required",
        "  foo is not an input. The inputs are: title, cpu, memory, region",
        "  cpu must be equal to one of the allowed values: 1, 2, 4, 8",
        "  memory must be number",
        '  region must match pattern "^[a-z]{2}-[a-z]+-\\d$"',
        "hint: Pass inputs with --input NAME=VALUE or --input @FILE.",
    ]


def test_input_option_overrides_the_inputs_file_and_its_value_is_no_file(
    run: Run, folder: Path, receiver: Handler
) -> None:
    inputs = write(folder, "i.json", create_vm(RUN_ID, at=""))
    args = (
        "trigger",
        CREATE_VM,
        "--to",
        receiver.url,
        "--input",
        f"@{inputs}",
        "--input",
        "cpu:=8",
        "--input",
        "title=@i.json",
    )
    result = run(*args, env=ENV)
    assert result.code == 0
    assert "title is the text @i.json. --input @FILE reads a JSON object of all inputs" in result.err
    properties = sent(receiver)[1]["payload"]["properties"]
    assert properties == {"title": "@i.json", "cpu": 8, "memory": 4, "region": "eu-west-1"}


# --- which action ---------------------------------------------------------------------------------------------------


def test_trigger_error_explains_why_a_file_has_no_action_to_send(run: Run, folder: Path) -> None:
    for content, words in (
        ([an_action(), {**an_action(), "identifier": "b"}], "a.json has 2 actions: create_vm, b."),
        (an_action(type="GITHUB"), "is invoked by GITHUB, but only a WEBHOOK"),
        ({"a": 1}, "a.json has no `identifier`."),
        ("", "a.json is empty, but an action is an object."),
        ('{"a": 1,}', "a.json is not JSON: "),
        ("a: {{ .x }}\nb: [", "a.json is neither JSON nor YAML: "),
    ):
        result = run("trigger", write(folder, "a.json", content), "--to", "1", env=ENV)
        assert (result.code, result.out) == (ExitCode.STORE, "")
        assert words in result.err
        assert "hint: " in result.err


def test_error_about_an_invalid_action_on_stdin_shows_stdin(run: Run) -> None:
    result = run("trigger", "-", "--to", "1", stdin=b"{}", env=ENV)
    assert result.code == ExitCode.STORE
    assert result.err.startswith("error: stdin ")


def test_trigger_rejects_an_invalid_document_without_quoting_its_values(run: Run, folder: Path) -> None:
    for option, content, words in (
        ("--input=@", "[1]", "d is not an object"),
        ("--input=@", "a: [", "d is neither JSON nor YAML"),
        ("--with=entity=", '{"title": "a"}', "d is not an entity: it has no `identifier`"),
        ("--with=event=", "7", "d is not an object"),
        ("--with=user=", '"me"', "d is not an object"),
        ("--with=secrets=", '{"a": {"b": "s3cret"}}', "d contains a, which is not a string"),
        ("--with=secrets=", "=s3cret\n", "d is neither JSON nor a .env file: line 1"),
    ):
        result = run("trigger", CREATE_VM, "--to", "1", option + write(folder, "d", content), env=ENV)
        assert (result.code, result.out) == (ExitCode.STORE, "")
        assert words in result.err
        assert "s3cret" not in result.err


def test_trigger_rejects_contradictory_options(run: Run) -> None:
    for args, words in (
        (("--to", "ftp://x"), "--to"),
        (("--route", "create_vm"), "is not ACTION=URL"),
        (("--input", "title"), "is not NAME=VALUE"),
        (("--run-id", "a/b"), "not a run ID"),
        (("--json", "--format", "curl"), ", not both."),
        (("--wait", "3"), "--wait follows the run in a sandbox on this machine"),
        (("--via-port", "--to", "1"), "--to has no effect"),
        (("--input", "@-", "--secret-file", "-"), "The inputs and the secret cannot both use stdin"),
        (("--with", "user=-", "--with", "entity=-"), "The user and the entity cannot both use stdin"),
        (("--with", "users=u.json"), "NAME is entity, event, user, secrets or outputs"),
        (("--with", "user"), "--with user has no file"),
        (("--with", "user=a.json", "--with", "user=b.json"), "--with sets user twice"),
        (("--via-port", "--with", "event=e.json"), "--with event has no effect"),
    ):
        result = run("trigger", CREATE_VM, *args, env=ENV)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert words in result.err


def test_trigger_writes_the_request_in_a_format(run: Run) -> None:
    for name in ("headers", "python"):
        result = run("trigger", CREATE_VM, "--to", "8000/x", "--input", "title=a", "--format", name, env=ENV)
        assert (result.code, result.err) == (0, "")
        assert "x-port-signature" in result.out
        assert name == "headers" or "127.0.0.1" in result.out


def test_trigger_suggests_replay_for_a_file_without_a_definition(run: Run, folder: Path) -> None:
    for content, what in (
        (create_vm(RUN_ID, at="x"), "has no `identifier`."),
        (to_capture(a_capture()), "is a capture, not an action or a workflow."),
        ("POST / HTTP/1.1\n\n{}", "is an HTTP request, not an action or a workflow."),
    ):
        name = write(folder, "my file.json", content)
        result = run("trigger", name, "--to", "1", env=ENV)
        assert result.code == ExitCode.STORE
        assert result.err.startswith(f"error: my file.json {what}\n")
        assert "with `port-hook replay 'my file.json' --to URL`" in result.err


# --- Port -----------------------------------------------------------------------------------------------------------


def test_trigger_reads_an_action_from_port_by_its_identifier(run: Run, receiver: Handler) -> None:
    with a_sandbox(actions=[an_action()]) as sandbox:
        args = ("trigger", "create_vm", "--to", receiver.url, "--input", "title=a")
        assert run(*args, env=environ_of(sandbox)).code == 0
        unknown = run("trigger", "nothing", "--to", receiver.url, env=environ_of(sandbox))
    assert sent(receiver)[1]["action"] == "create_vm"
    assert unknown.code == ExitCode.PORT_API
    assert "Port has no action, automation or workflow nothing" in unknown.err


def test_trigger_via_port_starts_a_run_and_follows_it(run: Run, receiver: Handler) -> None:
    with a_sandbox(actions=[an_action(url=receiver.url, synchronized=True)]) as sandbox:
        args = ("trigger", "create_vm", "--via-port", "--wait", "20", "--input", "title=a", "--input", "cpu=4")
        result = run(*args, env=environ_of(sandbox))
        (record,) = run(*args, "--json", env=environ_of(sandbox)).records
    assert result.code == 0
    first, *_, last = [line for line in result.out.splitlines() if line.startswith("r_")]
    assert first.endswith("IN_PROGRESS")
    assert "SUCCESS" in last
    assert json.loads(receiver.requests[0].body)["payload"]["properties"] == {"title": "a", "cpu": 4}
    assert (record["type"], record["status"]) == ("run", "SUCCESS")


def test_trigger_via_port_starts_the_run_of_an_integration(run: Run, folder: Path) -> None:
    method = {"type": "INTEGRATION_ACTION", "installationId": "mine", "integrationActionType": "dispatch_workflow"}
    action = {**create_vm_action(), "invocationMethod": method}
    with a_sandbox(actions=[action]) as sandbox:
        result = run("trigger", "create_vm", "--via-port", "--input", "title=a", env=environ_of(sandbox))
    assert (result.code, result.err.count("error:")) == (0, 0)
    assert "IN_PROGRESS" in result.out
    assert f"hint: Run `port-hook runs {result.out.split()[0]} --watch` to follow the run." in result.err
    refused = run("trigger", write(folder, "a.json", action), "--to", "1", "--input", "title=a", env=ENV)
    assert refused.code == ExitCode.STORE
    assert "hint: Start the run with --via-port" in refused.err
    assert "only a WEBHOOK sends a request" in refused.err


def test_trigger_via_port_exits_1_when_the_run_fails_or_does_not_end(run: Run) -> None:
    with handler(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n") as receiver:
        actions = [
            an_action(url=receiver.url, synchronized=True),
            {**an_action(url=receiver.url), "identifier": "slow"},
        ]
        with a_sandbox(actions=actions) as sandbox:
            environ = environ_of(sandbox)
            failed = run("trigger", "create_vm", "--via-port", "--wait", "20", "--input", "title=a", env=environ)
            slow = run("trigger", "slow", "--via-port", "--wait", "0.1", "--input", "title=a", env=environ)
            started = run("trigger", "slow", "--via-port", "--input", "title=a", env=environ)
    assert failed.code == ExitCode.FAILED
    assert "FAILURE" in failed.out
    assert slow.code == ExitCode.FAILED
    assert "did not end within 0.1 s" in slow.err
    assert started.code == 0


def test_trigger_via_port_errors_never_contain_an_encrypted_input(run: Run, folder: Path) -> None:
    action = an_action()
    action["trigger"]["userInputs"]["properties"]["key"] = {"type": "string", "encryption": "aes256-gcm"}
    write(folder, "a.json", action)
    inputs = write(folder, "i.json", {"title": "a", "key": LONG})
    # An API that rejects every request, and quotes the request.
    body = json.dumps({"ok": False, "error": "invalid", "message": f"{LONG} is too long"}).encode()
    with handler(b"HTTP/1.1 422 No\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)) as api:
        environ = {**ENV, "PORT_CLIENT_ID": "id", "PORT_API_URL": api.url}
        result = run("trigger", "a.json", "--via-port", "--input", f"@{inputs}", env=environ)
    assert result.code == ExitCode.PORT_API
    assert "*** is too long" in result.err
    assert LONG not in result.err


def test_trigger_via_port_rejects_an_automation(run: Run) -> None:
    result = run("trigger", TIER, "--via-port", env=ENV)
    assert result.code == ExitCode.USAGE
    assert "started by its event" in result.err


# --- directories ----------------------------------------------------------------------------------------------------


def test_trigger_sends_the_only_action_in_a_directory(run: Run, folder: Path, receiver: Handler) -> None:
    (folder / "actions").mkdir()
    write(folder / "actions", "vm.json", create_vm_action())
    write(folder / "actions", "notes.txt", "not an action")
    for number, name in enumerate(("actions/", "./actions", "actions#create_vm"), 1):
        result = run("trigger", name, "--to", receiver.url, "--input", "title=x", env=ENV)
        assert (result.code, len(receiver.requests)) == (0, number)


def test_trigger_error_shows_the_directory_without_the_action(run: Run) -> None:
    for name, words in (
        (f"{EXAMPLES}/actions", f".\nhint: Choose one, such as {EXAMPLES}/actions#create_vm.\n"),
        (f"{EXAMPLES}/actions/", f".\nhint: Choose one, such as {EXAMPLES}/actions#create_vm.\n"),
        (f"{EXAMPLES}/actions", "has 3 actions: create_vm, scale_service, "),
        (f"{EXAMPLES}/actions#nope", "has 3 actions, but not nope"),
        (str(EXAMPLES / "express" / "..") + "#nope", "contains no .json, .yaml or .yml file"),
    ):
        result = run("trigger", name, "--to", "1", env=ENV)
        assert result.code == ExitCode.STORE
        assert words in result.err


def test_trigger_converts_an_action_in_the_old_format_and_prints_a_note(
    run: Run, receiver: Handler, folder: Path
) -> None:
    old = {
        "identifier": "create_bucket",
        "userInputs": {"properties": {"name": {"type": "string"}}, "required": ["name"]},
        "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
        "trigger": "CREATE",
    }
    write(folder, "old.json", old)
    result = run("trigger", "old.json", "--to", receiver.url, "--input", "name=logs", env=ENV)
    assert (result.code, result.err) == (0, "note: create_bucket is in the format before version 2 and was converted\n")
    _, document = sent(receiver)
    assert document["payload"]["action"]["trigger"] == "CREATE"
    assert document["payload"]["properties"] == {"name": "logs"}


def test_trigger_sends_the_action_and_inputs_of_the_run_to_the_sandbox(run: Run, receiver: Handler) -> None:
    with a_sandbox() as sandbox:
        inputs = ("--input", "title=dev-env", "--input", "cpu=2")
        result = run("trigger", CREATE_VM, "--to", receiver.url, "--run-id", RUN_ID, *inputs, env=environ_of(sandbox))
        made_up = sandbox.runs[RUN_ID]
    assert (result.code, result.err) == (0, "")
    assert (made_up.made_up, made_up.start.action) == (True, "create_vm")
    assert made_up.start.properties.items() >= {"title": "dev-env", "cpu": 2}.items()


@pytest.mark.parametrize(("line", "status"), [(b"200 OK", "SUCCESS"), (b"500 No", "FAILURE")])
def test_response_ends_a_synchronized_run_in_the_sandbox(run: Run, folder: Path, line: bytes, status: str) -> None:
    action = write(folder, "sync.json", an_action(synchronized=True))
    with a_sandbox() as sandbox, handler(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % line) as it:
        run("trigger", action, "--to", it.url, "--run-id", RUN_ID, "--input", "title=a", env=environ_of(sandbox))
        assert sandbox.runs[RUN_ID].report.status == status
