"""The keys of SSH servers: which are known, and what becomes of one that is not.

The user's and the system's known_hosts are read and never written. What the user accepts here is kept in a file of
our own, so that nothing port-hook was told is trusted by other programs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from port_hook_cli.errors import TunnelError
from port_hook_cli.text.safe import printable
from port_hook_cli.tunnels.protocol import Opening

_SSH_PORT = 22
# What OpenSSH takes, in its order.
_PLAIN_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_SYSTEM = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


@dataclass(frozen=True, slots=True)
class Offer:
    """The key that a server showed and that is not known for it. `host` is its name in known_hosts."""

    host: str
    port: int
    key: asyncssh.SSHKey

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -l` and OpenSSH's own question write it."""
        return self.key.get_fingerprint()

    @property
    def words(self) -> str:
        """The key's kind and fingerprint."""
        kind = self.key.get_algorithm().removeprefix("ssh-").partition("-")[0].upper()
        return f"{kind} {self.fingerprint}"

    @property
    def line(self) -> str:
        """The line of known_hosts that makes it known."""
        return f"{_name(self.host, self.port)} {self.key.export_public_key().decode().strip()}\n"


class KnownHosts:
    """Every known_hosts file that counts, read once. Lines that cannot be read are passed over, as OpenSSH does."""

    def __init__(self, home: Path, configured: Sequence[str] = ()) -> None:
        self._own = home / ".port-hook" / "known_hosts"
        ssh = home / ".ssh"
        paths = [*map(Path, configured), ssh / "known_hosts", ssh / "known_hosts2", *_SYSTEM, self._own]
        self._texts = {path: _text(path) for path in dict.fromkeys(paths)}
        self.all = asyncssh.import_known_hosts("")
        for text in self._texts.values():
            _load(self.all, text)

    def algorithms(self, host: str, port: int) -> list[str] | None:
        """Return the kinds of keys to ask `host` for, the known ones first; None where a certificate would do, too.

        asyncssh would ask for the known kinds only, and a server that has another one now would just hang up. Without
        an authority to check certificates against, it would ask for those first and then give up.
        """
        keys, authorities = self.all.match(host, "", None if port == _SSH_PORT else port)[:2]
        known = {name.decode() for key in keys for name in key.sig_algorithms}
        return None if authorities else sorted(_PLAIN_KEYS, key=lambda kind: kind not in known)

    def place(self, host: str, port: int) -> Path | None:
        """Return the file in which `host` has a key of whatever kind; None for a host that is not known."""
        for path, text in self._texts.items():
            known = asyncssh.import_known_hosts("")
            _load(known, text)
            # The port is part of the name here: a server on another port of this host is another server.
            if known.match(_name(host, port), "", None)[0]:
                return path
        return None

    async def admit(self, offer: Offer, opening: Opening) -> None:
        """Trust the key if the user does; raises TunnelError if not, or when the host is known under another one."""
        if place := self.place(offer.host, offer.port):
            raise _changed(offer, place)
        if opening.accept_host_key is not None:
            if opening.accept_host_key != offer.fingerprint:
                raise _other_than_told(offer, opening.accept_host_key)
        elif await opening.ask(_question(offer)):
            self._remember(offer)
        else:
            raise _not_admitted(offer)
        _load(self.all, offer.line)

    def _remember(self, offer: Offer) -> None:
        try:
            self._own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(self._own, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(number, "a", encoding="utf-8") as file:
                file.write(offer.line)
        except OSError as error:
            raise TunnelError(
                f"The server's key cannot be kept: {self._own}: {error.strerror}.",
                hint=f"Make the file writable, or accept the key for once: `--accept-host-key {offer.fingerprint}`.",
            ) from error


def _changed(offer: Offer, place: Path) -> TunnelError:
    name = _name(offer.host, offer.port)
    return TunnelError(
        f"The key of the SSH server {printable(offer.host)} has changed: it now shows {offer.words}, "
        f"and {place} knows another one. Somebody may be listening in, or the server was set up anew.",
        hint="Ask whoever runs the server. If the new key is right, remove the old one: "
        f"`ssh-keygen -R '{printable(name)}' -f {place}`.",
    )


def _question(offer: Offer) -> str:
    return (
        f"The SSH server {printable(offer.host)} is not known yet; its key is {offer.words}. "
        "Is that its key, and shall it be trusted from now on?"
    )


def _not_admitted(offer: Offer) -> TunnelError:
    return TunnelError(
        f"The SSH server {printable(offer.host)} is not known, and its key was not accepted: {offer.words}.",
        hint=f"Compare the fingerprint with the server's own; if it is right, "
        f"give `--accept-host-key {offer.fingerprint}`, or connect with `ssh` once and accept it there.",
    )


def _other_than_told(offer: Offer, told: str) -> TunnelError:
    return TunnelError(
        f"The SSH server {printable(offer.host)} shows the key {offer.words}, "
        f"which is not the one to accept: {printable(told)}.",
        hint="Ask whoever runs the server for its fingerprint, as `ssh-keygen -lf` writes it: SHA256:…",
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
