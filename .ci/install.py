"""Make a virtual environment with locked packages: `python .ci/install.py ENVIRONMENT [--editable] LOCK...`.

uv installs the packages in a tenth of pip's time. It comes from requirements-uv.lock, unless it is on PATH or in .venv.
Where uv doesn't work, pip installs them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = "Scripts" if os.name == "nt" else "bin"
LOCKED = ("--quiet", "--no-deps", "--require-hashes")


def run(*command: str | Path, **settings: str) -> bool:
    """Run a program that Ctrl-C does not reach, and return whether it succeeded."""
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, start_new_session=True) as process:
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            raise


def uv_for(environment: Path) -> str | Path | None:
    """Return the path of uv, after installing it if necessary."""
    if found := shutil.which("uv"):
        return found
    for place in (ROOT / ".venv", environment):
        if found := shutil.which("uv", path=place / PROGRAMS):
            return found
    lock = ("-r", "requirements-uv.lock")
    run(environment / PROGRAMS / "python", "-m", "pip", "install", *LOCKED, *lock)
    return shutil.which("uv", path=environment / PROGRAMS)


def settings_of_pip(python: Path) -> dict[str, str]:
    """Return pip's index and certificates as environment variables for uv, which doesn't read pip's settings."""
    listed = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    names = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
    found = re.findall(r"(?m)^(?:global|install|:env:)\.(index-url|cert)='(.*)'$", listed)
    return {names[name]: value for name, value in found if names[name] not in os.environ}


def install(environment: Path, locks: list[str], *, is_editable: bool) -> bool:
    """Make the environment if it's missing. Install the locks, and this folder if `is_editable`."""
    python = environment / PROGRAMS / "python"
    if not shutil.which("pip", path=environment / PROGRAMS) and not run(sys.executable, "-m", "venv", environment):
        return False
    wanted = [(*LOCKED, *(word for lock in locks for word in ("-r", lock)))]
    if is_editable:
        wanted.append(("--quiet", "--no-deps", "--editable", "."))
    if uv := uv_for(environment):
        settings = settings_of_pip(python)
        if all(run(uv, "pip", "install", "--python", python, *words, **settings) for words in wanted):
            return True
        print("uv failed, so pip installs the packages", flush=True)
    return all(run(python, "-m", "pip", "install", *words) for words in wanted)


def main(environment: str, *words: str) -> int:
    """Set up an environment. Ctrl-C prints one line."""
    locks = [word for word in words if word != "--editable"]
    print(f"Setting up {environment} (about a minute the first time)", flush=True)
    try:
        return 0 if install(ROOT / environment, locks, is_editable="--editable" in words) else 1
    except KeyboardInterrupt:
        print(f"Interrupted while setting up {environment}. The next run continues.")
        return 130


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
