"""The errors of SSH, with what the user can do about them."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from port_hook_cli.errors import TunnelError
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.tunnels.ssh.banner import last_line

# ConfigParseError and KeyImportError are ValueErrors, and an invalid host name raises UnicodeError.
SSH_ERRORS = (OSError, ValueError, asyncssh.Error)
_TRY_SSH = "Connect with `ssh -v`, which shows details."
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorContext:
    """Explains the errors of connecting to `host`. `identities` are the key files that ~/.ssh/config names."""

    host: str
    port: int
    home: Path
    timeout_s: float
    identities: tuple[str, ...] = ()

    def explain(self, error: BaseException) -> TunnelError:
        """Return the error to raise."""
        match error:
            case TunnelError():
                return error
            case OSError():
                return self._unreachable(error)
            case asyncssh.PermissionDenied():
                return self._denied()
            case asyncssh.DisconnectError():
                return self._disconnected(error)
            case _:
                return TunnelError(
                    f"Cannot connect to {printable(self.host)} with SSH: {brief(str(error)) or type(error).__name__}.",
                    hint="Check the host name, ~/.ssh/config, and the keys that it names.",
                )

    def _disconnected(self, error: asyncssh.DisconnectError) -> TunnelError:
        host = printable(self.host)
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return TunnelError(
                f"SSH to {host}: {brief(error.reason)}.",
                hint="The cause may be a ProxyJump host, a certificate or a revoked key. Connect once with `ssh -v`, "
                "which shows details.",
            )
        if isinstance(error, asyncssh.ConnectionLost):
            return self._cut()
        return TunnelError(f"SSH to {host} failed: {brief(error.reason)}.", hint=_TRY_SSH)

    def _unreachable(self, error: OSError) -> TunnelError:
        host = printable(self.host)
        if isinstance(error, TimeoutError):
            return TunnelError(
                f"{host} did not respond on port {self.port} within {self.timeout_s:g} s.",
                hint="Check the host name, the port (ssh://USER@HOST:PORT) and firewalls.",
            )
        if isinstance(error, socket.gaierror):
            return TunnelError(
                f"The host {host} cannot be resolved: {error.strerror}.",
                hint="Check the internet connection and the name. A name from ~/.ssh/config must be written exactly as "
                "it is there.",
            )
        # For a host with several addresses there is one error without an errno, whose message lists theirs.
        if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            return TunnelError(
                f"Nothing listens on port {self.port} of {host}.",
                hint="Check that the SSH server is running. Give another port as ssh://USER@HOST:PORT.",
            )
        if isinstance(error, ConnectionError):
            return self._cut()
        return TunnelError(f"{host} is unreachable: {brief(error.strerror or str(error))}.", hint=_TRY_SSH)

    def _cut(self) -> TunnelError:
        return TunnelError(
            f"{printable(self.host)} closed the connection before it was established.",
            hint=f"Check that an SSH server listens on port {self.port}. Its log says why it closed the connection.",
        )

    def _denied(self) -> TunnelError:
        keys, locked = self._keys()
        tried = f"Tried {', '.join(keys)} and the keys of your SSH agent" if keys else "No key file was found"
        if locked:
            tried += f"; {', '.join(locked)} has a passphrase, so it can only be used through the SSH agent"
        return TunnelError(
            f"{printable(self.host)} denied access to this user. {tried}.",
            hint=f"Run `ssh-add {locked[0]}`."
            if locked
            else "Add your public key to ~/.ssh/authorized_keys on the server (`ssh-copy-id`), or name the user "
            "(ssh://USER@HOST) and the key (IdentityFile in ~/.ssh/config). port-hook does not use passwords.",
        )

    def _keys(self) -> tuple[list[str], list[str]]:
        """Return the key files that can be used, and those that need a passphrase."""
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
    """Return the error for a server that accepts the user but forwards no port."""
    host = printable(host)
    if port:
        return TunnelError(
            f"{host} does not forward its port {port}.",
            hint="Choose another port, or leave it out: this one may be in use, or reserved for root if it is below "
            "1024. AllowTcpForwarding and PermitListen in the server's sshd_config can also forbid it.",
        )
    return TunnelError(
        f"{host} forwards no port.",
        hint="In the server's sshd_config, AllowTcpForwarding must be `yes` or `remote`, and PermitListen must allow "
        "any port.",
    )


def no_port(host: str) -> TunnelError:
    """Return the error for `--public-url` without a known port on the SSH server."""
    return TunnelError(
        "The public URL does not say which port of the SSH server it forwards to.",
        hint=f"Name the port: --tunnel ssh://{printable(host)}/PORT",
    )


def no_url(host: str, output: str) -> TunnelError:
    """Return the error for a service that prints no URL; `output` is what it printed."""
    line = brief(last_line(output))
    detail = f" Its last output: {line}" if line else ""
    return TunnelError(
        f"{printable(host)} did not print a public URL.{detail}",
        hint="Try again, or use another service. `ssh -R 80:localhost:8000 HOST` shows its whole output.",
    )
