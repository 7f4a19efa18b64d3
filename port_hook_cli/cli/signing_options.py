"""The option of the commands that sign, apart from `options`: commands that only read captures need no HMAC."""

from __future__ import annotations

from typing import Annotated

from port_hook_cli.cli.declaration import ANY_VALUE
from port_hook_cli.cli.option_groups import option
from port_hook_cli.signatures.signing import TimestampUnit

Unit = Annotated[
    TimestampUnit,
    option(
        "--timestamp-unit",
        help="The unit of the timestamp: seconds, as documented, or milliseconds.",
        trust=ANY_VALUE,
    ),
]
