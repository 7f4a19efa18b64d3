"""`port-hook.toml` and `[tool.port-hook]` in the current directory: what they can set, what they cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.defaults import variable_names
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.project_defaults import ProjectDefaults, project_defaults
from port_hook_cli.errors import SettingsError
from port_hook_cli.invocations.handlers import Handler
from port_hook_cli.invocations.targets import parse_target
from port_hook_cli.runtime import Runtime, system_runtime
from tests.cli.folder_options import (
    ANY,
    FOLDER_OPTIONS,
    HANDLER_OPTIONS,
    is_listed,
    parameters,
    require_listed,
    told,
    valued,
    words,
)
from tests.conftest import Run
from tests.factories import SECRET, a_capture, an_invocation
from tests.options import options
from tests.stores import keep

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
EXPORT = ("export", "-")
LISTEN = ("listen", "--port", "0", "--tunnel", "none", "--stop-after", "0", "--verify", "off")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")


def write(folder: Path, text: str, name: str = "port-hook.toml") -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)


def test_pyproject_table_sets_the_default_of_an_option(run: Run, folder: Path) -> None:
    write(folder, '[tool.port-hook.export]\nformat = "har"\n', "pyproject.toml")
    result = run(*EXPORT, stdin=b"{}", env=ENV)
    assert "startedDateTime" in result.out
    assert result.err == "note: from [tool.port-hook] in ./pyproject.toml: --format har\n"
    write(folder, '[export]\nformat = "headers"\n')  # port-hook.toml comes first
    assert run(*EXPORT, stdin=b"{}", env=ENV).out.startswith("x-port-signature: ")


def test_pyproject_of_another_tool_changes_nothing(run: Run, folder: Path) -> None:
    for text in (
        "not = [toml",
        '[project]\nname = "port-hook"\n',
        "[tool.other]\nport-hook = 1\n",
        "port-hook = [broken",
    ):
        write(folder, text, "pyproject.toml")
        result = run(*EXPORT, stdin=b"{}", env=ENV)
        assert (result.code, result.err) == (ExitCode.OK, "")


def test_invalid_pyproject_is_an_error_if_it_has_the_table(run: Run, folder: Path) -> None:
    write(folder, "[tool.port-hook.export]\nformat = [broken", "pyproject.toml")
    result = run(*EXPORT, stdin=b"{}", env=ENV)
    assert result.code == ExitCode.SETTINGS
    assert "./pyproject.toml is invalid TOML" in result.err


def test_project_file_comes_after_command_line_and_environment(run: Run, folder: Path) -> None:
    write(folder, '[export]\nformat = "har"\n')
    assert "startedDateTime" in run(*EXPORT, stdin=b"{}", env=ENV).out
    shown = run(*EXPORT, stdin=b"{}", env={**ENV, "PORT_HOOK_EXPORT_FORMAT": "curl"})
    assert ("curl --request POST" in shown.out, shown.err) == (True, "")
    shown = run(*EXPORT, "--format", "curl", stdin=b"{}", env=ENV)
    assert ("curl --request POST" in shown.out, shown.err) == (True, "")


PROFILES = '[export]\nformat = "headers"\n[profiles.staging.export]\nformat = "har"\n[profiles."other one".listen]\n'


def test_profile_overrides_the_table_of_the_command(run: Run, folder: Path) -> None:
    write(folder, PROFILES)
    result = run("--profile", "staging", *EXPORT, stdin=b"{}", env=ENV)
    assert "startedDateTime" in result.out
    assert result.err == "note: from ./port-hook.toml (profile staging): --format har\n"
    assert run("--profile=other one", *EXPORT, stdin=b"{}", env=ENV).out.startswith("x-port-signature: ")


def test_unknown_profile_is_rejected_with_the_list_of_profiles(run: Run, folder: Path) -> None:
    result = run("--profile", "staging", *EXPORT, stdin=b"{}", env=ENV)
    assert result.code == ExitCode.USAGE
    assert "Profile not found: 'staging'. The current directory has no port-hook.toml." in result.err
    write(folder, PROFILES)
    result = run("--profile", "prod", *EXPORT, stdin=b"{}", env=ENV)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "Profile not found in ./port-hook.toml: 'prod'." in result.err
    assert "hint: Its profiles: staging, other one." in result.err


def test_profile_can_undo_a_switch_of_the_file_and_not_of_the_environment(run: Run, folder: Path) -> None:
    write(folder, "[show]\njson = true\n[listen]\njson = true\n[profiles.text.listen]\njson = false\n")
    assert run(*LISTEN).records
    assert run("--profile", "text", *LISTEN).out == ""
    assert run("--profile", "text", *LISTEN, env={"PORT_HOOK_LISTEN_JSON": "1"}).records


# --- what the file cannot do ------------------------------------------------------------------------------------------


def test_project_file_can_set_handlers_only_with_the_listed_options() -> None:
    found = {name: {each.opts[0][2:] for each in options(name) if each.declared.trust.is_handler} for name in COMMANDS}
    assert {name: named for name, named in found.items() if named} == HANDLER_OPTIONS


def test_project_file_sets_each_listed_option(runtime: Callable[..., Runtime], folder: Path) -> None:
    for command in FOLDER_OPTIONS:
        listed = [(option, *rest) for option, *rest in valued(command) if is_listed(command, option)]
        assert {option for option, *_ in listed} == set(FOLDER_OPTIONS[command])
        write(folder, table(command, listed))
        world = runtime()
        expected = parameters(command, runtime(), *(word for item in listed for word in words(*item)))
        assert parameters(command, world) == expected
        taken = ", ".join(" ".join(words(*item)) for item in listed)
        assert told(world) == f"note: from ./port-hook.toml: {taken}\n"


def test_project_file_cannot_set_an_unlisted_option(runtime: Callable[..., Runtime], folder: Path) -> None:
    refused = 0
    for command in COMMANDS:
        require_listed(command)
        named = HANDLER_OPTIONS.get(command, ())
        unlisted = [
            (option, *rest)
            for option, *rest in valued(command)
            if not is_listed(command, option) and option not in named
        ]
        (folder / "port-hook.toml").unlink(missing_ok=True)
        expected = parameters(command, runtime())
        write(folder, table(command, unlisted))
        world = runtime()
        assert parameters(command, world) == expected
        assert told(world).splitlines() == [
            f"warning: ignored in ./port-hook.toml: {command}.{option}."
            f" A project's file can set only harmless options. To use the value, pass --{option} or export"
            f" {variable_names(command, option)[0]}"
            for option, *_ in unlisted
            if command != "init"  # it writes the file, and doesn't read it
        ]
        refused += len(unlisted)
    assert refused > 150


def table(command: str, values: Iterable[tuple[str, Any, str]]) -> str:
    """Return the table of a command that sets options to values."""
    lines = [f"{option} = {value if parameter.is_flag else json.dumps(value)}\n" for option, parameter, value in values]
    return f"[{command}]\n{''.join(lines)}"


def defaults_of(folder: Path, command: str) -> ProjectDefaults:
    runtime = replace(system_runtime(), cwd=folder, environ={})
    return project_defaults(command, options(command), runtime=runtime, commands=COMMANDS, given=())


def test_project_file_cannot_exceed_the_listed_limits(folder: Path) -> None:
    limits = [
        (command, option, *limit)
        for command, listed in FOLDER_OPTIONS.items()
        for option, limit in listed.items()
        if limit != ANY
    ]
    assert limits
    for command, option, least, most in limits:
        for value, is_used in ((least, True), (most, True), (least - 1, False), (most + 1, False)):
            write(folder, f"[{command}]\n{option} = {value}\n")
            found = defaults_of(folder, command).values
            assert list(found.values()) == ([str(value)] if is_used else []), (command, option, value)


def test_project_file_can_name_a_handler_on_this_machine(folder: Path) -> None:
    for target in ("8000", '"8000/hook"', '"localhost:8000"', '"http://[::1]:8000/"', '"127.0.0.2:80"'):
        write(folder, f"handler = {target}\n[listen.route]\ncreate_vm = {target}\n")
        text = target.strip('"')
        assert defaults_of(folder, "listen").values == {"forward_to": text, "route": [f"create_vm={text}"]}
        found = defaults_of(folder, "check")
        assert (found.values, found.handler) == ({}, Handler(parse_target(text), "the handler in ./port-hook.toml"))


def test_project_file_cannot_name_a_handler_on_another_machine(folder: Path) -> None:
    for target in (
        '"https://example.com"',
        '"10.0.0.1:80"',
        '"localhost.example.com:80"',
        "-1",
    ):
        for table in ("handler", "[listen.route]\ncreate_vm"):
            write(folder, f"{table} = {target}\n")
            found = defaults_of(folder, "listen")
            assert (found.values, found.handler, len(found.ignored)) == ({}, None, 1), target


def test_invalid_handler_is_an_error_with_its_file_and_key(run: Run, folder: Path) -> None:
    for target, problem in (
        ("99999", "'http://127.0.0.1:99999' is not a URL with a port from 1 to 65535."),
        ('"http://127.0.0.1:80#@example.com"', "'http://***@example.com' has a fragment or credentials, "),
        ('"http://localhost@example.com/"', "'http://***@example.com/' has a fragment or credentials, "),
        ('"x y"', "'http://x y' has a space or a control character "),
    ):
        for table, key in (("handler", "handler"), ("[listen.route]\ncreate_vm", "listen.route.create_vm")):
            write(folder, f"{table} = {target}\n")
            result = run(*LISTEN)
            assert result.code == ExitCode.SETTINGS
            assert f"error: ./port-hook.toml: {key}: {problem}" in result.err


def test_ignored_value_is_reported_with_its_limit_and_where_to_set_it(run: Run, folder: Path) -> None:
    for line, limit in (
        ("timeout = 120", "values from 0.001 to 30"),
        ('max-body = "1GiB"', "sizes up to 10 MiB"),
        ('verify = "warn"', "strict"),
    ):
        write(folder, f"[listen]\n{line}\n")
        option, _, _ = line.partition(" ")
        assert (
            f"listen.{option}. A project's file can set it only to {limit}. To use the value, pass --{option} or export"
            f" {variable_names('listen', option)[0]}\n"
        ) in run(*LISTEN[:-2], env=ENV).err


def test_ignored_handler_is_reported_with_the_file_and_the_option_to_pass(run: Run, folder: Path) -> None:
    write(folder, 'handler = "https://example.com"\n')
    line = (
        "warning: ignored in ./port-hook.toml: handler."
        " A project's file can only use handlers on this machine. To use the value, pass --forward-to or export"
        " PORT_HOOK_LISTEN_FORWARD_TO\n"
    )
    result = run(*LISTEN)
    assert result.code == ExitCode.OK
    assert line in result.err
    assert line not in run(*LISTEN, "--forward-to", "9").err
    assert line not in run("captures").err


def test_project_file_has_one_handler_for_all_commands(run: Run, folder: Path) -> None:
    for command, option in (("listen", "forward-to"), ("check", "to"), ("replay", "to")):
        write(folder, f"[{command}]\n{option} = 8000\n")
        result = run(command)
        assert result.code == ExitCode.SETTINGS
        assert result.err == (
            f"error: ./port-hook.toml: {command}.{option} is not an option of the file.\n"
            "hint: Write handler = 8000 at the top of the file.\n"
        )


def test_profile_replaces_the_handler(run: Run, folder: Path) -> None:
    write(folder, "handler = 8001\n[profiles.staging]\nhandler = 8002\n[profiles.other.listen]\n")
    for profile, port in (("staging", 8002), ("other", 8001)):
        note = f"note: from ./port-hook.toml (profile {profile}): handler {port}\n"
        assert note in run("--profile", profile, *LISTEN).err


def test_handler_of_the_command_line_replaces_only_the_same_option_of_the_file(run: Run, folder: Path) -> None:
    write(folder, "handler = 8001\n[listen.route]\ncreate_vm = 8002\n")
    told = {
        (): "handler 8001, --route create_vm=8002",
        ("--forward-to", "9"): "--route create_vm=8002",
        ("--route", "other=9"): "handler 8001",
    }
    for chosen, taken in told.items():
        assert f"note: from ./port-hook.toml: {taken}\n" in run(*LISTEN, *chosen).err
    both = run(*LISTEN, "--forward-to", "9", "--route", "other=9")
    assert "note: from" not in both.err
    assert "800" not in both.err


def test_route_of_the_file_cannot_hide_another_target_in_the_action(run: Run, folder: Path) -> None:
    write(folder, '[listen.route]\n"create_vm=http://example.com/" = 8000\n')
    result = run(*LISTEN)
    assert result.code == ExitCode.SETTINGS
    assert "create_vm=http://example.com/ is not an action." in result.err


def test_project_file_can_make_a_limit_tighter_but_not_looser(run: Run, folder: Path) -> None:
    for value, used in (("300.0", True), ("301", False), ("nan", False)):
        write(folder, f"[listen]\ntolerance = {value}\n")
        result = run(*LISTEN[:-2], env=ENV)
        assert f"timestamps within {float(value) if used else 300:g} s" in result.err
        assert ("warning: ignored in ./port-hook.toml: listen.tolerance." in result.err) is not used


def test_project_file_cannot_turn_a_check_off(run: Run, folder: Path) -> None:
    for mode, values in (("strict", {"verify": "strict"}), *((mode, {}) for mode in ("on", "warn", "off"))):
        write(folder, f"[listen]\nverify = '{mode}'\n")
        assert defaults_of(folder, "listen").values == values


def test_command_line_overrides_contradictory_options_of_the_file(run: Run, folder: Path) -> None:
    for arguments in (("--respond", "503"), ("--json",), ("--no-compact",), ("--count", "1")):
        write(folder, "handler = 9\n[listen]\ncompact = true\ncount = 3\nverify = 'strict'\n")
        assert run(*LISTEN, *arguments).code == ExitCode.FAILED  # because no invocation arrived


# --- problems of the file ---------------------------------------------------------------------------------------------


def test_invalid_project_file_is_an_error_with_its_name(run: Run, folder: Path) -> None:
    for text, message in (
        ("[lisen]\n", "error: ./port-hook.toml: lisen is not a command.\nhint: Did you mean listen?"),
        ("[profiles.a.lisen]\n", "error: ./port-hook.toml: profiles.a.lisen is not a command."),
        ("[export]\nfromat = 1\n", "error: ./port-hook.toml: export has no option fromat.\nhint: Did you mean format?"),
        ("[export]\nqqq = 1\n", "hint: `port-hook export --help` lists the options."),
        ("[export]\nhelp = true\n", "export has no option help."),
        ("export = 1\n", "error: ./port-hook.toml: export is not a table."),
        ("handler = true\n", "error: ./port-hook.toml: handler is not a string or a number."),
        ("profiles = 1\n", "profiles is not a table."),
        ("[profiles]\na = 1\n", "profiles.a is not a table."),
        ("[export]\nformat = true\n", "./port-hook.toml: export.format is not a string or a number."),
        ("[export]\nformat = 1979-05-27\n", "export.format is not a string or a number."),
        ("[export]\nformat = 'xml'\n", "Invalid value for export.format in ./port-hook.toml: 'xml' is not one of"),
        ("[export\n", "./port-hook.toml is invalid TOML: Expected ']'"),
        (f"a = {'9' * 5000}\n", "./port-hook.toml is invalid TOML: Exceeds the limit"),
        (f"[export]\nformat = 0x{'f' * 9000}\n", "export.format is too large."),
        (f"a{'.a' * 30000} = 1\n", "./port-hook.toml is not used: line 1 has more than 100 dots."),
        (f"a = {'[' * 30000}\n", "./port-hook.toml is nested too deeply."),
        ('[export]\n"\\u001b[2J" = 1\n', "export has no option \\x1b[2J."),
    ):
        write(folder, text)
        result = run(*EXPORT, stdin=b"{}", env=ENV)
        assert result.code in {ExitCode.SETTINGS, ExitCode.USAGE}
        assert message in result.err
        assert run("export", "--help").code == ExitCode.OK


def test_switch_of_the_file_is_turned_off_by_the_command_line(run: Run, folder: Path) -> None:
    write(folder, "[listen]\ncompact = true\n")
    assert "note: from ./port-hook.toml: --compact\n" in run(*LISTEN).err
    assert "note: from" not in run(*LISTEN, "--no-compact").err


def test_switch_is_an_error_unless_it_is_true_or_false(run: Run, folder: Path) -> None:
    write(folder, "[listen]\ncompact = 1\n")
    result = run(*LISTEN[:-2], env=ENV)
    assert result.code == ExitCode.SETTINGS
    assert "error: ./port-hook.toml: listen.compact is not true or false." in result.err


def test_binary_project_file_is_an_error(run: Run, folder: Path) -> None:
    (folder / "port-hook.toml").write_bytes(b"\xff\xfe")
    result = run(*EXPORT, stdin=b"{}", env=ENV)
    assert (result.code, "./port-hook.toml is not UTF-8 text." in result.err) == (ExitCode.SETTINGS, True)


def test_too_large_project_file_is_not_used(run: Run, folder: Path) -> None:
    write(folder, '[export]\nformat = "har"\n' + "#" * 65536)
    result = run(*EXPORT, stdin=b"{}", env=ENV)
    assert result.out.startswith("printf ")
    assert result.err == "warning: ./port-hook.toml is not used: it is larger than 64 KiB\n"
    assert run("--profile", "a", *EXPORT, stdin=b"{}", env=ENV).code == ExitCode.SETTINGS


def test_option_of_the_file_yields_to_a_contradictory_option(run: Run, folder: Path) -> None:
    keep(folder, a_capture(an_invocation()))
    write(folder, "[show]\njson = true\n")
    assert "note: from ./port-hook.toml: --json\n" in run("show", "last").err
    chosen = run("show", "last", "--body")
    assert (chosen.code, chosen.err) == (ExitCode.OK, "")


@POSIX
def test_project_file_is_not_used_when_others_can_write_it(run: Run, folder: Path) -> None:
    write(folder, '[export]\nformat = "har"\n')
    (folder / "port-hook.toml").chmod(0o602)
    result = run(*EXPORT, stdin=b"{}", env=ENV)
    assert result.out.startswith("printf ")
    assert "warning: ./port-hook.toml is not used: others on this machine can write it" in result.err


VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text("ab=/:@1.\x1b", max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("ab=", max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture])
@given(option=st.sampled_from([item.opts[0][2:] for item in options("listen")]), value=VALUES)
def test_any_value_is_accepted_as_text_or_rejected(folder: Path, option: str, value: object) -> None:
    def toml(item: object) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in item.items()) + "}"
        return f"[{', '.join(map(toml, item))}]" if isinstance(item, list) else json.dumps(item)

    write(folder, f"[listen]\n{option} = {toml(value)}\n")
    with suppress(SettingsError):
        assert all(line.isprintable() for line in defaults_of(folder, "listen").taken)
