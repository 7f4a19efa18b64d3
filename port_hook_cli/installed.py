"""Installed programs and packages on this machine, and how to install missing packages."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from port_hook_cli.frozen import frozen

DISTRIBUTION = "port-hook"
_OPTIONAL = r"(?P<requirement>(?P<package>[A-Za-z0-9._-]+)[^;]*);.*\bextra *== *['\"](?P<extra>[A-Za-z0-9._-]+)['\"]"


def find_program(name: str, environ: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Return the path of the program `name` on PATH, or None."""
    return next(find_programs(name, environ, platform), None)


def find_programs(name: str, environ: Mapping[str, str], platform: str = sys.platform) -> Iterator[str]:
    """Yield the paths of all programs on PATH with this name.

    On Windows, `shutil.which` would look in the current directory first, where someone else may have put a program.
    There, port-hook passes `shutil.which` the full path in each directory instead.
    """
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        if platform == "win32":
            found = shutil.which(str(Path(folder, name))) if Path(folder).is_absolute() else None
        else:
            found = shutil.which(name, path=folder) if folder else None
        if found:
            yield found


def optional_packages() -> dict[str, tuple[str, str]]:
    """Return the optional packages by extra: the package's name and its requirement, such as `asyncssh<3,>=2.23`."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # port-hook runs from its source code
        return {}
    found = filter(None, (re.match(_OPTIONAL, line) for line in lines))
    return {match["extra"]: (match["package"], match["requirement"].rstrip()) for match in found}


def install_hint(*packages: str) -> str:
    """Return the hint that tells the user how to install packages in port-hook's environment."""
    return f"Install it in port-hook's environment: {install_command(packages)}"


def install_command(
    packages: Iterable[str], prefix: Path | None = None, *, has_pip: bool | None = None, platform: str = sys.platform
) -> str:
    """Return the command that adds packages to port-hook's environment, whose directory is `prefix`.

    The packages of extras get the version bounds that port-hook requires. pipx and uv leave a file in the environments
    that they manage. When pipx or uv upgrades port-hook, only packages that its own command added stay installed.
    """
    prefix = Path(sys.prefix) if prefix is None else prefix
    bounds = dict(optional_packages().values())
    wanted = [bounds.get(package, package) for package in packages]
    if _is_of_pipx(prefix):
        words = ["pipx", "inject", prefix.name, *wanted]
    elif tool := _tool_of_uv(prefix):
        words = ["uv", "tool", "install", *(word for each in (*tool.others, *wanted) for word in ("--with", each))]
        words += tool.itself
    else:
        words = [*_installer(has_pip=has_pip), *wanted]
    return shell_command(words, platform)


def reinstall_command(package: str) -> str:
    """Return the command that reinstalls a broken package in port-hook's environment."""
    prefix = Path(sys.prefix)
    if _is_of_pipx(prefix):
        return shell_command(["pipx", "runpip", prefix.name, "install", "--force-reinstall", package])
    words = _installer()
    return shell_command([*words, "--reinstall" if words[0] == "uv" else "--force-reinstall", package])


def command_for_tests() -> str:
    """Return the command that installs port-hook with its `pytest` extra into the active environment of a project."""
    source = _source() or "/path/to/clone"
    return shell_command(["python", "-m", "pip", "install", f"{source}[pytest]"])


def _source() -> str | None:
    """Return the directory or wheel from which port-hook was installed, or None if it no longer exists."""
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        url = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}").get("url", "")
    except (PackageNotFoundError, ValueError):
        return None
    path = url2pathname(urlsplit(url).path) if url.startswith("file:") else ""
    return path if path and Path(path).exists() else None


def shell_command(words: Iterable[str], platform: str = sys.platform) -> str:
    """Return words as one command that a user can paste into a shell."""
    if platform != "win32":
        return shlex.join(words)
    return " ".join(word if re.fullmatch(r"[\w:\\/.=+-]+", word) else f'"{word}"' for word in words)


def _is_of_pipx(prefix: Path) -> bool:
    """Return whether `pipx inject` finds the environment by its name. The environment of `pipx run` has no name."""
    return prefix.parent.name == "venvs" and (prefix / "pipx_metadata.json").is_file()


def _installer(*, has_pip: bool | None = None) -> list[str]:
    """Return the first words of the command that installs packages here. An environment of uv has no pip."""
    if find_spec("pip") is not None if has_pip is None else has_pip:
        return [sys.executable, "-m", "pip", "install"]
    return ["uv", "pip", "install", "--python", sys.executable]


@frozen
class _UvTool:
    """The arguments to repeat for `uv tool install`, which replaces a tool and removes the tool's other packages."""

    itself: list[str]
    others: list[str]


def _tool_of_uv(prefix: Path) -> _UvTool | None:
    """Return the arguments that installed this uv tool.

    Return None for other installations, and if the arguments cannot be repeated.

    Without the source, uv would look for a package named port-hook on an index, and anyone could own that package.
    """
    try:
        text = (prefix / "uv-receipt.toml").read_text("utf-8")
    except (OSError, ValueError):
        return None
    import tomllib

    try:
        receipt = tomllib.loads(text)["tool"]
        (itself,) = [each for each in receipt["requirements"] if each["name"] == DISTRIBUTION]
        others = [_uv_requirement(each) for each in receipt["requirements"] if each is not itself]
        source = next(itself[kind] for kind in ("editable", "directory", "path") if kind in itself)
    except (ValueError, LookupError, TypeError, StopIteration):
        return None
    if receipt.keys() - {"requirements", "entrypoints", "python"} or not Path(source).exists():
        return None
    extras = f"[{','.join(itself['extras'])}]" if itself.get("extras") else ""
    python = ["--python", receipt["python"]] if "python" in receipt else []
    return _UvTool([*python, *(["--editable"] if "editable" in itself else []), f"{source}{extras}"], others)


def _uv_requirement(entry: dict[str, Any]) -> str:
    """Return a package in a uv receipt as a value of `--with`.

    Raises ValueError for a package that does not come from an index.
    """
    if entry.keys() - {"name", "extras", "specifier"}:
        raise ValueError
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    return f"{entry['name']}{extras}{entry.get('specifier', '')}"
