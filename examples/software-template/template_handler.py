"""A handler for the action in action.json: render the template, push it to a git server, and report the run.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… REPOSITORY_REMOTE=… REPOSITORY_LINK=… flask --app template_handler run
REPOSITORY_REMOTE is where git pushes, such as git@git.example.com:services/{name}.git, and REPOSITORY_LINK is the page
of the repository, such as https://git.example.com/services/{name}. The name of the service takes the place of {name}.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, abort, request

TEMPLATE = Path(__file__).parent.absolute() / "template"
TOLERANCE_S = 300
REMEMBERED_RUNS = 1000
PROGRAM_TIMEOUT_S = 60
NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")
IDENTITY = ("-c", "user.name=Port", "-c", "user.email=port@example.com", "-c", "commit.gpgSign=false")

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_048_576  # bytes
deliveries: OrderedDict[str, None] = OrderedDict()
deliveries_lock = threading.Lock()


@dataclass(frozen=True)
class Service:
    """The inputs, as the body template of the action passes them on."""

    name: str
    description: str

    @property
    def remote(self) -> str:
        """Where git pushes."""
        return os.environ["REPOSITORY_REMOTE"].replace("{name}", self.name)

    @property
    def link(self) -> str:
        """The page of the repository."""
        return os.environ["REPOSITORY_LINK"].replace("{name}", self.name)


class ServiceRefused(Exception):
    """The service cannot be created with this name. The message is for the user of the action."""


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret`, at most five minutes from `now`."""
    if not secret or not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode())


def is_first_delivery(run_id: str) -> bool:
    """Return whether this run is new, and remember it: a run can be delivered twice, but its work is done once.

    This is the memory of one process. A real handler inserts the run id into a database, under a unique key, which
    holds after a restart and for several processes.
    """
    with deliveries_lock:
        is_new = run_id not in deliveries
        deliveries[run_id] = None
        if len(deliveries) > REMEMBERED_RUNS:
            deliveries.popitem(last=False)
        return is_new


@app.post("/port/create-service")
def accept() -> tuple[dict[str, str], int]:
    """Verify and accept an invocation. A thread does the work, because Port does not wait for a slow response."""
    body = request.get_data()  # and not request.json, because the signature covers the raw bytes
    fields = request.headers.get("x-port-signature", ""), request.headers.get("x-port-timestamp", "")
    if not is_signed_by_port(body, *fields, os.environ.get("PORT_CLIENT_SECRET", ""), time.time()):
        abort(401)
    try:
        invocation = json.loads(body)
    except (ValueError, RecursionError):
        invocation = None
    match invocation:
        case {"runId": str(run_id), "service": dict(inputs), "requestedBy": requested_by}:
            if is_first_delivery(run_id):
                threading.Thread(target=work, args=(run_id, inputs, str(requested_by))).start()
            return {"accepted": run_id}, 202
        case _:
            return {"error": "The body does not match the template in action.json."}, 422


def work(run_id: str, inputs: dict[str, Any], requested_by: str) -> None:
    """Create the repository and its entity, and end the run, whatever happens."""
    run = PortRun(run_id)
    try:
        service = Service(**inputs)
        check_name(service)
        # To create the repository too, call the API of your git server here.
        check_is_empty(service)
        with tempfile.TemporaryDirectory() as folder:
            project = render(service, Path(folder))
            run.log(f"Rendered the template for {service.name}.")
            commit = push(project, service, f"Create {service.name} from the template\n\nRequested-by: {requested_by}")
        run.log(f"Pushed commit {commit[:12]} to {service.link}.")
        run.upsert_entity("service", entity_of(service, commit))
    except ServiceRefused as error:
        run.end("FAILURE", str(error))
    except Exception as error:  # without a report, the run would stay in progress
        app.logger.exception("Run %s failed.", run_id)
        run.end("FAILURE", f"The service {inputs.get('name')} is not ready. {error}")
    else:
        run.end("SUCCESS", f"The repository of {service.name} is ready.", service.link)


def check_name(service: Service) -> None:
    """Raise ServiceRefused unless the name is valid.

    It becomes a part of paths and of git's arguments, so it is checked here too, not only in Port's form.
    """
    if not NAME.fullmatch(str(service.name)):
        rule = "A name has 2 to 40 lowercase letters, digits and hyphens, and starts with a letter."
        raise ServiceRefused(f"The name {service.name} is not valid. {rule}")


def check_is_empty(service: Service) -> None:
    """Raise ServiceRefused if the repository has commits, and RuntimeError if there is no repository."""
    if git("ls-remote", service.remote):
        raise ServiceRefused(f"The repository of {service.name} is not empty. Choose another name.")


def render(service: Service, folder: Path) -> Path:
    """Render the template into `folder` and return the folder of the project; raises RuntimeError.

    cookiecutter changes the working folder of its process, so it gets a process of its own.
    """
    config = folder / "cookiecutter.yaml"  # without it, cookiecutter reads and writes files in the home folder
    config.write_text(json.dumps({"replay_dir": str(folder / "replay"), "cookiecutters_dir": str(folder)}), "utf-8")
    options = ("--no-input", "--accept-hooks=no", f"--config-file={config}", f"--output-dir={folder / 'project'}")
    values = (f"name={literal(service.name)}", f"description={literal(service.description)}")
    call(sys.executable, "-m", "cookiecutter", *options, str(TEMPLATE), *values)
    return folder / "project" / service.name


def literal(value: str) -> str:
    """Return a template that renders to `value`.

    cookiecutter renders the values as templates, too. A user who runs the action must not be able to run code in them.
    """
    return "{{ " + json.dumps(value, ensure_ascii=False) + " }}"


def push(project: Path, service: Service, message: str) -> str:
    """Commit the project, push it as the branch main, and return the id of the commit; raises RuntimeError."""
    git("init", "--quiet", "--initial-branch=main", cwd=project)
    git("add", "--all", cwd=project)
    git(*IDENTITY, "commit", "--quiet", f"--message={message}", cwd=project)
    git("push", "--quiet", service.remote, "main", cwd=project)
    return git("rev-parse", "HEAD", cwd=project)


def git(*arguments: str, cwd: Path | None = None) -> str:
    """Run git and return its output; raises RuntimeError with git's own reason."""
    return call("git", *arguments, cwd=cwd)


def call(*command: str, cwd: Path | None = None) -> str:
    """Run a program that gets neither Port's credentials nor a terminal to ask questions on."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PORT_")}
    done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
        command,
        cwd=cwd,
        env={**environ, "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PROGRAM_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def entity_of(service: Service, commit: str) -> dict[str, Any]:
    """Return the service as an entity of the blueprint in blueprint.json."""
    properties = {"description": service.description, "repository": service.link, "commit": commit}
    return {"identifier": service.name, "title": service.name, "properties": properties, "relations": {}}


class PortRun:
    """A run in Port: its log, its entities, its end. Each method raises RuntimeError if Port refuses the call."""

    def __init__(self, run_id: str) -> None:
        self._run = f"/actions/runs/{run_id}"
        self._run_id = run_id
        self._token = ""
        credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
        self._token = self._call("POST", "/auth/access_token", credentials)["accessToken"]

    def log(self, message: str) -> None:
        """Add a line to the log."""
        self._call("POST", f"{self._run}/logs", {"message": message})

    def upsert_entity(self, blueprint: str, entity: dict[str, Any]) -> None:
        """Create or overwrite an entity, as a result of this run."""
        self._call("POST", f"/blueprints/{blueprint}/entities?upsert=true&run_id={self._run_id}", entity)

    def end(self, status: str, summary: str, link: str = "") -> None:
        """End the run with SUCCESS or FAILURE."""
        report = {"status": status, "summary": summary}
        self._call("PATCH", self._run, {**report, "link": link} if link else report)

    def _call(self, method: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
        api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        call = urllib.request.Request(f"{api_url}/v1{path}", json.dumps(document).encode(), headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(call, timeout=30) as response:  # noqa: S310 - the URL is the operator's
                result: dict[str, Any] = json.load(response)
                return result
        except urllib.error.HTTPError as error:
            reason = error.read(1000).decode("utf-8", "replace")
            raise RuntimeError(f"Port responded with {error.code} to {method} {path}: {reason}") from None
