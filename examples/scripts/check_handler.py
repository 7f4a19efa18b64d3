"""Check that a running handler accepts an action's request, and rejects a request with a wrong signature.

    PORT_CLIENT_SECRET=… python3 examples/scripts/check_handler.py examples/actions/create_vm.json 8000 title=dev-env

The exit code is 1 if the handler does anything else.
"""

from __future__ import annotations

import asyncio
import sys

from port_hook_cli.api import PortHookError, trigger

ANOTHER_SECRET = "not the client secret"  # noqa: S105 - it is not a secret


async def check(action: str, to: str, inputs: dict[str, str]) -> list[str]:
    """Return what is wrong with the handler."""
    problems = []
    accepted = await trigger(action, inputs, to=to)
    if not accepted.delivery.ok:
        problems.append(f"a valid request got {accepted.delivery.status or accepted.delivery.error}")
    rejected = await trigger(action, inputs, to=to, secret=ANOTHER_SECRET)
    if rejected.delivery.ok:
        problems.append(f"a request with a wrong signature got {rejected.delivery.status}")
    return problems


if __name__ == "__main__":
    try:
        name, target, *pairs = sys.argv[1:]
        inputs = dict(pair.split("=", 1) for pair in pairs)
    except ValueError:
        sys.exit(__doc__)
    try:
        found = asyncio.run(check(name, target, inputs))
    except PortHookError as problem:
        sys.exit(f"error: {problem.message}\nhint: {problem.hint}")
    sys.exit("\n".join(found) or None)
