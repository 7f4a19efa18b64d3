"""The keys of SSH servers: which keys are known, and how the user accepts another key.

port-hook reads the known_hosts files of the user and the system, but never changes them. It saves an accepted key in
its own file, so that other programs don't trust the key.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from port_hook_cli.errors import TunnelError
from port_hook_cli.files.own_files import check_own_folder, make_own_folder, open_own_file, read_own_file
from port_hook_cli.frozen import frozen
from port_hook_cli.text.safe import printable
from port_hook_cli.tunnels.protocol import Opening

_SSH_PORT = 22
_OWN = Path(".port-hook", "known_hosts")
_MOST_BYTES = 1024 * 1024
# The key algorithms of OpenSSH, in the order of OpenSSH.
_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_SYSTEM = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


@frozen
class UnknownKey:
    """A server's unknown key. `host` is the name of the server in known_hosts."""

    host: str
    port: int
    key: asyncssh.SSHKey

    @property
    def fingerprint(self) -> str:
        """The fingerprint as `SHA256:…`, in the format of `ssh-keygen -l` and OpenSSH."""
        return self.key.get_fingerprint()

    @property
    def description(self) -> str:
        """The type and the fingerprint of the key."""
        kind = self.key.get_algorithm().removeprefix("ssh-").partition("-")[0].upper()
        return f"{kind} {self.fingerprint}"

    @property
    def line(self) -> str:
        """The line of known_hosts for this key."""
        return f"{_name(self.host, self.port)} {self.key.export_public_key().decode().strip()}\n"


class KnownHosts:
    """All known_hosts files that apply. The files are read once. Like OpenSSH, this class skips invalid lines."""

    def __init__(self, home: Path, configured: Sequence[str] = ()) -> None:
        self._home, self._own = home, home / _OWN
        ssh = home / ".ssh"
        paths = [*map(Path, configured), ssh / "known_hosts", ssh / "known_hosts2", *_SYSTEM, self._own]
        self._texts = {path: _text(path) for path in dict.fromkeys(paths)} | {self._own: self._own_text()}
        self.all = asyncssh.import_known_hosts("")
        for text in self._texts.values():
            _load(self.all, text)

    def _own_text(self) -> str:
        """Return the keys that the user accepted earlier. If another user may have written the file, return no keys."""
        try:
            check_own_folder(self._home, _OWN.parent)
            return read_own_file(self._own, _MOST_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def algorithms(self, host: str, port: int) -> list[str] | None:
        """Return the key algorithms to offer to `host`, known algorithms first.

        Return None if the host may have a certificate. By default, asyncssh offers only known algorithms, so a server
        with a new key would close the connection without showing the key. Without a known authority, asyncssh would
        prefer certificates that it cannot verify.
        """
        keys, authorities = self.all.match(host, "", None if port == _SSH_PORT else port)[:2]
        known = {name.decode() for key in keys for name in key.sig_algorithms}
        return None if authorities else sorted(_KEY_ALGORITHMS, key=lambda name: name not in known)

    def find_file(self, host: str, port: int) -> Path | None:
        """Return the file that contains a key of `host`, or None if the host is unknown."""
        for path, text in self._texts.items():
            known = asyncssh.import_known_hosts("")
            _load(known, text)
            # The name includes the port, because another port of this host is another server.
            if known.match(_name(host, port), "", None)[0]:
                return path
        return None

    async def accept(self, key: UnknownKey, opening: Opening) -> None:
        """Save the key if the user accepts it.

        Raises TunnelError if the user does not, or if another key of the host is known.
        """
        if file := self.find_file(key.host, key.port):
            raise _changed(key, file)
        if opening.accept_host_key is not None:
            if opening.accept_host_key != key.fingerprint:
                raise _wrong_fingerprint(key, opening.accept_host_key)
        elif await opening.ask(_question(key)):
            self._save(key)
        else:
            raise _not_accepted(key)
        _load(self.all, key.line)

    def _save(self, key: UnknownKey) -> None:
        try:
            make_own_folder(self._home, _OWN.parent)
            number = open_own_file(self._own, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            with os.fdopen(number, "a", encoding="utf-8") as file:
                file.write(key.line)
        except OSError as error:
            raise TunnelError(
                f"port-hook cannot save the server's key to {self._own}: {error.strerror}.",
                hint=f"Make the file writable, or accept the key only once: `--accept-host-key {key.fingerprint}`.",
            ) from error


def _changed(key: UnknownKey, file: Path) -> TunnelError:
    name = _name(key.host, key.port)
    return TunnelError(
        f"The key of the SSH server {printable(key.host)} has changed: it is now {key.description}, "
        f"but {file} contains another key. The server may have been reinstalled, or an attacker may intercept the "
        "connection.",
        hint="Ask the server's administrator. If the new key is correct, remove the old key: "
        f"`ssh-keygen -R '{printable(name)}' -f {file}`.",
    )


def _question(key: UnknownKey) -> str:
    return (
        f"The SSH server {printable(key.host)} is unknown. Its key is {key.description}. "
        "Do you want to trust this key from now on?"
    )


def _not_accepted(key: UnknownKey) -> TunnelError:
    return TunnelError(
        f"The SSH server {printable(key.host)} is unknown, and its key was not accepted: {key.description}.",
        hint="Ask the server's administrator for the fingerprint. If it matches, use "
        f"`--accept-host-key {key.fingerprint}`, or connect once with `ssh` and accept the key there.",
    )


def _wrong_fingerprint(key: UnknownKey, wanted: str) -> TunnelError:
    return TunnelError(
        f"The SSH server {printable(key.host)} has the key {key.description}, "
        f"not the key in --accept-host-key: {printable(wanted)}.",
        hint="Ask the server's administrator for the fingerprint that `ssh-keygen -lf` prints: SHA256:…",
    )


def _name(host: str, port: int) -> str:
    return host if port == _SSH_PORT else f"[{host}]:{port}"


def _text(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _load(known: asyncssh.SSHKnownHosts, text: str) -> None:
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            known.load(line)
