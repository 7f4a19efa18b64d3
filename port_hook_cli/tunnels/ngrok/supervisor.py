"""The leash: a process between port-hook and the ngrok agent, so that the agent never outlives port-hook.

Run as a script, `python -IS leash.py`, by `ngrok.py`; it is a tether (see `tether.py`) that knows pyngrok. One line
of JSON on stdin is its order; then stdin stays open for as long as the tunnel is wanted. The kernel closes that
pipe however port-hook ends, `kill -9` included, and then the leash kills the agent and itself. What it has to
say goes to stdout, one JSON object per line: `log`, `url`, `error` or `ended`.

pyngrok lives here and nowhere else: its globals, its lock that is held while it waits for an agent that says
nothing, its progress bar on stdout, and its logger that would write to a user's terminal.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    # A script knows no packages yet, isolated as it is.
    sys.path.insert(0, str(Path(__file__).parents[3]))
from port_hook_cli.tunnels.supervisor import LONGEST, claim_streams, death_tie, end_family

# The agent's endpoint API, which pyngrok 9 speaks, came with this version.
OLDEST_AGENT = (3, 16)
# A user's ngrok settings may define an endpoint of this name, say with a reserved domain; pyngrok takes it up.
ENDPOINT = "port-hook"
MASK = "***"
_HANG_UP_TIMEOUT_S = 1
_MAX_API_BYTES = 1024 * 1024
_LONGEST_URL = 2048


class OldAgentError(Exception):
    """The agent is older than `OLDEST_AGENT`; says its version."""


class AgentConfigError(Exception):
    """The user's ngrok settings cannot be read; says which file."""


@dataclass(slots=True)
class Leash:
    """What the main thread and the one that waits for port-hook's end share."""

    reports: IO[bytes]
    folder: Path
    token: str = ""
    hang_up: Callable[[], object] | None = None

    def report(self, **what: Any) -> None:
        """Tell port-hook, without the token; that it has gone is noticed elsewhere."""
        line = json.dumps(what)
        if self.token:
            line = line.replace(json.dumps(self.token)[1:-1], MASK)
        with contextlib.suppress(OSError):
            self.reports.write(line.encode() + b"\n")

    def wait_for_the_end(self, port_hook: IO[bytes]) -> None:
        """Wait until port-hook closes its end of the pipe or dies; then end everything."""
        port_hook.read()
        self.remove_folder()
        if self.hang_up:
            with contextlib.suppress(Exception):
                self.hang_up()
        end_family()

    def remove_folder(self) -> None:
        """Remove the private files; an agent that is up has read them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    """Read the order, open the tunnel, hold it until it ends or port-hook does."""
    port_hook, reports = claim_streams()
    order = json.loads(port_hook.readline())
    sys.path[:] = order["import_path"]
    leash = Leash(reports, Path(tempfile.mkdtemp(prefix="port-hook-ngrok-")))
    threading.Thread(target=leash.wait_for_the_end, args=(port_hook,), daemon=True).start()
    try:
        _hold(order, leash)
    except Exception as problem:  # noqa: BLE001 - port-hook puts it into words
        status = getattr(problem, "status_code", None)
        leash.report(error={"kind": type(problem).__name__, "message": str(problem)[:LONGEST], "status": status})
    leash.remove_folder()
    end_family()


def _hold(order: dict[str, Any], leash: Leash) -> None:
    from pyngrok import conf, installer, ngrok, process

    logging.getLogger("pyngrok").setLevel(logging.CRITICAL + 1)
    _tie_children()
    settings = _settings(order, leash)
    if order["install"]:
        # pyngrok downloads to a fixed name in the temporary folder, where others may write.
        tempfile.tempdir = str(leash.folder)
        installer.install_ngrok(order["agent"])
    # pyngrok talks to the agent on this machine; a proxy that the environment names cannot reach it.
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({}), _ApiLimit()))
    _refuse_old_agent(process.capture_run_process(order["agent"], ["--version"]))
    config = conf.PyngrokConfig(
        ngrok_path=order["agent"],
        config_path=settings,
        startup_timeout=order["timeout_s"],
        log_event_callback=lambda log: leash.report(log=log.line[:LONGEST]),
    )
    # What is passed here wins over the endpoint in the user's settings.
    wanted = {"url": order["url"]} if order["url"] else {}
    tunnel = ngrok.connect(order["upstream"], name=ENDPOINT, pyngrok_config=config, **wanted)
    agent = process.get_process(config)
    leash.hang_up = lambda: ngrok.api_request(
        f"{agent.api_url}{tunnel.uri}", method="DELETE", timeout=_HANG_UP_TIMEOUT_S
    )
    leash.remove_folder()
    leash.report(url=_bounded_url(str(tunnel.public_url)))
    leash.report(ended=agent.proc.wait())


def _tie_children() -> None:
    """Make pyngrok start the agent as it should be: its stderr in its log, and bound to the leash's life by Linux."""
    plain, tie = subprocess.Popen, death_tie()

    def popen(command: list[str], **options: Any) -> Any:
        options = {"stderr": subprocess.STDOUT, **options}
        if options.get("universal_newlines"):
            # One odd byte would end the thread that reads the agent's log.
            options |= {"encoding": "utf-8", "errors": "replace"}
        agent: Any = plain(command, preexec_fn=tie, **options)
        if agent.stdout:
            agent.stdout = _BoundedOutput(agent.stdout)
        return agent

    # pyngrok offers no say in how it starts the agent.
    setattr(subprocess, "Popen", popen)  # noqa: B010 - no type checker lets a class be replaced


class _BoundedOutput:
    """The output of a program. No call returns more than LONGEST; pyngrok's own calls have no limit."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self.close = stream.close

    def readline(self) -> Any:
        """Return a line, or the next part of a long one."""
        return self._stream.readline(LONGEST)

    def read(self) -> Any:
        """Return the beginning of the output."""
        return self._stream.read(LONGEST)


class _ApiLimit(urllib.request.BaseHandler):
    """Refuses responses of the agent's API that are larger than 1 MiB; pyngrok would read them completely."""

    def http_response(self, _: urllib.request.Request, response: Any) -> Any:
        """Return the response with a limit on how much can be read."""
        read = response.read

        def read_within_limit() -> bytes:
            body: bytes = read(_MAX_API_BYTES + 1)
            if len(body) > _MAX_API_BYTES:
                raise urllib.error.URLError("the agent's API sent more than 1 MiB")
            return body

        response.read = read_within_limit
        return response


def _bounded_url(url: str) -> str:
    if len(url) > _LONGEST_URL:
        raise ValueError(f"the public URL has more than {_LONGEST_URL} characters")
    return url


def _settings(order: dict[str, Any], leash: Leash) -> str:
    """Return the path of the settings for the agent: the user's, or a private copy with the token given to us."""
    config: dict[str, Any] = _read_settings(order["config"]) if order["config"] else {"version": "3"}
    block = config.setdefault("agent", {}) if str(config.get("version")) == "3" else config
    leash.token = order["token"] or str(block.get("authtoken") or "")
    if not order["token"]:
        return str(order["config"])
    block["authtoken"] = order["token"]
    return _write_settings(leash.folder / "ngrok.yml", config)


def _read_settings(path: str) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError):
        raise AgentConfigError(path) from None
    if not isinstance(config, dict) or not isinstance(config.get("agent", {}), dict):
        raise AgentConfigError(path)
    return config


def _write_settings(path: Path, config: dict[str, Any]) -> str:
    import yaml

    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file)
    return str(path)


def _refuse_old_agent(words: str) -> None:
    version = re.search(r"(\d+)\.(\d+)[.\d]*", words)
    if version and (int(version[1]), int(version[2])) < OLDEST_AGENT:
        raise OldAgentError(version[0])


if __name__ == "__main__":
    main()
