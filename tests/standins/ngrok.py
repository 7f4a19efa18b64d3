"""A simulated ngrok agent, version 3, for pyngrok 9 and port-hook.

    ngrok --version
    ngrok config add-authtoken TOKEN --config FILE
    ngrok start --none --log stdout [--config FILE] [--authtoken TOKEN]

It prints the agent's log, serves GET, POST and DELETE /api/endpoints, and forwards every byte of each endpoint from a
port of its own on 127.0.0.1 to the upstream. It writes its process ID to the named pipe in NGROK_STANDIN_PIPE, and
leaves the pipe open until it ends.

NGROK_STANDIN selects a failure: `105`, `107`, `108`, `9999` (an unknown code), `313`, `319`, `320`, `334` (a rejected
endpoint), `offline`, `silent`, `chatty` (an endless log without a session), `exits`, `late-output` (lines that appear
only after it has ended), `odd-log`, `old` (no endpoint API), `other-program`, `huge-answer` (2 MiB for an endpoint),
`long-url` (100,000 characters), `huge-version` (an endless line for `--version`). After SIGUSR1 it logs that it lost
its session, after SIGUSR2 that it has one again.

What it leaves out: the ngrok service. It accepts every token and domain unless told otherwise, never reconnects, has no
TLS, and does not add headers (ngrok adds X-Forwarded-*). Its public URL works on this machine only. An endpoint with a
requested URL is reported, but not reachable. The error messages come from ngrok or its users. The service may word them
differently today.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path

MODE = os.environ.get("NGROK_STANDIN", "")


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    arguments = sys.argv[1:]
    while MODE == "huge-version" and arguments == ["--version"]:
        sys.stdout.write("x" * 100_000)
    if arguments in (["--version"], ["version"]):
        sys.stdout.write(
            {"old": "ngrok version 3.9.0", "other-program": "frobnicate"}.get(MODE, "ngrok version 3.24.0") + "\n"
        )
    elif arguments[:2] == ["config", "add-authtoken"]:
        Path(arguments[arguments.index("--config") + 1]).write_text(
            f'version: "3"\nagent: {{authtoken: {arguments[2]}}}\n'
        )
        sys.stdout.write("Authtoken saved to configuration file\n")
    elif arguments[0] == "start" and MODE in {"exits", "other-program"}:
        sys.exit("unknown flag: --none")
    elif arguments[0] == "start" and MODE == "late-output":
        write_after_exit("starting\nERROR:  authentication failed\nERROR:  ERR_NGROK_105\n")
    else:
        pipe = os.open(os.environ["NGROK_STANDIN_PIPE"], os.O_WRONLY)
        os.write(pipe, f"{os.getpid()}\n".encode())
        flags = [part for part in arguments[1:] if part != "--none"]
        # The agent's server takes longer to import than the other commands take to run.
        importlib.import_module("ngrok_agent").start(dict(zip(flags[::2], flags[1::2], strict=True)))


def write_after_exit(text: str) -> None:
    """Exit, and then write `text` from another process."""
    read_end, write_end = os.pipe()
    if os.fork():
        os._exit(1)  # closes the last write end
    os.close(write_end)
    os.read(read_end, 1)
    sys.stdout.write(text)


main()
