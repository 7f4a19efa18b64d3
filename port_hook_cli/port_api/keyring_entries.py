"""The system's keyring, through the optional keyring package. A locked keyring may hang, so access has a time limit."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from port_hook_cli.installed import install_hint

SERVICE = "port-hook"
TIMEOUT_S = 3.0

_Result = TypeVar("_Result")


class KeyringUnusable(Exception):
    """The keyring is unusable.

    The message is a clause. `advice` is a sentence that tells the user what to do, or "".
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.advice = advice


def load_entry(name: str) -> str | None:
    """Return the text saved under `name`, or None. Raises KeyringUnusable if there is no working keyring."""

    def load(keyring: ModuleType) -> str | None:
        kept: str | None = keyring.get_password(SERVICE, name)
        return kept

    return _within_timeout(load)


def save_entry(name: str, text: str) -> str:
    """Save text under `name`, and return the name of the keyring. Raises KeyringUnusable if the text was not saved.

    Some keyrings accept text without saving it, so the saved text is read again and compared.
    """

    def save(keyring: ModuleType) -> str | None:
        keyring.set_password(SERVICE, name, text)
        return keyring.get_keyring().name if keyring.get_password(SERVICE, name) == text else None

    kept_in = _within_timeout(save)
    if kept_in is None:
        raise KeyringUnusable("the keyring does not save entries")
    return kept_in


def delete_entry(name: str) -> None:
    """Delete the text saved under `name`, if any. Raises KeyringUnusable if there is no working keyring."""

    def delete(keyring: ModuleType) -> None:
        if keyring.get_password(SERVICE, name) is not None:
            keyring.delete_password(SERVICE, name)

    _within_timeout(delete)


def _within_timeout(work: Callable[[ModuleType], _Result]) -> _Result:
    """Call `work` with the keyring package, and return its result. The thread cannot delay the end of the process."""
    from port_hook_cli.terminal.threads import UnwaitedThreads

    try:
        import keyring  # the import is not part of the time limit

        future = UnwaitedThreads().submit(work, keyring)
        result: _Result = future.result(timeout=TIMEOUT_S)
    except TimeoutError:
        raise KeyringUnusable(
            f"the keyring did not respond within {TIMEOUT_S:g} s", "It may be locked: unlock it, then try again."
        ) from None
    except Exception as error:
        raise _unusable(error) from error
    return result


def _unusable(error: Exception) -> KeyringUnusable:
    """Return the meaning of a keyring's error.

    The error's message is not quoted, because a keyring backend chooses it.
    """
    if isinstance(error, ModuleNotFoundError) and error.name == "keyring":
        return KeyringUnusable("the keyring package is not installed", install_hint("keyring"))
    kind = type(error).__name__
    if kind == "NoKeyringError":
        return KeyringUnusable("this system has no keyring")
    if kind == "KeyringLocked":
        return KeyringUnusable("the keyring is locked", "Unlock it, then try again.")
    return KeyringUnusable(f"the keyring failed ({kind})")
