from __future__ import annotations

from pathlib import Path

from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run

CREATE_VM = str(Path(__file__).parents[2] / "examples" / "actions" / "create_vm.json")


def test_invalid_command_line_prints_one_error_and_one_hint(run: Run) -> None:
    for line, error, hint in (
        ("listen --port abc", "Invalid value for --port: 'abc' is not a whole number.", "listen --help"),
        ("listen --port 99999", "Invalid value for --port: 99999 is not from 0 to 65535.", "listen --help"),
        ("inspect --port 99999", "Invalid value for --port: 99999 is not from 0 to 65535.", "inspect --help"),
        ("listen --delay x", "Invalid value for --delay: 'x' is not a number.", "listen --help"),
        ("listen --delay inf", "Invalid value for --delay: inf is not a number of seconds.", "listen --help"),
        ("listen --tolerance nan", "Invalid value for --tolerance: nan is not a number of seconds.", "listen --help"),
        ("replay x --timeout inf", "Invalid value for --timeout: inf is not a number of seconds.", "replay --help"),
        ("replay x --times 0", "Invalid value for --times: 0 is not from 1 to 1000000.", "replay --help"),
        (
            "trigger x --timestamp-unit y",
            "Invalid value for --timestamp-unit: 'y' is not one of 's', 'ms'.",
            "trigger --help",
        ),
        ("encrypt", "Missing argument VALUE|FILE|-.", "encrypt --help"),
        ("listen --compact=1", "--compact does not take a value.", "listen --help"),
        ("replay x --times", "--times needs a value.", "replay --help"),
        ("--profile", "--profile needs a value.", "port-hook --help"),
        ("sandbox --foo", "Unknown option: --foo.", "sandbox --help"),
        ("replai", "Unknown command: replai.", "port-hook --help"),
    ):
        result = run(*line.split())
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        first, second = result.err.splitlines()
        assert first == f"error: {error}"
        assert second.startswith("hint: ")
        assert second.endswith(f"{hint}` for usage.")


def test_control_character_of_the_command_line_is_escaped(run: Run) -> None:
    result = run("demo", "a\x1b[2Jb\nhint: c")
    assert "\x1b" not in result.err
    assert result.err.count("\nhint: ") == 1


def test_second_target_is_rejected(run: Run) -> None:
    for line in (
        "listen --forward-to 8000 --forward-to 8001",
        "listen --forward-to=8000 --port 0 --forward-to=8001",
        "replay last --to 1 --to 2",
        "trigger x --to 1 --to 2",
    ):
        result = run(*line.split())
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert " is used more than once." in result.err


def test_target_option_overrides_the_environment(run: Run) -> None:
    env = {"PORT_CLIENT_SECRET": "x", "PORT_HOOK_REPLAY_TO": "1"}
    assert run("replay", "-", "--to", "2", "--dry-run", stdin=b"{}", env=env).code == 0


README = "# Title\n\n```sh\nmake\n```\n"


def test_error_about_invalid_json_has_no_library_message(run: Run, folder: Path) -> None:
    for line, error in (
        ("sign README.md", "README.md is not JSON: unexpected text at line 1, column 1."),
        (
            "replay README.md --to 1",
            "README.md is neither a payload nor a capture file: unexpected text at line 1, column 1.",
        ),
        (
            "trigger README.md --to 1",
            "README.md is neither JSON nor YAML: found character '`' that cannot start any token (line 3, column 1).",
        ),
        ("render {{.}} --data README.md", "README.md is not JSON: unexpected text at line 1, column 1."),
    ):
        (folder / "README.md").write_text(README)
        result = run(*line.split(), env={"PORT_CLIENT_SECRET": "x"})
        assert result.err.startswith(f"error: {error}")


def test_error_about_an_input_does_not_mention_defaults_computed_from_it(run: Run) -> None:
    for value in ("abc", "3"):
        inputs = ("--input", "title=x", "--input", f"cpu={value}")
        result = run("trigger", CREATE_VM, "--dry-run", "--no-sign", *inputs)
        assert result.code == ExitCode.USAGE
        assert "  cpu must be " in result.err
        assert "memory" not in result.err


def test_empty_value_is_reported_with_a_hint_about_unset_variables(run: Run) -> None:
    for command, error in (
        (("verify", ""), "A capture's name is empty."),
        (("show", ""), "A capture's name is empty."),
        (("sign", ""), "The name of a file is empty."),
        (("trigger", "", "--to", "8000"), "The name of a file is empty."),
        (("report-run", "", "--log", "done"), "The run ID is empty."),
        (("doctor", "--to", " "), "--to: the target is empty."),
        (("listen", "--only", "a", "--only="), "The value of --only is empty."),
        (("--profile", "", "captures"), "The value of --profile is empty."),
        (("restore", "create_vm", ""), "The name of an action is empty."),
        (("replay", CREATE_VM, "--to", " "), "--to: the target is empty."),
    ):
        result = run(*command, env={"PORT_CLIENT_SECRET": "secret"})
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert result.err == f"error: {error}\nhint: Check whether a shell variable is unset.\n"


def test_help_is_shown_despite_an_empty_value(run: Run) -> None:
    result = run("listen", "--forward-to", "", "--help")
    assert (result.code, result.err) == (ExitCode.OK, "")
    assert result.out.startswith("Usage: port-hook listen")


def test_stdin_can_be_used_only_once(run: Run) -> None:
    for line in (
        "port-agent - --mapping -",
        "decrypt - --private-key -",
        "decrypt - --secret-file -",
        "encrypt - --public-key -",
        "render - --data -",
        "replay - --to 1 --secret-file -",
        "report-run r_QOz6WoOB1Q2lmhZZ --log-file - --secret-file -",
        "report-run r_QOz6WoOB1Q2lmhZZ --secret-file - -- true",
        "sign - --secret-file -",
        "trigger x.json --input @- --secret-file -",
        "verify - --secret-file -",
        "verify --body - --signature s --timestamp 1 --secret-file -",
    ):
        result = run(*line.split(), stdin=b"{}")
        assert (result.code, result.out, "cannot both use stdin." in result.err) == (ExitCode.USAGE, "", True), line
