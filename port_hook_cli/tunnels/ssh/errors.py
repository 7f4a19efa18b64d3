"""What SSH ran into, in plain words with the fix."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from port_hook_cli.errors import TunnelError
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.tunnels.ssh.banner import last_line

# ConfigParseError and KeyImportError are ValueErrors; a host's name that cannot be one ends as UnicodeError.
TROUBLES = (OSError, ValueError, asyncssh.Error)
_TRY_SSH = "Try the same with `ssh`, which says more with -v."
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Tells what went wrong on the way into `host`. `identities` are the key files that ~/.ssh/config names."""

    host: str
    port: int
    home: Path
    timeout_s: float
    identities: tuple[str, ...] = ()

    def of(self, error: BaseException) -> TunnelError:
        """Return the problem to raise."""
        match error:
            case TunnelError():
                return error
            case OSError():
                return self._unreachable(error)
            case asyncssh.PermissionDenied():
                return self._not_let_in()
            case asyncssh.DisconnectError():
                return self._hung_up(error)
            case _:
                return TunnelError(
                    f"SSH to {printable(self.host)} cannot be tried: {brief(str(error)) or type(error).__name__}.",
                    hint="See the name of the host, and ~/.ssh/config and the keys that it names.",
                )

    def _hung_up(self, error: asyncssh.DisconnectError) -> TunnelError:
        host = printable(self.host)
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return TunnelError(
                f"SSH to {host}: {brief(error.reason)}.",
                hint="A host on the way (ProxyJump), a certificate or a revoked key: connect once with `ssh`, "
                "which says more.",
            )
        if isinstance(error, asyncssh.ConnectionLost):
            return self._cut()
        return TunnelError(f"SSH to {host} failed: {brief(error.reason)}.", hint=_TRY_SSH)

    def _unreachable(self, error: OSError) -> TunnelError:
        host = printable(self.host)
        if isinstance(error, TimeoutError):
            return TunnelError(
                f"{host} did not answer on port {self.port} within {self.timeout_s:g} s.",
                hint="Check the name and the port (ssh://user@host:PORT), and whether a firewall is in between.",
            )
        if isinstance(error, socket.gaierror):
            return TunnelError(
                f"There is no host {host}: {error.strerror}.",
                hint="Check whether this machine can reach the internet, and the name; one of ~/.ssh/config is spelled "
                "as it is there.",
            )
        # A host with more than one address gives one error for all of them, without a number of its own.
        if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            return TunnelError(
                f"Nothing listens on port {self.port} of {host}.",
                hint="Is the SSH server running, and on that port? Another one is written ssh://user@host:PORT.",
            )
        if isinstance(error, ConnectionError):
            return self._cut()
        return TunnelError(f"{host} cannot be reached: {brief(error.strerror or str(error))}.", hint=_TRY_SSH)

    def _cut(self) -> TunnelError:
        return TunnelError(
            f"{printable(self.host)} hung up while the connection was being made.",
            hint=f"Is that an SSH server on port {self.port}? Its own log says why it hung up.",
        )

    def _not_let_in(self) -> TunnelError:
        keys, locked = self._keys()
        tried = f"It was shown {', '.join(keys)} and what your SSH agent holds" if keys else "No key file was found"
        if locked:
            tried += f"; {', '.join(locked)} has a passphrase and is used through the agent only"
        return TunnelError(
            f"{printable(self.host)} does not let this user in. {tried}.",
            hint=f"Try `ssh-add {locked[0]}`."
            if locked
            else "Add your public key to ~/.ssh/authorized_keys there (`ssh-copy-id`), or name user and key: "
            "ssh://user@host, IdentityFile in ~/.ssh/config. Passwords are not used.",
        )

    def _keys(self) -> tuple[list[str], list[str]]:
        """Return the key files that could be shown, and those that a passphrase locks."""
        files = self.identities or [str(self.home / ".ssh" / name) for name in _DEFAULT_KEYS]
        keys, locked = [], []
        for file in files:
            try:
                asyncssh.read_private_key(file)
                keys.append(printable(file))
            except asyncssh.KeyEncryptionError:
                locked.append(printable(file))
            except asyncssh.KeyImportError as error:
                if "assphrase" in str(error):
                    locked.append(printable(file))
            except OSError:
                pass
        return keys, locked


def not_forwarded(host: str, port: int) -> TunnelError:
    """Return what to raise when a server lets the user in and forwards nothing."""
    host = printable(host)
    if port:
        return TunnelError(
            f"{host} does not forward its port {port}.",
            hint="Something else may listen there, or a port below 1024 be meant for root: try another, or none. "
            "AllowTcpForwarding and PermitListen in its sshd_config may forbid it, too.",
        )
    return TunnelError(
        f"{host} forwards no port.",
        hint="AllowTcpForwarding in its sshd_config has to be `yes` or `remote`, PermitListen has to let any port be.",
    )


def no_port(host: str) -> TunnelError:
    """Return what to raise for a public URL of the user's own that leads to nobody knows which port."""
    return TunnelError(
        "The public URL says nothing of the port on the SSH server that it leads to.",
        hint=f"Name that port, too: --tunnel ssh://{printable(host)}/PORT",
    )


def no_url(host: str, text: str) -> TunnelError:
    """Return what to raise for a service that tells no URL; `text` is what it said instead."""
    line = brief(last_line(text))
    words = f" Its last words: {line}" if line else ""
    return TunnelError(
        f"{printable(host)} gave no public URL.{words}",
        hint="Try again, or another service; they come and go. `ssh -R 80:localhost:8000` to it shows all it says.",
    )
