from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.app import COMMANDS
from port_hook_cli.cli.defaults import default_map
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import sign
from tests.cli.folder_options import (
    ANY,
    FOLDER_OPTIONS,
    is_listed,
    parameters,
    require_listed,
    told,
    valued,
    variables,
    words,
)
from tests.conftest import Run
from tests.factories import SECRET
from tests.options import options

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


def signed_with(secret: str, timestamp: str) -> str:
    return sign(b"{}", type(SECRET)(secret), timestamp)


def test_flag_is_set_by_a_true_environment_variable(run: Run) -> None:
    assert run("sign", "-", stdin=b"no json", env={**ENV, "PORT_HOOK_SIGN_RAW": "1"}).code == 0
    assert run("sign", "-", stdin=b"no json", env={**ENV, "PORT_HOOK_SIGN_RAW": "false"}).code == ExitCode.STORE


def test_empty_environment_variable_is_ignored(run: Run) -> None:
    assert run("sign", "-", stdin=b"{}", env={**ENV, "PORT_HOOK_SIGN_TIMESTAMP": ""}).code == 0


def test_variable_of_a_command_overrides_the_shared_variable(run: Run, folder: Path) -> None:
    (folder / "a").write_text("secret-a")
    (folder / "b").write_text("secret-b")
    env = {"PORT_HOOK_SECRET_FILE": "a", "PORT_HOOK_SIGN_TIMESTAMP": "17"}
    assert signed_with("secret-a", "17") in run("sign", "-", stdin=b"{}", env=env).out
    env["PORT_HOOK_SIGN_SECRET_FILE"] = "b"
    assert signed_with("secret-b", "17") in run("sign", "-", stdin=b"{}", env=env).out


def test_defaults_come_from_the_environment_then_the_current_directory_then_the_home(run: Run, folder: Path) -> None:
    home = folder.parent / "home" / ".port"
    home.mkdir()
    (home / ".env").write_text("PORT_HOOK_TRIGGER_TIMESTAMP_UNIT=ms\n")
    triggered = ("trigger", "--dry-run", "--json", "--input", "title=a", "create_vm.json")
    (folder / "create_vm.json").write_text(json.dumps(create_vm_action()))
    lengths = [len(run(*triggered, env=ENV).records[0]["headers"]["x-port-timestamp"])]
    (folder / ".env").write_text("PORT_HOOK_TRIGGER_TIMESTAMP_UNIT=s\n")
    lengths.append(len(run(*triggered, env=ENV).records[0]["headers"]["x-port-timestamp"]))
    exported = {**ENV, "PORT_HOOK_TRIGGER_TIMESTAMP_UNIT": "ms"}
    lengths.append(len(run(*triggered, env=exported).records[0]["headers"]["x-port-timestamp"]))
    assert lengths == [13, 10, 13]


def test_invalid_value_of_a_variable_is_rejected_with_its_name(run: Run) -> None:
    result = run("export", env={"PORT_HOOK_EXPORT_FORMAT": "xml"})
    assert result.code == ExitCode.USAGE
    assert "Invalid value for PORT_HOOK_EXPORT_FORMAT: 'xml' is not one of 'curl'" in result.err


def test_help_works_when_a_dotenv_file_cannot_be_read(run: Run, folder: Path) -> None:
    (folder / ".env").write_bytes(b"PORT_HOOK_SIGN_JSON=\xff")
    assert run("sign", "--help").code == 0


def test_variable_of_a_repeatable_option_has_values_separated_by_spaces(run: Run) -> None:
    env = {"PORT_HOOK_LISTEN_ROUTE": "buy_boat=9000 nonsense"}
    result = run("listen", "--verify", "off", env=env)
    assert result.code == ExitCode.USAGE
    assert "nonsense" in result.err
    assert "buy_boat" not in result.err


# --- the .env of the current directory ------------------------------------------------------------------------------

LISTEN = ("listen", "--port", "0", "--tunnel", "none", "--stop-after", "0", "--verify", "off")


def test_dotenv_file_sets_each_listed_option(runtime: Callable[..., Runtime], folder: Path) -> None:
    for command in FOLDER_OPTIONS:
        listed = [(option, *rest) for option, *rest in valued(command) if is_listed(command, option)]
        assert {option for option, *_ in listed} == set(FOLDER_OPTIONS[command])
        lines = [f"{variables(command, option)[0]}={value}\n" for option, _, value in listed]
        (folder / ".env").write_text("".join(lines))
        world = runtime()
        expected = parameters(command, runtime(), *(word for item in listed for word in words(*item)))
        assert parameters(command, world) == expected
        assert told(world) == ""


def test_dotenv_file_cannot_exceed_the_listed_limits(runtime: Callable[..., Runtime], folder: Path) -> None:
    limits = [
        (command, option, least, most)
        for command, listed in FOLDER_OPTIONS.items()
        for option, (least, most) in listed.items()
        if (least, most) != ANY
    ]
    assert limits
    for command, option, least, most in limits:
        [variable, *_] = variables(command, option)
        for value, is_used in ((least, True), (most, True), (least - 1, False), (most + 1, False)):
            (folder / ".env").write_text(f"{variable}={value}\n")
            found = default_map(command, options(command), runtime())
            assert list(found.values()) == ([str(value)] if is_used else []), (command, option, value)


def test_dotenv_file_cannot_set_an_unlisted_option(runtime: Callable[..., Runtime], folder: Path) -> None:
    refused = 0
    for command in COMMANDS:
        require_listed(command)
        unlisted = [(option, *rest) for option, *rest in valued(command) if not is_listed(command, option)]
        (folder / ".env").unlink(missing_ok=True)
        expected = parameters(command, runtime())
        names = {name: value for option, _, value in unlisted for name in variables(command, option)}
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in names.items()))
        world = runtime()
        assert parameters(command, world) == expected
        warning = re.fullmatch(r"warning: ignored in \./\.env: (.*)\. A project's file can .*\n|", told(world))
        assert warning, command
        assert set((warning[1] or "").split(", ")) - {""} == names.keys()
        refused += len(names)
    assert refused > 200


def test_environment_and_home_env_file_set_every_option(runtime: Callable[..., Runtime], folder: Path) -> None:
    home = folder.parent / "home" / ".port"
    home.mkdir()
    for command in COMMANDS:
        items = [*valued(command)]
        default = parameters(command, runtime())
        expected = parameters(command, runtime(), *(word for item in items for word in words(*item)))
        assert [option for option, it, _ in items if expected[it.name] == default[it.name]] == []
        own = {variables(command, option)[0]: value for option, _, value in items}
        assert parameters(command, runtime(env=own)) == expected, command
        for option, parameter, value in items:
            for name in variables(command, option)[1:]:
                found = parameters(command, runtime(env={name: value}))
                assert found == {**default, parameter.name: expected[parameter.name]}, name
        (home / ".env").write_text("".join(f"{variables(command, option)[-1]}={value}\n" for option, _, value in items))
        assert parameters(command, runtime()) == expected, command
        (home / ".env").unlink()


def test_ignored_variable_is_reported_in_one_line_and_the_command_continues(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("PORT_HOOK_LISTEN_HOST=0.0.0.0\nPORT_HOOK_STORE=/tmp/x.db\nPORT_HOOK_SIGN_TO=9\n")
    result = run(*LISTEN)
    assert result.code == 0
    assert "Listening on  http://127.0.0.1:" in result.err
    ignored = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    names = "PORT_HOOK_LISTEN_HOST, PORT_HOOK_STORE"
    advice = "A project's file can set only harmless options. To use the variable, export it"
    assert ignored == [f"warning: ignored in ./.env: {names}. {advice}"]


def test_variable_overridden_by_the_command_line_or_the_environment_is_not_reported(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("PORT_HOOK_EXPORT_TO=9\n")
    assert run("export", "-", "--to", "8", stdin=b"{}", env=ENV).err == ""
    assert run("export", "-", "--to=8", stdin=b"{}", env=ENV).err == ""
    assert run("export", "-", stdin=b"{}", env={**ENV, "PORT_HOOK_EXPORT_TO": "8"}).err == ""
    assert run("export", "--help").err == ""
    assert "PORT_HOOK_EXPORT_TO" in run("export", "-", stdin=b"{}", env=ENV).err


def test_dotenv_file_can_tighten_but_not_loosen_a_limit(run: Run, folder: Path) -> None:
    for value, used in (("10", True), ("301", False), ("nan", False)):
        (folder / ".env").write_text(f"PORT_HOOK_LISTEN_TOLERANCE={value}\n")
        result = run(*LISTEN[:-2], env=ENV)
        assert f"timestamps within {value if used else '300'} s" in result.err
        assert ("warning: ignored" in result.err) is not used


def test_dotenv_file_can_turn_a_check_on_but_not_off(run: Run, folder: Path) -> None:
    home = folder.parent / "home" / ".port"
    home.mkdir()
    (home / ".env").write_text("PORT_HOOK_LISTEN_VERIFY=strict\n")
    (folder / ".env").write_text("PORT_HOOK_LISTEN_VERIFY=on\n")
    assert "Only signatures over the raw body are accepted (--verify strict)" in run(*LISTEN[:-2], env=ENV).err
    (home / ".env").unlink()
    (folder / ".env").write_text("PORT_HOOK_LISTEN_VERIFY=strict\n")
    assert "Only signatures over the raw body are accepted (--verify strict)" in run(*LISTEN[:-2], env=ENV).err


def test_environment_overrides_the_dotenv_file_for_both_names_of_a_variable(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("PORT_HOOK_LISTEN_TOLERANCE=200\n")
    assert "timestamps within 9 s" in run(*LISTEN[:-2], env={**ENV, "PORT_HOOK_TOLERANCE": "9"}).err


def test_home_dotenv_file_is_read_when_the_current_directorys_file_is_unreadable(run: Run, folder: Path) -> None:
    home = folder.parent / "home" / ".port"
    home.mkdir()
    (home / ".env").write_text("PORT_HOOK_SIGN_JSON=1\n")
    (folder / ".env").write_bytes(b"PORT_HOOK_SIGN_JSON=\xff")
    (record,) = run("sign", "-", stdin=b"{}", env=ENV).records
    assert (record["schema"], record["form"]) == ("port-hook/signature/1", "json-stringify")
