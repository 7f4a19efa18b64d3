"""A handler for Port without its HTTP server: verify, accept, work, report. One defect can be chosen.

`SignedHandler.receive` returns the response to a request, and the work to do after it. The servers are std.py,
flask_app.py and fastapi_app.py.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from verification import is_signed

_RUN_ID = re.compile(r"r_[A-Za-z0-9]{16}|wfnr_[A-Za-z0-9]+")
_PAUSE_S = 0.2
# Requests at a time, with the defect at-once. A request takes the first time if it is alone, so that the next one finds
# it, and otherwise the second time after the last arrival.
_PLACES, _ALONE_S, _HELD_S = 12, 0.1, 1.0
_QUEUED = 4  # runs at a time, with the defect ten-runs
_SHOWN = 80


class Credentials(NamedTuple):
    """The settings that Port's handlers read from the environment."""

    client_id: str
    client_secret: str
    api_url: str

    @classmethod
    def of(cls, environ: Mapping[str, str], defect: str) -> Credentials:
        """Read them. Ends the process if a credential is missing, unless that is the defect."""
        found = environ.get("PORT_CLIENT_ID", ""), environ.get("PORT_CLIENT_SECRET", "")
        if not all(found) and defect != "secret-unset":
            sys.exit("set PORT_CLIENT_ID and PORT_CLIENT_SECRET")
        return cls(*found, environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1"))


class Reply(NamedTuple):
    """A response with a JSON document, and the work that begins after it."""

    status: int
    document: Mapping[str, Any]
    work: Callable[[], object] | None = None


class Unusable(Exception):
    """A signed request that this handler cannot work with."""


class Task(NamedTuple):
    """An invocation, as far as this handler uses it."""

    run_id: str
    inputs: Mapping[str, Any]
    synchronized: bool = False

    @classmethod
    def of(cls, document: Any, header: str | None) -> Task:
        """Find the run and its inputs in the body, whichever template it has. Raises Unusable."""
        if not isinstance(document, dict):
            raise Unusable("the body is not an object")
        payload = _object(document.get("payload"))
        action = _object(payload.get("action"))
        if not str(action.get("identifier", "create_vm")).startswith("create_vm"):
            raise Unusable("this handler does not know the action")
        run_id = next(_run_ids(document, header), None)
        if run_id is None:
            raise Unusable("the request has no run")
        inputs = payload.get("properties", document.get("vm", document))
        synchronized = _object(action.get("invocationMethod")).get("synchronized") is True
        return cls(run_id, _object(inputs), synchronized)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _run_ids(document: Mapping[str, Any], header: str | None) -> Iterator[str]:
    context = _object(document.get("context"))
    places = (context.get("nodeRunId"), context.get("runId"), document.get("nodeRunId"), document.get("runId"), header)
    for value in itertools.chain(places, document.values()):
        if isinstance(value, str) and _RUN_ID.fullmatch(value):
            yield value


class PortRun:
    """An action run or a node run in Port, to which its handler reports."""

    def __init__(self, run_id: str, credentials: Credentials) -> None:
        self.id = run_id
        self.is_node = run_id.startswith("wfnr_")
        self._api = f"{credentials.api_url}/v1"
        self._run = f"{self._api}/{'workflows/nodes' if self.is_node else 'actions'}/runs/{run_id}"
        self._token = ""
        pair = {"clientId": credentials.client_id, "clientSecret": credentials.client_secret}
        self._token = self._call("POST", f"{self._api}/auth/access_token", pair)["accessToken"]

    def log(self, message: str) -> None:
        """Add a line to the log."""
        logs = {"logs": [{"level": "INFO", "message": message}]} if self.is_node else {"message": message}
        self._call("POST", f"{self._run}/logs", logs)

    def create_entity(self, title: str, cpu: float) -> None:
        """Create or update the entity of the VM, as a change of this run."""
        entity = {"identifier": f"vm-{self.id}", "title": title, "properties": {"cpu": cpu}}
        change = "upsert=true" if self.is_node else f"upsert=true&run_id={self.id}"
        self._call("POST", f"{self._api}/blueprints/vm/entities?{change}", entity)

    def end(self, *, succeeded: bool, summary: str) -> None:
        """Report how it ended."""
        if self.is_node:
            result = "SUCCESS" if succeeded else "FAILED"
            self._call("PATCH", self._run, {"status": "COMPLETED", "result": result, "output": {"summary": summary}})
            return
        self._call("PATCH", self._run, {"status": "SUCCESS" if succeeded else "FAILURE", "summary": summary})

    def progress(self) -> None:
        """Report that it has not ended."""
        self._call("PATCH", self._run, {"status": "IN_PROGRESS"} if self.is_node else {"statusLabel": "Working"})

    def _call(self, method: str, url: str, document: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(url, json.dumps(document).encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            result: dict[str, Any] = json.load(response)
            return result


class Failed(Exception):
    """Work that cannot be done with these inputs."""


class Vm(NamedTuple):
    """A virtual machine to create."""

    title: str
    cpu: float

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> Vm:
        """Read the inputs. Raises Failed."""
        title, cpu = inputs.get("title"), inputs.get("cpu")
        if not isinstance(title, str) or not title.strip():
            raise Failed("the title must be text")
        if isinstance(cpu, bool) or not isinstance(cpu, int | float) or cpu <= 0:
            raise Failed("the number of CPUs must be positive")
        return cls(title[:_SHOWN], cpu)


class Memory:
    """The runs that this handler has begun, so that it works on each once."""

    def __init__(self, defect: str) -> None:
        self._defect = defect
        self._begun: set[str] = set()
        self._lock = threading.Lock()

    def begin(self, run_id: str, signature: str) -> bool:
        """Remember a run. Return whether it is new."""
        if self._defect == "no-memory":
            return True
        if self._defect == "same-run-at-once":
            return self._check_then_act(run_id)
        key = signature if self._defect == "same-run" else run_id
        with self._lock:
            is_new = key not in self._begun
            self._begun.add(key)
            return is_new

    def _check_then_act(self, run_id: str) -> bool:
        is_new = run_id not in self._begun
        time.sleep(_PAUSE_S / 2)
        self._begun.add(run_id)
        return is_new


class SignedHandler:
    """Receives requests from Port."""

    def __init__(self, credentials: Credentials, defect: str) -> None:
        self._credentials = credentials
        self._defect = defect
        self._memory = Memory(defect)
        self._results: dict[str, Reply] = {}
        self._latest = 0
        self._lock = threading.Lock()
        self._arrival = threading.Condition()
        self._receiving = 0
        self._working = 0

    def receive(self, body: bytes, header: Callable[[str], str | None], now: float) -> Reply:
        """Return the response to a request. `header` returns a header's value, decoded as Latin-1."""
        if self._defect != "at-once":
            return self._receive(body, header, now)
        with self._arrival:
            if self._receiving >= _PLACES:
                return Reply(503, {"error": "too many requests"})
            is_alone = not self._receiving
            self._receiving += 1
            self._arrival.notify_all()
            while self._arrival.wait(_ALONE_S if is_alone else _HELD_S):
                is_alone = False
        try:
            return self._receive(body, header, now)
        finally:
            with self._arrival:
                self._receiving -= 1

    def _receive(self, body: bytes, header: Callable[[str], str | None], now: float) -> Reply:
        if self._defect == "survives-utf8":
            body.decode()
        signature, timestamp = header("x-port-signature"), header("x-port-timestamp")
        key = self._credentials.client_secret.encode()
        is_open = self._defect == "secret-unset" and not key
        if not is_open and not is_signed(body, signature, timestamp, key, now=now, defect=self._defect):
            return self._refusal(body, signature)
        if self._defect == "order" and not self._is_latest(int(timestamp or 0)):
            return Reply(401, {"error": "older than the latest request"})
        return self.accept(body, header("run_id"), signature or "")

    def _refusal(self, body: bytes, signature: str | None) -> Reply:
        is_well_formed = len(signature or "") == 47 and _is_json(body)
        if self._defect == "refusal-500" and is_well_formed:
            return Reply(500, {"error": "invalid signature"})
        if self._defect == "refusal-200" and is_well_formed:
            return Reply(200, {"error": "invalid signature"})
        return Reply(401, {"error": "this was not signed by Port"})

    def _is_latest(self, timestamp: int) -> bool:
        self._latest = max(self._latest, timestamp)
        return timestamp >= self._latest - 1

    def accept(self, body: bytes, header: str | None, signature: str) -> Reply:
        """Return the response to a request whose signature is valid. `header` is the header RUN_ID."""
        try:
            document = self._parse(body)
            self._raise_for_shape(document)
            task = Task.of(document, header)
        except Unusable as problem:
            return Reply(422, {"error": str(problem)})
        if not self._memory.begin(task.run_id, signature):
            return self._results.get(task.run_id, Reply(200, {"accepted": task.run_id}))
        if task.synchronized:
            self._results[task.run_id] = self._work_now(task)
            return self._results[task.run_id]
        return Reply(202, {"accepted": task.run_id}, lambda: self._work(task))

    def _parse(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as problem:
            raise Unusable("the body is not JSON") from problem

    def _raise_for_shape(self, document: Any) -> None:
        """Raise KeyError, AttributeError or TypeError, or wait forever, if this defect shows in the document."""
        if self._defect == "not-object":
            document.get("context")
        if not isinstance(document, dict):
            return
        if self._defect == "fields":
            _ = document["context"]["runId"], document["payload"]["properties"].keys(), document["payload"]["action"]
        identifier = _object(_object(document.get("payload")).get("action")).get("identifier", "create_vm")
        is_known = str(identifier).startswith("create_vm")
        if self._defect == "unknown-action-500" and not is_known:
            raise KeyError(identifier)
        if self._defect == "unknown-action-hang" and not is_known:
            threading.Event().wait()

    def _work_now(self, task: Task) -> Reply:
        run = PortRun(task.run_id, self._credentials)
        try:
            vm = self._create(run, task)
        except Failed as problem:
            return Reply(422, {"ok": False, "error": str(problem)})
        return Reply(200, {"ok": True, "title": vm.title})

    def _work(self, task: Task) -> None:
        """Do the work and report it, after the response."""
        with self._lock:
            self._working += 1
        try:
            if self._defect == "ten-runs" and self._working > _QUEUED:
                return
            self._work_and_report(task)
        except urllib.error.URLError as problem:
            print(f"{task.run_id} could not be reported: {problem}", file=sys.stderr, flush=True)
        finally:
            with self._lock:
                self._working -= 1

    def _work_and_report(self, task: Task) -> None:
        run = PortRun(task.run_id, self._credentials)
        if self._defect == "ten-runs":
            time.sleep(_PAUSE_S)
        if self._defect == "failure-dies":
            Vm.of(task.inputs)
        try:
            vm = self._create(run, task)
        except Failed as problem:
            run.end(succeeded=False, summary=str(problem))
            return
        self._report(run, vm)

    def _create(self, run: PortRun, task: Task) -> Vm:
        vm = Vm.of(task.inputs)
        run.log(f"creating {vm.title} with {vm.cpu} CPUs")
        run.create_entity(vm.title, vm.cpu)
        return vm

    def _report(self, run: PortRun, vm: Vm) -> None:
        if self._defect == "terminal":
            run.progress()
        else:
            run.end(succeeded=True, summary=f"{vm.title} is up")
        if self._defect == "once":
            with contextlib.suppress(urllib.error.URLError):
                run.end(succeeded=True, summary=f"{vm.title} is ready")


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


CREDENTIALS = Credentials.of(os.environ, sys.argv[2])
"""The credentials of the environment. Frameworks are imported after them, because each check starts a handler twice."""


def started_handler(defect: str) -> SignedHandler:
    """Return the handler with the credentials of the environment."""
    return SignedHandler(CREDENTIALS, defect)
