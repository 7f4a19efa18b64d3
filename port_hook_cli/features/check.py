"""Requests that find the mistakes in a handler."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature

FEATURE = Feature(
    commands={
        "check": CommandRow(
            "port_hook_cli.cli.check:check",
            "Send to your handler",
            after="trigger",
            examples=(
                "port-hook check --to 8000",
                "port-hook check last --only signature",
                "port-hook check create_vm.yaml --to 8000 --junit out.xml -- python app.py",
            ),
        )
    },
    python={name: f"port_hook_cli.api_check:{name}" for name in ("CheckSelection", "check")},
    example=(40, "port-hook check --to 8000", "Find the mistakes in your handler"),
)
