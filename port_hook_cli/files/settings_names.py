"""How messages and code name the places of settings; apart from the code that reads them, to be imported quickly."""

from __future__ import annotations

ENVIRONMENT = "the environment"
# The file of the working folder, which a stranger may have written.
PROJECT_FILE = "./.env"
SECRET_VARIABLE = "PORT_CLIENT_SECRET"  # noqa: S105 - a variable's name
