"""Contradictory options of `listen`. Each command line is rejected before anything starts."""

from __future__ import annotations

from pathlib import Path

from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run

NO_INSPECTOR = "The inspector does not run without --inspect"
NO_KAFKA = "No messages are read without --kafka"
NO_HANDLER = "Nothing is forwarded without HANDLER, --forward-to or --route"


def test_listen_rejects_contradictory_options(run: Run) -> None:
    for line, error in (
        ("--verify off --report success", "Use either --verify off or --report, not both."),
        ("--verify off --follow", "Use either --verify off or --follow, not both."),
        ("--verify no", "Invalid value for --verify: 'no' is not one of 'on', 'strict', 'warn', 'off'."),
        ("--json --compact", "Use either --json or --compact, not both."),
        ("--json --decrypt", "Use either --json or --decrypt, not both."),
        ("--respond 200 --forward-to 1", "Use either --respond or --forward-to, not both."),
        ("--respond drop 1", "Use either --respond or HANDLER, not both."),
        ("1 --forward-to 1", "HANDLER is the target, so --forward-to has no effect."),
        ("--inspect-port 1", f"{NO_INSPECTOR}, so --inspect-port has no effect."),
        ("--since 1h", f"{NO_KAFKA}, so --since has no effect."),
        ("--group a", f"{NO_KAFKA}, so --group has no effect."),
        ("--take-over", f"{NO_KAFKA}, so --take-over has no effect."),
        ("--kafka --take-over", "No group is joined without --group, so --take-over has no effect."),
        ("-- app", "A command after -- needs a handler on this machine."),
        ("https://example.com -- app", "A command after -- needs a handler on this machine."),
        ("--max-in-flight 1", f"{NO_HANDLER}, so --max-in-flight has no effect."),
    ):
        result = run("listen", *line.split())
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert result.err.splitlines()[0] == f"error: {error}"


def test_handler_argument_is_the_target_instead_of_a_default(run: Run, folder: Path) -> None:
    (folder / "port-hook.toml").write_text("handler = 9002\n")
    options = ("--verify", "off", "--tunnel", "none", "--stop-after", "0", "--port", "0")
    for words, env in ((["9001"], {}), (["9001", "--max-in-flight", "1"], {"PORT_HOOK_LISTEN_FORWARD_TO": "9003"})):
        told = run("listen", *words, *options, env=env).err
        assert "Forwarding    everything -> http://127.0.0.1:9001\n" in told
        assert "9002" not in told


def test_typed_values_are_checked_before_the_secret_and_the_tunnel(run: Run) -> None:
    for line, error in (
        ("--respond 999", "--respond: '999' is not an HTTP status from 200 to 599."),
        ("--max-store 1", "--max-store 1 bytes is too small: the minimum is 20 MiB, twice --max-body."),
        ("--max-store big", "Invalid value for --max-store: 'big' is not a size like 500, 64KiB, 32MiB or 1GiB."),
        ("--max-body 65MiB", "--max-body 65 MiB is too large: the maximum is 64 MiB."),
        ("--expect-status x --count 1", "'x' is not an HTTP status."),
        ("--kafka --since x", "'x' is neither a duration nor a time."),
        ("--retarget a#", "--retarget a# is neither an action nor a workflow node."),
        ("--retarget a --yes", "--retarget needs a public URL, but no tunnel is open."),
        ("", "No client secret is set."),
    ):
        assert run("listen", *line.split()).err.splitlines()[0] == f"error: {error}"


def test_script_gets_no_tunnel_by_default(run: Run) -> None:
    result = run("listen", "--verify", "off", "--stop-after", "0", "--port", "0")
    assert (result.code, result.err.splitlines()[0]) == (
        ExitCode.OK,
        "no tunnel without a terminal. To open one, pass --tunnel auto",
    )
    assert "Public URL" not in result.err


def test_listen_says_which_requests_a_node_of_only_and_route_matches(run: Run) -> None:
    options = ("--verify", "off", "--stop-after", "0", "--port", "0", "--tunnel", "none")
    result = run("listen", *options, "--only", "wf#a", "--only", "create_vm", "--route", "wf#b=1")
    words = "matches only bodies with both identifiers, or any body with --retarget"
    assert (result.code, result.err.splitlines()[0]) == (ExitCode.OK, f"note: wf#a, wf#b {words}")
