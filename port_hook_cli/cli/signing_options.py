"""The option of the commands that sign, apart from `options`: commands that only read captures need no HMAC."""

from __future__ import annotations

from typing import Annotated

import typer

from port_hook_cli.signatures.signing import TimestampUnit

Unit = Annotated[
    TimestampUnit,
    typer.Option("--timestamp-unit", help="The unit of the timestamp: seconds, as documented, or milliseconds."),
]
