from __future__ import annotations

from pathlib import Path

import pytest

from port_hook_cli.commands.defaults import variable_names
from port_hook_cli.core.signing import sign
from port_hook_cli.errors import ExitCode
from tests.conftest import Run
from tests.factories import SECRET

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


def signed_with(secret: str, timestamp: str) -> str:
    return sign(b"{}", type(SECRET)(secret), timestamp)


def test_a_variable_sets_the_default_of_an_option(run: Run) -> None:
    result = run("sign", "-", stdin=b"{}", env={**ENV, "PORT_HOOK_SIGN_TIMESTAMP": "17"})
    assert signed_with(SECRET.reveal(), "17") in result.out


def test_an_option_beats_its_variable(run: Run) -> None:
    result = run("sign", "-", "--timestamp", "18", stdin=b"{}", env={**ENV, "PORT_HOOK_SIGN_TIMESTAMP": "17"})
    assert "x-port-timestamp: 18" in result.out


def test_a_switch_is_turned_on_by_a_word_for_yes(run: Run) -> None:
    assert run("sign", "-", stdin=b"no json", env={**ENV, "PORT_HOOK_SIGN_RAW": "1"}).code == 0
    assert run("sign", "-", stdin=b"no json", env={**ENV, "PORT_HOOK_SIGN_RAW": "false"}).code == ExitCode.USAGE


def test_an_empty_variable_sets_nothing(run: Run) -> None:
    assert run("sign", "-", stdin=b"{}", env={**ENV, "PORT_HOOK_SIGN_FORMAT": ""}).code == 0


def test_a_shared_option_has_a_short_name_which_the_full_one_beats(run: Run, folder: Path) -> None:
    (folder / "a").write_text("secret-a")
    (folder / "b").write_text("secret-b")
    env = {"PORT_HOOK_SECRET_FILE": "a", "PORT_HOOK_SIGN_TIMESTAMP": "17"}
    assert signed_with("secret-a", "17") in run("sign", "-", stdin=b"{}", env=env).out
    env["PORT_HOOK_SIGN_SECRET_FILE"] = "b"
    assert signed_with("secret-b", "17") in run("sign", "-", stdin=b"{}", env=env).out


def test_dotenv_files_set_defaults_too_the_environment_before_the_folder_before_home(run: Run, folder: Path) -> None:
    home = folder.parent / "home" / ".port"
    home.mkdir()
    (home / ".env").write_text("PORT_HOOK_SIGN_TIMESTAMP=1\n")
    assert "x-port-timestamp: 1\n" in run("sign", "-", stdin=b"{}", env=ENV).out
    (folder / ".env").write_text("PORT_HOOK_SIGN_TIMESTAMP=2\n")
    assert "x-port-timestamp: 2\n" in run("sign", "-", stdin=b"{}", env=ENV).out
    assert "x-port-timestamp: 3\n" in run("sign", "-", stdin=b"{}", env={**ENV, "PORT_HOOK_SIGN_TIMESTAMP": "3"}).out


def test_a_wrong_value_is_refused_by_the_variables_name(run: Run) -> None:
    result = run("sign", "-", stdin=b"{}", env={**ENV, "PORT_HOOK_SIGN_FORMAT": "xml"})
    assert result.code == ExitCode.USAGE
    assert "Invalid value for PORT_HOOK_SIGN_FORMAT: 'xml' is not one of 'headers'" in result.err


def test_a_wrong_value_on_the_command_line_is_refused_by_the_options_name(run: Run) -> None:
    result = run("sign", "-", "--format", "xml", stdin=b"{}", env={**ENV, "PORT_HOOK_SIGN_FORMAT": "xml"})
    assert "Invalid value for '--format'" in result.err


def test_an_argument_has_no_variable(run: Run) -> None:
    assert run("sign", env={**ENV, "PORT_HOOK_SIGN_PAYLOAD": "-"}, stdin=b"{}").code == ExitCode.USAGE


def test_a_dotenv_file_that_cannot_be_read_does_not_break_the_help(run: Run, folder: Path) -> None:
    (folder / ".env").write_bytes(b"PORT_HOOK_SIGN_FORMAT=\xff")
    assert run("sign", "--help").code == 0


def test_an_option_that_repeats_takes_several_words(run: Run) -> None:
    env = {"PORT_HOOK_LISTEN_ROUTE": "buy_boat=9000 nonsense"}
    result = run("listen", "--no-verify", env=env)
    assert result.code == ExitCode.USAGE
    assert "nonsense" in result.err
    assert "buy_boat" not in result.err


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("listen", "forward-to", ("PORT_HOOK_LISTEN_FORWARD_TO",)),
        ("report-run", "org", ("PORT_HOOK_REPORT_RUN_ORG", "PORT_HOOK_ORG")),
        ("verify", "tolerance", ("PORT_HOOK_VERIFY_TOLERANCE", "PORT_HOOK_TOLERANCE")),
    ],
)
def test_variables_are_named_after_command_and_option(command: str, option: str, names: tuple[str, ...]) -> None:
    assert variable_names(command, option) == names
