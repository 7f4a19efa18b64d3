from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import sign
from tests.cli.folder_options import parameters, told, valued, variables, words
from tests.conftest import Run
from tests.factories import SECRET

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


# --- .env files -----------------------------------------------------------------------------------------------------

LISTEN = ("listen", "--port", "0", "--tunnel", "none", "--stop-after", "0", "--verify", "off")


def test_dotenv_file_sets_no_option(runtime: Callable[..., Runtime], folder: Path) -> None:
    home = folder.parent / "home" / ".port"
    home.mkdir()
    for command in COMMANDS:
        expected = parameters(command, runtime())
        items = [(option, value) for option, _, value in valued(command) if (command, option) != ("listen", "verify")]
        names = {name: value for option, value in items for name in variables(command, option)}
        for file, name in ((folder / ".env", "./.env"), (home / ".env", home / ".env")):
            file.write_text("".join(f"{name}={value}\n" for name, value in names.items()))
            world = runtime()
            assert parameters(command, world) == expected
            notes = re.findall(
                rf"note: port-hook ignores (\S+) in {re.escape(str(name))}\. Set it in .*\n", told(world)
            )
            assert (sorted(notes), told(world).count("\n")) == (sorted(names), len(names)), command
            file.unlink()


def test_environment_sets_every_option(runtime: Callable[..., Runtime]) -> None:
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


def test_variable_in_a_dotenv_file_is_reported_with_the_places_that_can_set_it(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("PORT_HOOK_LISTEN_PORT=1\nPORT_HOOK_STORE=/tmp/x.db\nPORT_HOOK_SIGN_TO=9\n")
    result = run(*LISTEN)
    assert result.code == 0
    assert [line for line in result.err.splitlines() if ".env" in line] == [
        "note: port-hook ignores PORT_HOOK_LISTEN_PORT in ./.env. Set it in the environment or in port-hook.toml",
        "note: port-hook ignores PORT_HOOK_STORE in ./.env. Set it in the environment",
    ]


def test_variable_in_a_dotenv_file_is_not_reported_in_help_or_when_the_environment_has_it(
    run: Run, folder: Path
) -> None:
    (folder / ".env").write_text("PORT_HOOK_EXPORT_TO=9\n")
    assert run("export", "-", stdin=b"{}", env={**ENV, "PORT_HOOK_EXPORT_TO": "8"}).err == ""
    assert run("export", "--help").err == ""


def test_dotenv_file_can_only_make_verification_strict(run: Run, folder: Path) -> None:
    home = folder.parent / "home" / ".port"
    home.mkdir()
    strict = "Only signatures over the raw body are accepted (--verify strict)"
    for project, is_strict in (("strict", True), ("on", False), ("warn", False), ("off", False), ("\xff", False)):
        (folder / ".env").write_text(f"PORT_HOOK_LISTEN_VERIFY={project}\n", "latin-1")
        told = run(*LISTEN[:-2], env=ENV).err
        assert (strict in told, "--verify" in told) == (is_strict, is_strict)
        (home / ".env").write_text("PORT_HOOK_LISTEN_VERIFY=strict\n")
        assert strict in run(*LISTEN[:-2], env=ENV).err
        (home / ".env").unlink()
    (folder / ".env").write_text("PORT_HOOK_LISTEN_VERIFY=strict\n")
    assert strict not in run(*LISTEN[:-2], env={**ENV, "PORT_HOOK_LISTEN_VERIFY": "on"}).err
