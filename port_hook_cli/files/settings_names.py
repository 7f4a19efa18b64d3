"""The names of the places that settings come from, in a small module that is quick to import."""

from __future__ import annotations

ENVIRONMENT = "the environment"
# The file of the working folder, which a stranger may have written.
PROJECT_FILE = "./.env"
SECRET_VARIABLE = "PORT_CLIENT_SECRET"  # noqa: S105 - a variable's name
# The list of what `port-hook login` keeps, in the home folder.
LOGINS = ".port-hook/logins.json"
PROJECT_CONFIG = "port-hook.toml"
PYPROJECT = "pyproject.toml"
