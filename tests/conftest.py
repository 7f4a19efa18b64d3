"""Guards for every test, and `run`: port-hook in this process, with its own environment."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import io
import json
import os
import pkgutil
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, Phase, settings

import port_hook_cli
from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime
from tests.coverage_data import remove_unreadable
from tests.ordering import for_workers
from tests.processor_time import ProcessorTime
from tests.record_schemas import checked
from tests.skips import SkipGuard
from tests.steady_loop import SteadyLoop

if TYPE_CHECKING:
    from tests.kafka_clusters import Cluster

# A shell starts background jobs with Ctrl-C and Ctrl-\ ignored, and every process under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGQUIT") and signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


# Tests find this environment's programs, such as HTTPie, even if it isn't activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

# Workers and hundreds of processes import the same modules. Without a cache, each would compile them again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The duration of an example depends more on the machine's load than on the code. In CI a commit gets the same
# examples each time, so that a passed test does not fail later. Everywhere else, every run tries new examples, so that
# 10 for each test are enough. `make test-all` tries 100. Hypothesis tries constants of the imported modules, so the
# order of tests decides how large its examples are, except in CI, which imports all modules first.
_SIZES = [HealthCheck.too_slow, HealthCheck.data_too_large]
_REPEATED: dict[str, Any] = {"derandomize": True, "database": None} if os.environ.get("PORT_HOOK_CI") else {}
settings.register_profile("port-hook", deadline=None, max_examples=10, suppress_health_check=_SIZES, **_REPEATED)
settings.register_profile("all", settings.get_profile("port-hook"), max_examples=100)
# tests/mutants/run.py asks only whether a test fails. Searching for the smallest failing example would take longer.
_PHASES = [Phase.explicit, Phase.generate]
settings.register_profile("mutants", settings.get_profile("port-hook"), phases=_PHASES, database=None)
settings.load_profile("port-hook")

# Every commit to a store waits for the disk, which took half of the time of many tests. A file system in memory
# behaves the same, except in a power failure. `--basetemp FOLDER` or PYTEST_DEBUG_TEMPROOT selects another place.
_MEMORY, _ENOUGH = Path("/dev/shm"), 4_000_000_000  # noqa: S108 - pytest makes a private folder in it


def _can_hold_the_tests(folder: Path) -> bool:
    return (
        os.access(folder, os.W_OK)
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC
        and shutil.disk_usage(folder).free > _ENOUGH
    )


if sys.platform == "linux" and _can_hold_the_tests(_MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# httpcore tries to import this package for each request. Python repeats the search for a missing package each time.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # which Python documents

# Collecting 9,000 tests makes a million objects that stay until the end. If the garbage collector checked
# all of them repeatedly, each worker would need 3 s more.
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("PORT_HOOK_CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipGuard())
        config.pluginmanager.register(ProcessorTime(config))


@pytest.hookimpl(optionalhook=True)  # a hook of pytest-asyncio
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the function that creates the event loop of each async test."""
    return {"loop": asyncio.new_event_loop if sys.platform == "win32" else SteadyLoop}


_FOLDERS = {path.name for path in Path(port_hook_cli.__path__[0]).iterdir()}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests for parallel workers, after pytest-randomly has shuffled them."""
    # xdist gives its workers this, and hides --dist from them.
    worker = getattr(config, "workerinput", None)
    if worker:
        items[:] = for_workers(items, _folder_of, _FOLDERS, worker["workercount"])


def _folder_of(test: pytest.Item) -> str:
    """Return the name of the folder in `tests` that a test is in."""
    return test.nodeid.split("/", 2)[1]


def pytest_collection_finish() -> None:
    if os.environ.get("PORT_HOOK_CI"):
        _import_everything()
    gc.freeze()
    gc.enable()


def _import_everything() -> None:
    """Import all modules of the package.

    Hypothesis uses the constants of imported modules in its examples. Tests import more modules, and the order of the
    tests in this process differs from run to run.
    """
    for module in pkgutil.walk_packages(port_hook_cli.__path__, f"{port_hook_cli.__name__}."):
        if not module.name.endswith(".__main__"):
            with contextlib.suppress(ImportError):  # a module for an optional package or another system
                importlib.import_module(module.name)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` starts: two for each core, because tests wait for half of the time."""
    if set_number := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(set_number)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores * 2


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Remove the incomplete coverage data of killed processes, before pytest-cov combines the files."""
    result = yield
    if session.config.pluginmanager.has_plugin("_cov") and not hasattr(session.config, "workerinput"):
        remove_unreadable(session.config.rootpath)
    return result


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8")

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records on stdout, each checked with its JSON Schema. Fails if stdout has anything else."""
        return [checked(json.loads(line)) for line in self.out.splitlines()]


class Run(Protocol):
    def __call__(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Result: ...


@pytest.fixture(autouse=True)
def _clean_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Isolate tests from the settings, proxies and files of the person who runs them."""
    for name in list(os.environ):
        if name.startswith(("PORT_", "NGROK_", "PYNGROK_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The current directory of `run`."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home folder of `run`."""
    return tmp_path / "home"


@pytest.fixture
def runtime(home: Path, folder: Path) -> Callable[..., Runtime]:
    def build(stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Runtime:
        return Runtime(
            environ=dict(env or {}),
            cwd=folder,
            home=home,
            stdin=io.BytesIO(stdin),
            stdout=_text(),
            stderr=_text(),
        )

    return build


def _text() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", newline="", write_through=True)


def _bytes(stream: Any) -> bytes:
    stream.flush()
    value: bytes = stream.buffer.getvalue()
    return value


@pytest.fixture
def run(runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Run:
    """Run port-hook in this process: `run("sign", "payload.json", env={...}) -> Result`."""

    def invoke(*args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Result:
        monkeypatch.chdir(folder)
        world = runtime(stdin, env)
        with contextlib.redirect_stdout(world.stdout), contextlib.redirect_stderr(world.stderr):
            code = main(args, world)
        return Result(code, _bytes(world.stdout), _bytes(world.stderr).decode("utf-8"))

    return invoke


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Kafka cluster that all tests of a worker share. Tests that stop or configure a cluster start their own."""
    from tests.kafka_clusters import running_cluster  # not all sessions need confluent-kafka

    with running_cluster() as running:
        yield running


@pytest.fixture
def org(cluster: Cluster) -> str:
    """An organization whose topics exist and are empty."""
    return cluster.make_organization()
