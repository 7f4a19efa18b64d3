"""The page in the browser."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature

FEATURE = Feature(
    commands={
        "inspect": CommandRow(
            "port_hook_cli.cli.inspect:inspect",
            "Receive and read",
            after="verify",
            examples=("port-hook inspect", "port-hook inspect --port 9000 --no-open"),
        )
    },
    options={"listen": ("port_hook_cli.cli.listen_inspector:ListenInspector",)},
)
