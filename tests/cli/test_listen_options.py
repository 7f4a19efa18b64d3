"""Contradictory options of `listen`. Each command line is rejected before anything starts."""

from __future__ import annotations

from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run

NO_INSPECTOR = "The inspector does not run without --inspect"
NO_KAFKA = "No messages are read without --kafka"
NO_HANDLER = "Nothing is forwarded without --forward-to or --route"
NOT_RANDOM = "Nothing is random without --fail-rate or a range in --delay"


def test_listen_rejects_contradictory_options(run: Run) -> None:
    for line, error in (
        ("--compact --full", "Use either --compact or --full, not both."),
        ("--allow-unverified --no-verify", "Use either --allow-unverified or --no-verify, not both."),
        ("--allow-unverified --strict", "Use either --allow-unverified or --strict, not both."),
        ("--no-verify --strict", "Use either --no-verify or --strict, not both."),
        ("--no-verify --strict --allow-unverified", "Use only one of --allow-unverified, --no-verify and --strict."),
        ("--no-verify --refuse-replays", "Use either --no-verify or --refuse-replays, not both."),
        ("--json --compact", "Use either --json or --compact, not both."),
        ("--json --full", "Use either --json or --full, not both."),
        ("--json --decrypt", "Use either --json or --decrypt, not both."),
        ("--json --decrypt-path a", "Use either --json or --decrypt-path, not both."),
        ("--respond 200 --forward-to 1", "Use either --respond or --forward-to, not both."),
        ("--once --count 1", "Use either --once or --count, not both."),
        ("--kafka --since 1h --from-end", "Use either --since or --from-end, not both."),
        ("--inspect-port 1", f"{NO_INSPECTOR}, so --inspect-port has no effect."),
        ("--actions a.json", f"{NO_INSPECTOR}, so --actions has no effect."),
        ("--since 1h", f"{NO_KAFKA}, so --since has no effect."),
        ("--from-end", f"{NO_KAFKA}, so --from-end has no effect."),
        ("--group a", f"{NO_KAFKA}, so --group has no effect."),
        ("--take-over", f"{NO_KAFKA}, so --take-over has no effect."),
        ("--kafka --take-over", "No group is joined without --group, so --take-over has no effect."),
        ("--max-in-flight 1", f"{NO_HANDLER}, so --max-in-flight has no effect."),
        ("--in-order", f"{NO_HANDLER}, so --in-order has no effect."),
        ("--no-in-order", f"{NO_HANDLER}, so --in-order has no effect."),
        ("--seed 0", f"{NOT_RANDOM}, so --seed has no effect."),
        ("--seed 0 --delay 1", f"{NOT_RANDOM}, so --seed has no effect."),
    ):
        result = run("listen", *line.split())
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert result.err.splitlines()[0] == f"error: {error}"


def test_listen_accepts_options_with_an_effect(run: Run) -> None:
    for line in ("--seed 0 --delay 1..2", "--seed 0 --fail-rate 0.5", "--inspect-port 0", "--in-order"):
        handler = () if "--seed" in line or "--inspect-port" in line else ("--forward-to", "1")
        options = ("--no-verify", "--tunnel", "none", "--timeout", "0", "--port", "0", *handler)
        assert run("listen", *options, *line.split()).code == ExitCode.OK


def test_variable_with_the_default_of_in_order_does_not_need_a_handler(run: Run) -> None:
    options = ("--no-verify", "--tunnel", "none", "--timeout", "0", "--port", "0")
    assert run("listen", *options, env={"PORT_HOOK_LISTEN_IN_ORDER": "false"}).code == ExitCode.OK
