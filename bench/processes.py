"""The run time of whole processes: start-up, the demo, and a pytest suite."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measuring import HERE, PORT_HOOK, SCRATCH, SECRET, at_most, compare, interleaved, row, seconds_of
from bench.servers import bare

HELLO = """
import typer
app = typer.Typer(rich_markup_mode=None)
@app.command()
def hello(name: str = "world"):
    print(f"hello {name}")
app()
"""

# What the script of zsh runs for a Tab; fish runs the same twice.
TAB = ("sh", "-c", '_PORT_HOOK_COMPLETE=complete_zsh _TYPER_COMPLETE_ARGS="$0" "$@"')
COMPLETED = ("", "listen --", "show ", "trigger ")


def startup() -> None:
    with tempfile.TemporaryDirectory() as folder, bare() as handler:
        hello, payload = Path(folder, "hello.py"), Path(folder, "payload.json")
        hello.write_text(HELLO)
        payload.write_text('{"a":1}')
        commands = {
            "hello": [sys.executable, str(hello)],
            "help": [*PORT_HOOK, "--help"],
            "sign": [*PORT_HOOK, "sign", str(payload)],
            "replay": [*PORT_HOOK, "replay", str(payload), "--to", handler],
            "show": [*PORT_HOOK, "show", "last"],
            "captures": [*PORT_HOOK, "captures"],
            "verify": [*PORT_HOOK, "verify", "last"],
            "python": [sys.executable, "-c", "pass"],
            **{f"complete {line}": [*TAB, f"port-hook {line}", *PORT_HOOK] for line in COMPLETED},
        }
        capture_some(Path(folder))
        httpie = install_httpie()
        if httpie:
            commands["httpie"] = [httpie, "--version"]
        times = interleaved(
            {name: seconds_of(command, folder, one_core=True) for name, command in commands.items()}, rounds=21
        )
    for name in ("help", "sign"):
        compare(f"port-hook {name} / typer hello-world", times[name], times["hello"], at_most(1.5))
        if httpie:
            compare(f"port-hook {name} / http --version", times[name], times["httpie"], at_most(0.5))
    for line in COMPLETED:
        compare(f"Tab after `{line}` / python -c pass", times[f"complete {line}"], times["python"], at_most(6))
    for name, most in {"show": 1.25, "captures": 1.25, "verify": 1.35, "replay": 1.8}.items():
        compare(f"port-hook {name} / port-hook --help", times[name], times["help"], at_most(most))


def capture_some(folder: Path) -> None:
    """Fill the store of a folder, as a listener there would."""
    from port_hook_cli.captures.store.capture_store import open_store
    from port_hook_cli.text.secret import Secret
    from tests.factories import a_body, a_capture, an_invocation, signed

    body = a_body()
    with open_store(None, folder, create=True) as store:
        headers = signed(body, secret=Secret(SECRET))
        store.add([a_capture(an_invocation(body, id=f"{number:012x}", headers=headers)) for number in range(20)])


def install_httpie() -> str | None:
    http = SCRATCH / "httpie" / "bin" / "http"
    if not http.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(http.parent.parent)], check=True)
            pip = [str(http.parent / "python"), "-m", "pip", "install", "--quiet", "httpie"]
            subprocess.run(pip, check=True, capture_output=True)
        except subprocess.CalledProcessError:
            print("  HTTPie is not compared: it could not be installed")
            return None
    return str(http)


def demo() -> None:
    with tempfile.TemporaryDirectory() as folder:
        times = interleaved({"demo": seconds_of([*PORT_HOOK, "demo"], folder)}, rounds=5)
    row("port-hook demo", "", statistics.median(times["demo"]), at_most(3, "s"))


def in_pytest() -> None:
    """Time runs from `invoke` to SUCCESS, and the start of the plugin in a suite that does not use it."""
    alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:asyncio"]
    with tempfile.TemporaryDirectory() as folder:
        times, other = Path(folder, "times"), Path(folder, "test_other.py")
        suite = [*alone, "--rootdir", folder, "-c", os.devnull, str(HERE / "pytest_suite.py")]
        subprocess.run(suite, check=True, capture_output=True, env={**os.environ, "BENCH_TIMES": str(times)})
        first, *warm = (float(line) for line in times.read_text().splitlines())
        other.write_text("def test_other(): pass\n")
        commands = {"with": [*alone, str(other)], "without": [*alone, "-p", "no:port_hook", str(other)]}
        costs = interleaved({name: seconds_of(command, folder) for name, command in commands.items()}, rounds=15)
    row(
        "a run from invoke to SUCCESS in pytest",
        f"worst {max(warm):.1f} ms, first {first:.0f} ms",
        statistics.median(warm),
        at_most(50, "ms"),
    )
    compare("a suite without port-hook's fixtures, with the plugin", costs["with"], costs["without"], at_most(1.05))
