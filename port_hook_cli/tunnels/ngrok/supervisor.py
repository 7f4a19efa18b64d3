"""A supervisor for the ngrok agent: a process between the agent and port-hook. The agent never outlives port-hook.

This supervisor works like `port_hook_cli/tunnels/supervisor.py`, but starts the agent with pyngrok. `tunnel.py` runs it
as a script, `python -IS supervisor.py`. The first line on its stdin is JSON, a `StartRequest`. After that line, stdin
stays open until the tunnel must end. The kernel closes stdin when port-hook ends for any reason, including `kill -9`.
The supervisor then kills the agent and itself. It writes reports to stdout, one JSON object per line: `log`, `url`,
`error` or `ended`.

Only this process imports pyngrok, because pyngrok has global state, holds a lock while it waits for a silent agent,
prints a progress bar to stdout, and logs to the terminal.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    # Python's isolated mode does not put port-hook on the import path.
    sys.path.insert(0, str(Path(__file__).parents[3]))
from port_hook_cli.tunnels.supervisor import MAX_LINE, kill_child_with_parent, kill_process_group, take_streams

# pyngrok 9 uses the agent's endpoint API, which this version of the agent introduced.
MIN_AGENT_VERSION = (3, 16)
# If the user's ngrok settings define an endpoint with this name, for example with a static domain, pyngrok uses this
# endpoint.
ENDPOINT = "port-hook"
MASK = "***"
_DELETE_TIMEOUT_S = 1
_LAST_OUTPUT_TIMEOUT_S = 1
_MAX_API_BYTES = 1024 * 1024
_MAX_URL = 2048


class OldAgentError(Exception):
    """The agent is older than `MIN_AGENT_VERSION`. The message of the error is the agent's version."""


class AgentConfigError(Exception):
    """The user's ngrok settings are unreadable. The message of the error is the path of the settings file."""


@dataclass(slots=True)
class AgentSupervisor:
    """The state that the main thread shares with the thread that waits for the end of port-hook."""

    reports: IO[bytes]
    folder: Path
    token: str = ""
    delete_endpoint: Callable[[], object] | None = None
    agent: subprocess.Popen[Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, **fields: Any) -> None:
        """Write a report to port-hook, with the token masked.

        If port-hook has ended, another thread detects the end.
        """
        line = json.dumps(fields)
        if self.token:
            line = line.replace(json.dumps(self.token)[1:-1], MASK)
        with self.lock, contextlib.suppress(OSError):
            self.reports.write(line.encode() + b"\n")

    def end_with_port_hook(self, port_hook: IO[bytes]) -> None:
        """Wait until port-hook closes its end of the pipe or ends. Then end the agent and this process."""
        port_hook.read()
        self.remove_folder()
        if self.delete_endpoint:
            with contextlib.suppress(Exception):
                self.delete_endpoint()
        kill_process_group()

    def report_last_output(self) -> None:
        """Report the last output of an agent that has ended.

        pyngrok stops reading when the agent ends, even if the pipe holds more output.
        """
        output = self.agent.stdout if self.agent and self.agent.poll() is not None else None
        if output is None:
            return
        # A process that the agent started may keep the pipe open.
        reader = threading.Thread(target=lambda: all(iter(output.readline, "")), daemon=True)
        reader.start()
        reader.join(_LAST_OUTPUT_TIMEOUT_S)

    def remove_folder(self) -> None:
        """Remove the agent's private files. A running agent has already read these files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    """Open the requested tunnel, and keep it open until the tunnel or port-hook ends."""
    port_hook, reports = take_streams()
    request = json.loads(port_hook.readline())
    sys.path[:] = request["import_path"]
    supervisor = AgentSupervisor(reports, Path(tempfile.mkdtemp(prefix="port-hook-ngrok-")))
    threading.Thread(target=supervisor.end_with_port_hook, args=(port_hook,), daemon=True).start()
    try:
        _run(request, supervisor)
    except Exception as problem:  # noqa: BLE001 - port-hook explains it to the user
        supervisor.report_last_output()  # the last output says why the agent did not start
        status = getattr(problem, "status_code", None)
        supervisor.report(error={"kind": type(problem).__name__, "message": str(problem)[:MAX_LINE], "status": status})
    supervisor.remove_folder()
    kill_process_group()


def _run(request: dict[str, Any], supervisor: AgentSupervisor) -> None:
    from pyngrok import conf, installer, ngrok, process

    logging.getLogger("pyngrok").setLevel(logging.CRITICAL + 1)
    _adapt_popen(supervisor)
    settings = _settings(request, supervisor)
    if request["install"]:
        # pyngrok downloads the agent to a fixed name in the temporary directory, where other users can write.
        tempfile.tempdir = str(supervisor.folder)
        installer.install_ngrok(request["agent"])
    # The agent's API is on this machine, so pyngrok must not use the proxy in the environment.
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({}), _ApiLimit()))
    _refuse_old_agent(process.capture_run_process(request["agent"], ["--version"]))
    config = conf.PyngrokConfig(
        ngrok_path=request["agent"],
        config_path=settings,
        startup_timeout=request["timeout_s"],
    )
    # This URL takes precedence over the endpoint in the user's settings.
    options = {"url": request["url"]} if request["url"] else {}
    tunnel = ngrok.connect(request["upstream"], name=ENDPOINT, pyngrok_config=config, **options)
    agent = process.get_process(config)
    supervisor.delete_endpoint = lambda: ngrok.api_request(
        f"{agent.api_url}{tunnel.uri}", method="DELETE", timeout=_DELETE_TIMEOUT_S
    )
    supervisor.remove_folder()
    supervisor.report(url=_bounded_url(str(tunnel.public_url)))
    code = agent.proc.wait()
    supervisor.report_last_output()
    supervisor.report(ended=code)


def _adapt_popen(supervisor: AgentSupervisor) -> None:
    """Change how pyngrok starts the agent.

    The agent's stderr goes to its log, and Linux kills the agent when this process ends.
    """
    original, preexec_fn = subprocess.Popen, kill_child_with_parent()

    def popen(command: list[str], **options: Any) -> Any:
        options = {"stderr": subprocess.STDOUT, **options}
        if options.get("universal_newlines"):
            # Without this option, a byte that is not UTF-8 would end the thread that reads the agent's log.
            options |= {"encoding": "utf-8", "errors": "replace"}
        agent: Any = original(command, preexec_fn=preexec_fn, **options)
        if agent.stdout:
            agent.stdout = _AgentOutput(agent.stdout, supervisor.report)
        supervisor.agent = agent
        return agent

    # pyngrok has no option for changing how it starts the agent.
    setattr(subprocess, "Popen", popen)  # noqa: B010 - type checkers reject an assignment to a class


class _AgentOutput:
    """The output of the agent. Each line is reported, whichever thread reads it.

    No call returns more than MAX_LINE characters. pyngrok's own calls have no limit.
    """

    def __init__(self, stream: IO[Any], report: Callable[..., None]) -> None:
        self._stream = stream
        self._report = report
        self._lock = threading.Lock()
        self.close = stream.close

    def readline(self) -> Any:
        """Return a line of the output, or the next part of a long line."""
        with self._lock:
            line = self._stream.readline(MAX_LINE)
            if text := line.strip():
                self._report(log=text)
        return line

    def read(self) -> Any:
        """Return the beginning of the output."""
        return self._stream.read(MAX_LINE)


class _ApiLimit(urllib.request.BaseHandler):
    """Rejects responses of the agent's API above 1 MiB. Without this limit, pyngrok would read them completely."""

    def http_response(self, _: urllib.request.Request, response: Any) -> Any:
        """Return the response with a limit on the number of bytes that can be read."""
        read = response.read

        def read_within_limit() -> bytes:
            body: bytes = read(_MAX_API_BYTES + 1)
            if len(body) > _MAX_API_BYTES:
                raise urllib.error.URLError("the agent's API sent more than 1 MiB")
            return body

        response.read = read_within_limit
        return response


def _bounded_url(url: str) -> str:
    if len(url) > _MAX_URL:
        raise ValueError(f"the public URL has more than {_MAX_URL} characters")
    return url


def _settings(request: dict[str, Any], supervisor: AgentSupervisor) -> str:
    """Return the path of the agent's settings: the user's file, or a private copy with the requested token."""
    config: dict[str, Any] = _read_settings(request["config"]) if request["config"] else {"version": "3"}
    block = config.setdefault("agent", {}) if str(config.get("version")) == "3" else config
    supervisor.token = request["token"] or str(block.get("authtoken") or "")
    if not request["token"]:
        return str(request["config"])
    block["authtoken"] = request["token"]
    return _write_settings(supervisor.folder / "ngrok.yml", config)


def _read_settings(path: str) -> dict[str, Any]:
    import yaml

    from port_hook_cli.files.documents import load_yaml

    try:
        config = load_yaml(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        raise AgentConfigError(path) from None
    if not isinstance(config, dict) or not isinstance(config.get("agent", {}), dict):
        raise AgentConfigError(path)
    return config


def _write_settings(path: Path, config: dict[str, Any]) -> str:
    import yaml

    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file)
    return str(path)


def _refuse_old_agent(version_output: str) -> None:
    version = re.search(r"(\d+)\.(\d+)[.\d]*", version_output)
    if version and (int(version[1]), int(version[2])) < MIN_AGENT_VERSION:
        raise OldAgentError(version[0])


if __name__ == "__main__":
    main()
