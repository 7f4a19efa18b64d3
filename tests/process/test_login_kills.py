"""If a login is killed at any moment, its secret is in the list of logins or, after the next command, in no file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.files.settings_file import LOGINS
from port_hook_cli.port_api.logins import KeptIn, Login, keep_login, read_logins
from port_hook_cli.text.secret import Secret
from tests.processes import KILLS, environment, port_hook

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="it forks, and kills with SIGKILL")]

POINTS = KILLS or 40
ROOT = str(Path(__file__).parents[2])
# For each line `NUMBER LINE MICROSECONDS` on stdin, forks a child that saves the login org-NUMBER % 4, with the secret
# `secret-NUMBER.`, in the file. The child kills itself before it runs the LINE-th line of port-hook's code (0: it is
# killed after MICROSECONDS instead). Prints the child's status, and how many lines it ran.
DRIVER = """
import os, signal, sys, time
from pathlib import Path
from port_hook_cli.port_api.logins import KeptIn, Login, keep_login
from port_hook_cli.text.secret import Secret
from tests.tracing import KilledAtLine

lines = KilledAtLine("port_api/logins.py", "files/own_files.py", "files/own_files.py")

def log_in(number):
    secret = Secret(f"secret-{number}." + "x" * 9_000)
    login = Login(name=f"org-{number % 4}", client_id="i", api_url="https://api.port.io", kept_in=KeptIn.FILE,
                  secret=secret)
    keep_login(Path(sys.argv[1]), login, only=KeptIn.FILE)

for order in sys.stdin:
    number, last, delay = map(int, order.split())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if not delay:
            sys.settrace(lines.before(last))
        log_in(number)
        sys.settrace(None)
        os.write(writing, str(lines.ran).encode())
        os._exit(0)
    os.close(writing)
    if delay:
        time.sleep(delay / 1e6)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(status, os.read(reading, 20).decode() or 0, flush=True)
    os.close(reading)
"""


def with_secrets(home: Path) -> dict[str, str]:
    """Return the files in port-hook's folder that have a secret, and their texts."""
    folder = (home / LOGINS).parent
    texts = {path.name: path.read_text("utf-8") for path in folder.iterdir()} if folder.exists() else {}
    return {name: text for name, text in texts.items() if "secret-" in text}


@pytest.mark.extended
def test_kills_at_any_moment_leave_no_secret_outside_the_list_of_logins(tmp_path: Path) -> None:
    chance = random.Random(20261128)  # noqa: S311 - the same kills each time
    killed = left = lines = 0
    kept: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        cwd=ROOT,
        env=environment(tmp_path, PYTHONPATH=ROOT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def log_in(number: int, line: int, delay_us: int) -> tuple[int, int]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{number} {line} {delay_us}\n")
            process.stdin.flush()
            status, ran = process.stdout.readline().split()
            return int(status), int(ran)

        _, lines = log_in(0, 0, 0)
        assert lines > 50
        kept["org-0"] = 0
        # Before each line, and after random times.
        moments = [(line, 0) for line in range(1, lines + 1)] + [(0, chance.randint(1, 8_000)) for _ in range(POINTS)]
        for number, (line, delay_us) in enumerate(moments, 1):
            status, _ = log_in(number, line, delay_us)
            killed += status == signal.SIGKILL
            found = with_secrets(tmp_path)
            # What is there under another name is complete, and only until the next command.
            assert set(found) <= {"logins.json", "logins.new"}
            left += "logins.new" in found
            assert all(json.loads(text)["schema"] for text in found.values())
            logins = read_logins(tmp_path)
            assert set(with_secrets(tmp_path)) <= {"logins.json"}
            name = f"org-{number % 4}"
            if status == 0 or _secret(logins.by_name.get(name)) == number:
                kept[name] = number
            assert {each: _secret(login) for each, login in logins.by_name.items()} == kept
        assert process.stdin is not None
        process.stdin.close()
    sys.stdout.write(f"\nlogin: {killed} kills, {left} left a file until the next command, 0 secrets left\n")
    assert killed > lines
    assert sys.platform != "linux" or left <= killed // 20
    assert _logout(tmp_path).returncode == ExitCode.OK
    assert with_secrets(tmp_path) == {}


def _secret(login: Login | None) -> int | None:
    if login is None or login.secret is None:
        return None
    return int(login.secret.reveal().partition(".")[0].removeprefix("secret-"))


def _logout(home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return port_hook(home, "logout", "--all", env=environment(home, **env), text=True)


def test_logout_deletes_what_a_killed_login_left_in_the_keyring(tmp_path: Path) -> None:
    keyring = {
        "PYTHON_KEYRING_BACKEND": "keyring_backends.Deadly",
        "PYTHONPATH": str(Path(__file__).parents[1] / "standins"),
        "KEYRING_FILE": str(tmp_path / "keyring.json"),
    }
    pid = os.fork()
    if pid == 0:
        os.execve(  # noqa: S606 - as a process that can be killed
            sys.executable,
            [sys.executable, "-c", KEEP_IN_KEYRING, str(tmp_path)],
            environment(tmp_path, **{**keyring, "PYTHONPATH": os.pathsep.join([keyring["PYTHONPATH"], ROOT])}),
        )
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert "secret-1." in (tmp_path / "keyring.json").read_text("utf-8")
    assert set(read_logins(tmp_path).by_name) == {"org-1"}
    done = _logout(tmp_path, **{**keyring, "PYTHON_KEYRING_BACKEND": "keyring_backends.InFile"})
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert (tmp_path / "keyring.json").read_text("utf-8") == "{}"


KEEP_IN_KEYRING = """
import sys
from pathlib import Path
from port_hook_cli.port_api.logins import KeptIn, Login, keep_login
from port_hook_cli.text.secret import Secret
login = Login(name="org-1", client_id="i", api_url="https://api.port.io", kept_in=KeptIn.FILE,
              secret=Secret("secret-1."))
keep_login(Path(sys.argv[1]), login, only=KeptIn.KEYRING)
"""


@pytest.mark.parametrize("has_login", [True, False])
def test_logout_deletes_what_killed_logins_of_older_versions_left(tmp_path: Path, has_login: bool) -> None:
    folder = (tmp_path / LOGINS).parent
    if has_login:
        login = Login(name="a", client_id="i", api_url="https://api.port.io", kept_in=KeptIn.FILE, secret=Secret("s"))
        keep_login(tmp_path, login, only=KeptIn.FILE)
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("logins.1a2b3c4d.new", "logins.5e6f7a8b.new", "logins.new"):
        (folder / name).write_text("secret-1.")
    assert _logout(tmp_path).returncode == ExitCode.OK
    assert [path.name for path in folder.iterdir()] == ["logins.json"] * has_login
