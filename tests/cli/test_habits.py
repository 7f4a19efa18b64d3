"""Options and commands of other tools: each gets the right hint instead of the most similar name."""

from __future__ import annotations

import shlex
from pathlib import Path

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.habits import closest
from tests.conftest import Run
from tests.factories import a_capture
from tests.stores import keep

TARGET = "Pass a target with --to: `--to 8000`."
TO_8000 = "Pass the target with --to, such as --to 8000."
SECRET = "Set PORT_CLIENT_SECRET or pass --secret-file FILE. Other users of this machine can read a command line."
INPUT = "Pass inputs with --input NAME=VALUE, or as a file with --input @FILE."


def test_habit_of_another_tool_gets_a_hint(run: Run) -> None:
    rows: tuple[tuple[str, str | None], ...] = (
        ("8000", "Run `port-hook listen 8000`."),
        ("http 8000", "Run `port-hook listen 8000`."),
        ("logs", "Run `port-hook runs` to show runs in Port, or `port-hook captures` to list captures."),
        ("localhost:3000/hook", "Run `port-hook listen localhost:3000/hook`."),
        (
            "listen --url https://me:pw@dev.example.com",
            "Pass your handler as an argument: `port-hook listen 8000`. For your own tunnel, pass --tunnel https://HOST.",
        ),
        ("listen --delay 1..5", "Pass one number of seconds, such as `--delay 1`."),
        ("listen --all", "Run `port-hook listen --help --all` to show all options."),
        ("listen --events create_vm", "Choose actions with --only ACTION."),
        ("listen --skip-verify", "Pass --verify off."),
        ("listen --subdomain x", "Pass --tunnel ngrok://DOMAIN for a static domain."),
        ("listen --print-json", "Pass --json."),
        ("listen -q", "Pass --compact for one line per invocation."),
        ("listen --insecure", "Pass --verify warn to accept requests without a valid signature."),
        ("listen --secret x", SECRET),
        ("verify --secret x", SECRET),
        ("events", "Run `port-hook captures` to list captures."),
        ("resend", "Run `port-hook replay last`."),
        ("config", "Run `port-hook help settings`, or `port-hook init` for port-hook.toml."),
        ("curl", "Run `port-hook export last --format curl`."),
        ("find-fault --to 8000", "Run `port-hook check --to 8000` to check your handler."),
        ("replay last --url 8000", TO_8000),
        ("replay last -p 8000", TO_8000),
        ("replay last -d '{}'", "Change the body of the source with --set PATH=JSON or --edit."),
        ("replay last -n 10", "Pass the number of requests with --times."),
        ("trigger x.json --set title=x", INPUT),
        ("trigger x.json -d '{}'", INPUT),
        ("trigger x.json 8000", "Pass it with --to: `--to 8000`."),
        ("trigger x.json title=x", "Pass inputs with --input: `--input title=x`."),
        ("replay last cpu=4", None),  # `replay` takes several sources
        ("sign --data x", "Pass the file as an argument: `port-hook sign FILE`."),
        ("captures -n 5", "Pass the number with --limit."),
        ("captures --filter x", "Pass the text as an argument: `port-hook captures TEXT`, or use --jq EXPR."),
        ("captures --run-id r_QOz6WoOB1Q2lmhZZ", "Pass the run as an argument: `port-hook captures r_…`."),
        ("captures -o json", "Pass --json."),
        ("prune --force", "Pass --yes."),
        ("captures --verdict 500", "Pass an HTTP status with --status: `--status 500`."),
        ("trigger x.json --find-fault", "Run `port-hook check --to 8000`."),
        ("verify r.http v1,abc", "Pass a signature with --signature: `--signature v1,abc`."),
        ("inspect 8790", "Pass it with --port: `--port 8790`."),
        ("prune all", "Leave it out. `port-hook prune` doesn't take arguments."),
        ("-v", "Run `port-hook --version` to print the version."),
        ("captures --status valid", "Pass a verdict with --verdict: `--verdict valid`."),
        ("listen -k", "Pass --verify warn to accept requests without a valid signature."),
        ("trigger -f x.json", "Pass the file as an argument, and inputs with --input NAME=VALUE."),
        ("export last --curl", "Pass the format with --format, such as --format curl."),
        ("show last --raw", "Pass --body to write the raw body."),
        ("report-run r_QOz6WoOB1Q2lmhZZ success", "Pass the status with --status: `--status success`."),
        ("last", "Run `port-hook show last`."),
        (
            "'a b;c.http'",
            ("Run `port-hook replay 'a b;c.http'`, or `port-hook trigger 'a b;c.http'` for an action or a workflow."),
        ),
        ("show --id 3f2a", "Pass the capture as an argument: `port-hook show last`."),
        ("prune --assume-yes", "Pass --yes."),
        ("prune -n", "Pass --dry-run."),
        ("--json captures", "Put it after the command: `port-hook captures --json`."),
        ("captures --profile x", "Put it before the command: `port-hook --profile NAME captures`."),
        ("report-run last sh -c 'exit 3'", "Put a command to run, with its options, after `--`."),
        ("r_QOz6WoOB1Q2lmhZZ", "Run `port-hook captures r_QOz6WoOB1Q2lmhZZ`."),
        ("3f2a9c", "Run `port-hook show 3f2a9c`."),
        (
            "payload.json",
            ("Run `port-hook replay payload.json`, or `port-hook trigger payload.json` for an action or a workflow."),
        ),
        ("listen --verif", "Did you mean --verify? Run `port-hook listen --help` for usage."),
        ("sing x", "Did you mean sign? Run `port-hook --help` for usage."),
        ("cap", "Did you mean captures? Run `port-hook --help` for usage."),
        ("listen --zzz", "Run `port-hook listen --help` for usage."),
        ("zzz", "Run `port-hook --help` for usage."),
    )
    for line, hint in rows:
        result = run(*shlex.split(line))
        assert result.out == ""
        if hint is not None:
            assert (result.code, result.err.splitlines()[-1]) == (ExitCode.USAGE, f"hint: {hint}")


def test_distant_name_is_not_suggested() -> None:
    for typed, names in (
        ("--set", ("--user", "--secrets-of")),
        ("--url", ("--org", "--to")),
        ("--json", ("--version",)),
        ("-x", ("--x",)),
        ("--x", ("-x",)),
    ):
        assert closest(typed, names) is None


def test_long_word_is_shortened(run: Run) -> None:
    for words in (("captures", "--" + "x" * 10_000), ("x" * 10_000,)):
        assert len(run(*words).err) < 1_000


def test_target_in_place_of_a_source_is_recognized(run: Run, folder: Path) -> None:
    keep(folder, a_capture())
    for line, hint in (
        *((f"{name} 8000", TARGET) for name in ("replay", "check", "export", "trigger", "port-agent")),
        ("replay http://127.0.0.1:8000", "Pass a target with --to: `--to http://127.0.0.1:8000`."),
        ("sandbox 8790", "Pass a port with --port: `--port 8790`."),
    ):
        result = run(*line.split(), env={"PORT_CLIENT_SECRET": "a-secret-of-a-test"})
        assert result.err.splitlines()[-1] == f"hint: {hint}"
    assert "--to" not in run("verify", "8000", env={"PORT_CLIENT_SECRET": "a-secret-of-a-test"}).err
