from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import SettingsError
from port_hook_cli.port_api.settings import ONLY_THE_SECRET, Settings, load_settings
from port_hook_cli.runtime import Memory, Runtime

CONFIG = """
default_org: production
organizations:
  production:
    client_id: id-of-production
    client_secret: 0123456789
    api_url: https://api.us.port.io/v1
  staging:
    client_id: id-of-staging
    client_secret: "null "
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".port").mkdir(parents=True)
    return tmp_path / "home"


class Load:
    def __init__(self, cwd: Path, home: Path) -> None:
        self.cwd = cwd
        self.home = home
        self.memory = Memory()

    def __call__(self, environ: Mapping[str, str] | None = None, stdin: bytes = b"", **flags: Any) -> Settings:
        runtime = Runtime(
            environ=environ or {}, cwd=self.cwd, home=self.home, stdin=io.BytesIO(stdin), stdout=io.StringIO(),
            stderr=io.StringIO(), memory=self.memory,
        )  # fmt: skip
        return load_settings(runtime, **flags)

    def dotenv(self, text: str | bytes, *, at_home: bool = False) -> None:
        path = self.home / ".port" / ".env" if at_home else self.cwd / ".env"
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def config(self, text: str = CONFIG) -> Path:
        path = self.home / ".port" / "config.yaml"
        path.write_text(text, "utf-8")
        return path


@pytest.fixture
def load(folder: Path, home: Path) -> Load:
    return Load(folder, home)


def secret_of(settings: Settings) -> str:
    return settings.require_secret().reveal()


def test_secrets_are_registered_for_masking_wherever_they_were_read(load: Load) -> None:
    load.config()
    load()
    assert {"0123456789", "null "} <= load.memory.secrets
    load.dotenv("PORT_CLIENT_SECRET=of-the-home", at_home=True)
    load.dotenv("PORT_CLIENT_SECRET=of-the-project")
    assert secret_of(load(needs=ONLY_THE_SECRET)) == "of-the-project"
    assert {"of-the-project", "of-the-home"} <= load.memory.secrets  # both of two that differ
    load({"PORT_CLIENT_SECRET": "of-the-environment"}, needs=ONLY_THE_SECRET)
    assert "of-the-environment" in load.memory.secrets
    (load.cwd / "secret").write_text("of-the-file")
    load(secret_file="secret", needs=ONLY_THE_SECRET)
    assert "of-the-file" in load.memory.secrets


# --- precedence -----------------------------------------------------------------------------------------------------


def test_defaults_apply_without_any_settings(load: Load) -> None:
    settings = load()
    assert settings == Settings()
    assert (settings.api_url, settings.app_url) == ("https://api.port.io", "https://app.port.io")


def test_each_place_takes_precedence_over_the_next(load: Load, folder: Path) -> None:
    load.config()
    assert secret_of(load()) == "0123456789"
    load.dotenv("PORT_CLIENT_SECRET=home", at_home=True)
    assert secret_of(load()) == "home"
    load.dotenv("PORT_CLIENT_SECRET=folder")
    assert secret_of(load()) == "folder"
    environ = {"PORT_CLIENT_SECRET": "environ"}
    assert secret_of(load(environ)) == "environ"
    assert secret_of(load(environ, org="staging")) == "null "
    (folder / "secret").write_text("file")
    assert secret_of(load(environ, org="staging", secret_file="secret")) == "file"


def test_each_setting_comes_from_its_first_place(load: Load, home: Path) -> None:
    config = load.config()
    load.dotenv("PORT_CLIENT_ID=id-of-the-folder")
    settings = load({"PORT_CLIENT_SECRET": "environ"})
    assert (settings.client_id, secret_of(settings)) == ("id-of-the-folder", "environ")
    assert settings.api_url == "https://api.us.port.io"
    assert settings.sources == {
        "client_id": "PORT_CLIENT_ID in ./.env",
        "client_secret": "PORT_CLIENT_SECRET in the environment",
        "api_url": f"organization production of {config}",
    }


def test_places_are_not_read_when_nothing_more_is_needed(load: Load) -> None:
    load.config("default_org: [")
    assert secret_of(load({"PORT_CLIENT_SECRET": "environ"}, needs=ONLY_THE_SECRET)) == "environ"
    with pytest.raises(SettingsError, match="invalid YAML"):
        load({"PORT_CLIENT_SECRET": "environ"})


def test_empty_variable_is_reported_when_the_setting_is_missing(load: Load) -> None:
    load.dotenv("PORT_CLIENT_SECRET=")
    with pytest.raises(SettingsError) as error:
        load({"PORT_CLIENT_SECRET": ""}).require_secret()
    assert "PORT_CLIENT_SECRET in the environment is empty." in error.value.message
    assert "PORT_CLIENT_SECRET in ./.env is empty." in error.value.message
    with pytest.raises(SettingsError, match="No client ID is set") as error:
        load().require_client_id()
    assert "PORT_CLIENT_ID" in error.value.hint
    assert "--secret-file" not in error.value.hint


# --- the API's address ----------------------------------------------------------------------------------------------


def test_api_url_is_accepted_with_or_without_the_version(load: Load) -> None:
    for variable in ["PORT_API_URL", "PORT_API_BASE_URL"]:
        for value in ["https://api.us.port.io", "https://api.us.port.io/v1/"]:
            settings = load({variable: value})
            assert (settings.api_url, settings.app_url) == ("https://api.us.port.io", "https://app.us.port.io")
    assert load({"PORT_REGION": "us"}).api_url == "https://api.us.port.io"
    sandbox = load({"PORT_REGION": "us", "PORT_API_URL": "http://127.0.0.1:4010"})
    assert (sandbox.api_url, sandbox.app_url) == ("http://127.0.0.1:4010", "")


def test_invalid_url_error_shows_the_variable(load: Load) -> None:
    for environ, expected in [
        ({"PORT_REGION": "asia"}, "PORT_REGION in the environment is invalid: 'asia' is neither 'eu' nor 'us'"),
        ({"PORT_API_URL": "api.port.io"}, "PORT_API_URL in the environment is invalid: 'api.port.io' is not a URL"),
    ]:
        with pytest.raises(SettingsError, match=expected):
            load(environ)


# --- .env -----------------------------------------------------------------------------------------------------------


def test_dotenv_file_is_read_without_interpolation(load: Load) -> None:
    for line, value in [
        ("PORT_CLIENT_SECRET=plain", "plain"),
        ("export PORT_CLIENT_SECRET='quoted # yes'", "quoted # yes"),
        ('PORT_CLIENT_SECRET="a$HOME${X}" # comment', "a$HOME${X}"),
        ("\ufeffPORT_CLIENT_SECRET=after-a-mark", "after-a-mark"),
    ]:
        load.dotenv(line + "\r\n")
        assert secret_of(load()) == value


def test_unreadable_line_is_reported_when_the_secret_is_missing(load: Load) -> None:
    load.dotenv("A=1\n\nPORT_CLIENT_SECRET='unclosed\n")
    with pytest.raises(SettingsError) as error:
        load().require_secret()
    assert "Line 3 of ./.env is unreadable." in error.value.message
    assert "unclosed" not in error.value.message + error.value.hint


def test_folder_named_dotenv_is_reported_only_when_a_setting_is_missing(load: Load, folder: Path) -> None:
    (folder / ".env").mkdir()
    with pytest.raises(SettingsError) as error:
        load().require_secret()
    assert error.value.message == "No client secret is set. ./.env is a directory, so port-hook did not read it."
    settings = load(environ={"PORT_CLIENT_SECRET": "from the environment"}, needs=ONLY_THE_SECRET)
    assert (secret_of(settings), settings.warnings) == ("from the environment", ())


def test_dotenv_file_without_settings_cannot_be_faulty(load: Load) -> None:
    load.dotenv(b"OTHER=\xff\n")
    assert load() == Settings()


def test_dotenv_file_is_shown_in_the_error_when_it_is_not_utf8(load: Load) -> None:
    for content in [b"PORT_CLIENT_SECRET=\xff", "PORT_CLIENT_SECRET=x".encode("utf-16")]:
        load.dotenv(content)
        with pytest.raises(SettingsError, match=r"\.env is not UTF-8"):
            load()


# --- config.yaml ----------------------------------------------------------------------------------------------------


def test_org_selects_an_organization_of_a_configuration_file(load: Load, folder: Path) -> None:
    load.config()
    assert load(org="staging").client_id == "id-of-staging"
    (folder / "other.yaml").write_text(CONFIG)
    environ = {"PORT_CONFIG_FILE": "other.yaml", "PORT_DEFAULT_ORG": "staging"}
    assert load(environ).client_id == "id-of-staging"
    load.config("organizations: {one: {client_secret: s}}")  # the only organization needs no name
    assert secret_of(load()) == "s"
    with pytest.raises(SettingsError, match="PORT_CONFIG_FILE is invalid"):
        load({"PORT_CONFIG_FILE": "none.yaml"})


def test_several_organizations_are_reported_when_the_secret_is_missing(load: Load) -> None:
    path = load.config("organizations: {a: {client_secret: s}, b: {client_secret: t}}")
    with pytest.raises(SettingsError) as error:
        load().require_secret()
    assert f"{path} has several organizations (a, b) and no default_org." in error.value.message


def test_file_without_organizations_is_ignored(load: Load) -> None:
    for text in ["", "# nothing yet\n", "organizations:\n", "default_org: null\norganizations: ~\n"]:
        load.config(text)
        assert load() == Settings()


def test_unknown_organization_error_lists_the_known_organizations(load: Load) -> None:
    with pytest.raises(SettingsError, match=r"Organization not found in .*: 'test'"):
        load(org="test")
    path = load.config()
    with pytest.raises(SettingsError) as error:
        load(org="test")
    assert error.value.message == f"Organization not found in {path}: 'test'."
    assert error.value.hint == "It has: production, staging. Or log in with `port-hook login NAME`."
    load.config("default_org: test\norganizations: {a: {client_secret: s}}")
    with pytest.raises(SettingsError) as error:
        load().require_secret()
    assert error.value.hint == "It has: a."


def test_invalid_yaml_error_has_the_position_without_the_value(load: Load) -> None:
    load.config("organizations:\n  a:\n    client_secret: *hush\n")
    with pytest.raises(SettingsError, match="invalid YAML at line 3, column 20") as error:
        load()
    assert "hush" not in error.value.message + error.value.hint


def test_file_with_another_structure_is_rejected(load: Load) -> None:
    for text in ["- a\n", "organizations: [a]\n", "organizations: {a: b}\n"]:
        load.config(text)
        with pytest.raises(SettingsError, match="is not a configuration file"):
            load()


def test_file_without_yaml_is_rejected(load: Load) -> None:
    for content in [b"a: \x00", b"\xff\xfe\xff", b"[" * 5000]:
        load.config().write_bytes(content)
        with pytest.raises(SettingsError, match="is invalid YAML"):
            load()


def test_invalid_url_error_shows_the_organization(load: Load) -> None:
    load.config("organizations: {a: {api_url: nowhere}}")
    with pytest.raises(SettingsError, match="api_url in organization a of"):
        load()


# --- --secret-file --------------------------------------------------------------------------------------------------


def test_secret_file_loses_only_one_line_break(load: Load) -> None:
    for content, secret in [
        (b"s3cr3t", "s3cr3t"), (b"s3cr3t\n", "s3cr3t"), (b"s3cr3t\r\n", "s3cr3t"), (b"s3cr3t\n\n", "s3cr3t\n"),
        (b" s3cr3t \n", " s3cr3t "), (b"s3cr3t\r", "s3cr3t\r"), (b"\xef\xbb\xbfs3cr3t", "s3cr3t"),
    ]:  # fmt: skip
        (load.cwd / "secret").write_bytes(content)
        assert secret_of(load(secret_file="secret")) == secret
        load.memory = Memory()  # stdin is read once
        assert secret_of(load(stdin=content, secret_file="-")) == secret
    (load.home / "secret").write_text("at-home")
    assert secret_of(load(secret_file="~/secret")) == "at-home"


def test_empty_or_unreadable_secret_file_is_rejected(load: Load) -> None:
    for name in ("none", "."):
        with pytest.raises(SettingsError, match=f"cannot read the secret file {name}"):
            load(secret_file=name)
    for content, expected in [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b" \n\n", "is empty"),
        (b"\xff", "is not UTF-8"),
    ]:
        (load.cwd / "secret").write_bytes(content)
        with pytest.raises(SettingsError, match=expected):
            load(secret_file="secret")
