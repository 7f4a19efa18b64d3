"""The credentials that `port-hook login` saves. An organization's ID, secret and address belong together.

`~/.port-hook/logins.json` (mode 0600) lists the organizations. A secret is in this file or in the keyring. An entry in
the keyring also contains the ID and address, and port-hook compares them with the file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from enum import StrEnum, unique
from pathlib import Path
from typing import Any

from port_hook_cli.errors import SettingsError, UsageError
from port_hook_cli.files.dotenv import exposure_warning
from port_hook_cli.files.own_files import (
    NotPrivateError,
    check_own_folder,
    lock_file,
    make_own_folder,
    replace_own_file,
)
from port_hook_cli.files.settings_file import LOGINS, read_settings_file
from port_hook_cli.files.user_files import is_directory
from port_hook_cli.frozen import frozen
from port_hook_cli.port_api.keyring_entries import KeyringUnusable, delete_entry, load_entry, save_entry
from port_hook_cli.runs.urls import REGIONS, parse_api_url
from port_hook_cli.text.secret import Secret

SCHEMA = "port-hook/logins/1"
UNNAMED = "default"
"""The name of an organization if the user didn't choose a name."""

_MAX_NAME = 100
# How long to wait for another process, whose keyring may be asking the user to unlock it.
_WAIT_S = 30.0
_PAUSE_S = 0.02


@unique
class KeptIn(StrEnum):
    """The place of a login's secret."""

    KEYRING = "keyring"
    FILE = "file"


@frozen(kw_only=True)
class Login:
    """The credentials of one organization, and the address of the API that accepted them.

    `secret` is None while the secret is in the keyring and has not been read.
    """

    name: str
    client_id: str
    api_url: str
    kept_in: KeptIn
    secret: Secret | None = None

    @property
    def place(self) -> str:
        """A phrase about the login for messages, with its name and place."""
        where = "in the keyring" if self.kept_in is KeptIn.KEYRING else f"in ~/{LOGINS}"
        return f"the login {self.name!r} {where}"


@frozen(kw_only=True)
class Logins:
    """All logins by name. `default` is the login to use if no name is passed. `warning` is about the file, or ""."""

    path: Path
    default: str | None = None
    by_name: Mapping[str, Login] = field(default_factory=dict)
    warning: str = ""
    is_refused: bool = False

    def with_login(self, login: Login) -> Logins:
        """Return the logins with another login, which becomes the default."""
        return replace(self, default=login.name, by_name={**self.by_name, login.name: login})

    def without(self, name: str) -> Logins:
        """Return the logins without the login `name`. If only one login is left, it becomes the default."""
        left = {other: login for other, login in self.by_name.items() if other != name}
        default = self.default if self.default in left else None
        return replace(self, by_name=left, default=default or (next(iter(left)) if len(left) == 1 else None))


def check_name(name: str) -> str:
    """Return the name of an organization. Raises UsageError for a name that cannot be saved."""
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise UsageError(
            "The name of the organization is invalid.", hint=f"Pass 1 to {_MAX_NAME} printable characters as --org."
        )
    return name


def read_logins(home: Path) -> Logins:
    """Return the logins in the user's home directory, without reading the keyring.

    A file that other users can write, or that belongs to another user, is not used. The leftovers of killed processes
    are deleted, unless another process is changing the logins. Raises SettingsError for a file that is unreadable or
    invalid.
    """
    path = home / LOGINS
    with suppress(OSError, SettingsError):
        if _leftovers(path):
            _delete_unless_locked(path)
    if not os.path.lexists(path):
        return Logins(path=path)
    try:
        check_own_folder(home, Path(LOGINS).parent)
    except NotPrivateError as error:
        return Logins(path=path, warning=f"{path} is not used: {error.strerror}", is_refused=True)
    file = read_settings_file(path, str(path))
    if file.refusal:
        return Logins(path=path, warning=file.warning, is_refused=True)
    if not file.content:
        return Logins(path=path)
    found = _parse(path, file.content)
    has_secret = any(login.secret for login in found.by_name.values())
    return replace(found, warning=exposure_warning(str(path))) if file.is_exposed and has_secret else found


def with_secret(login: Login) -> Login:
    """Return the login with its secret, which may have to be read from the keyring.

    Raises KeyringUnusable if the keyring doesn't have the secret for this login.
    """
    if login.secret is not None:
        return login
    text = load_entry(login.name)
    kept = _entry_fields(text) if text else {}
    if not kept:
        raise KeyringUnusable(f"the keyring has no secret for {login.name!r}", _again(login))
    if (kept["client_id"], kept["api_url"]) != (login.client_id, login.api_url):
        raise KeyringUnusable(f"the keyring has other credentials for {login.name!r}", _again(login))
    return replace(login, secret=Secret(kept["client_secret"]))


def keep_login(home: Path, login: Login, *, only: KeptIn | None = None, wait_s: float = _WAIT_S) -> tuple[Login, str]:
    """Save a login and its secret, in the keyring or in the file.

    Returns the saved login, and either the name of the keyring or why the keyring was not used. `only` restricts the
    secret to one place. Raises SettingsError if nothing was saved, for example because another process changes the
    logins for `wait_s` seconds.
    """
    with _locked(home / LOGINS, wait_s):
        return _keep(read_logins(home), login, only)


def _keep(before: Logins, login: Login, only: KeptIn | None) -> tuple[Login, str]:
    refuse_unused(before)
    remark = "you chose the file"
    if only is not KeptIn.FILE:
        kept = replace(login, kept_in=KeptIn.KEYRING, secret=None)
        try:
            return kept, _keep_in_keyring(before, login, kept)
        except KeyringUnusable as unusable:
            if only is KeptIn.KEYRING:
                raise _keyring_error("saved in the keyring", unusable) from unusable
            remark = f"{unusable}. {unusable.advice}".rstrip(" .")
    kept = replace(login, kept_in=KeptIn.FILE)
    # The keyring's entry is deleted first. So if this process is killed, the keyring has no secret that the file does
    # not list.
    if (replaced := before.by_name.get(login.name)) and replaced.kept_in is KeptIn.KEYRING:
        with suppress(KeyringUnusable):
            delete_entry(login.name)
    _write(before.with_login(kept))
    return kept, remark


def _keep_in_keyring(before: Logins, login: Login, kept: Login) -> str:
    """Save the secret in the keyring, and add the login to the file as `kept`.

    Return the keyring's name. Raises KeyringUnusable. The login is listed first, so that `logout` finds the secret even
    if this process is killed.
    """
    has_file = before.path.exists()
    _write(before.with_login(kept))
    try:
        return save_entry(login.name, _entry_text(login))
    except BaseException:
        if has_file:
            _write(before)
        else:
            before.path.unlink(missing_ok=True)
        raise


def remove_login(home: Path, name: str) -> Login:
    """Delete a login and its secret, and return the deleted login. Raises SettingsError if nothing was deleted."""
    path = home / LOGINS
    if not path.parent.is_dir():
        raise unknown_login(Logins(path=path), name)
    with _locked(path, _WAIT_S):
        return _remove(read_logins(home), name)


def delete_leftovers(home: Path) -> None:
    """Delete the unfinished files of logins, including secrets, that killed processes left.

    Raises SettingsError if a file cannot be deleted.
    """
    path = home / LOGINS
    if _leftovers(path):
        with _locked(path, _WAIT_S):
            pass


def _leftovers(path: Path) -> list[Path]:
    """Return the unfinished files that killed processes left. Older versions chose a new name for each such file."""
    found = (_fresh(path), *path.parent.glob(f"{path.stem}.*.new"))
    return [fresh for fresh in found if os.path.lexists(fresh) and not is_directory(fresh)]


def _fresh(path: Path) -> Path:
    return path.with_suffix(".new")


def _delete_all(path: Path) -> None:
    try:
        for leftover in _leftovers(path):
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _delete_unless_locked(path: Path) -> None:
    lock = path.with_suffix(".lock")
    handle = lock_file(lock)
    if handle is None:
        return
    try:
        _delete_all(path)
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)


def _remove(logins: Logins, name: str) -> Login:
    refuse_unused(logins)
    if (login := logins.by_name.get(name)) is None:
        raise unknown_login(logins, name)
    if login.kept_in is KeptIn.KEYRING:
        try:
            delete_entry(name)
        except KeyringUnusable as unusable:
            raise _keyring_error("deleted from the keyring", unusable) from unusable
    _write(logins.without(name))
    return login


@contextmanager
def _locked(path: Path, wait_s: float) -> Iterator[None]:
    """Lock the logins, so that no change is lost, and delete what killed processes left.

    Raises SettingsError if another process holds the lock for `wait_s` seconds, or files cannot be changed.
    """
    lock, until = path.with_suffix(".lock"), time.monotonic() + wait_s
    try:
        make_own_folder(path.parents[1], Path(LOGINS).parent)
        while (handle := lock_file(lock)) is None:
            if time.monotonic() >= until:
                raise SettingsError(
                    f"Another process is changing {path}.", hint="Finish the other `port-hook login`, then try again."
                )
            time.sleep(_PAUSE_S)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        _delete_all(path)
        yield
    finally:
        with suppress(OSError):  # Windows does not delete an open file
            lock.unlink()
        os.close(handle)


def unknown_login(logins: Logins, name: str) -> SettingsError:
    """Return the error for an unknown name of a login, with the names of the saved logins."""
    names = ", ".join(map(repr, logins.by_name))
    return SettingsError(
        f"Login not found: {name!r}.", hint=f"Saved logins: {names}." if names else "Run `port-hook login`."
    )


def _keyring_error(done: str, unusable: KeyringUnusable) -> SettingsError:
    return SettingsError(f"The secret was not {done}: {unusable}.", hint=unusable.advice)


def _again(login: Login) -> str:
    return f"Log in again: port-hook login {login.name}"


def refuse_unused(logins: Logins) -> None:
    """Raise SettingsError if the file of logins is not used because another user may have written it."""
    if logins.is_refused:
        raise SettingsError(f"{logins.warning}.", hint="Delete the file, then log in again.")


def _entry_text(login: Login) -> str:
    secret = login.secret.reveal() if login.secret else ""
    return json.dumps({"client_id": login.client_id, "api_url": login.api_url, "client_secret": secret})


def _entry_fields(text: str) -> dict[str, str]:
    """Return the fields of an entry in the keyring, or an empty dictionary for any other text."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    fields = ("client_id", "api_url", "client_secret")
    if not isinstance(document, dict) or not all(_is_text(document.get(name)) for name in fields):
        return {}
    return {name: document[name] for name in fields}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _parse(path: Path, content: bytes) -> Logins:
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise _unreadable(path)
        by_name = {name: _login(name, fields) for name, fields in document["organizations"].items()}
        default = document["default"] if document["default"] in by_name else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _unreadable(path) from None
    return Logins(path=path, by_name=by_name, default=default)


def _login(name: str, fields: Mapping[str, Any]) -> Login:
    kept_in = KeptIn(fields["kept_in"])
    texts = [fields["client_id"], fields["api_url"]]
    secret = fields["client_secret"] if kept_in is KeptIn.FILE else None
    if not all(map(_is_text, texts)) or not (secret is None or _is_text(secret)):
        raise ValueError
    return Login(
        name=name,
        client_id=fields["client_id"],
        api_url=parse_api_url(fields["api_url"]),
        kept_in=kept_in,
        secret=None if secret is None else Secret(secret),
    )


def _unreadable(path: Path) -> SettingsError:
    return SettingsError(
        f"{path} is not a list of logins of this version of port-hook.",
        hint="Delete the file, then log in again: port-hook login",
    )


def _write(logins: Logins) -> None:
    """Replace the whole file of logins. Raises SettingsError if the file cannot be written."""
    document = {
        "schema": SCHEMA,
        "default": logins.default,
        "organizations": {name: _fields(login) for name, login in logins.by_name.items()},
    }
    path = logins.path
    try:
        replace_own_file(path, (json.dumps(document, indent=2) + "\n").encode(), fresh=_fresh(path))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"port-hook cannot write {path}: {error.strerror}.", hint="Check the permissions of the directory and the disk."
    )


def _fields(login: Login) -> dict[str, str]:
    fields = {"client_id": login.client_id, "api_url": login.api_url, "kept_in": str(login.kept_in)}
    return fields if login.secret is None else {**fields, "client_secret": login.secret.reveal()}


LOGIN = "port-hook/login/1"


def login_record(
    kind: str, name: str, client_id: str, api_url: str, *, kept_in: str, is_default: bool
) -> dict[str, Any]:
    """Return the record of a login without its secret. `kind` is what was done: saved, listed or deleted."""
    return {
        "schema": LOGIN,
        "type": kind,
        "organization": name,
        "client_id": client_id,
        "api_url": api_url,
        "region": next((region for region, url in REGIONS.items() if url == api_url.lower()), None),
        "kept_in": kept_in,
        "is_default": is_default,
    }
