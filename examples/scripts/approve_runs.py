"""Receive action runs, report each verified run to Port as done, and stop after N of them.

    set -a; . ./.env; set +a    # PORT_CLIENT_ID, PORT_CLIENT_SECRET and, for the sandbox, PORT_API_URL
    python3 examples/scripts/approve_runs.py 8000 1

Point an action at http://127.0.0.1:8000 in the sandbox, or send a request with `port-hook trigger --to 8000`.
"""

from __future__ import annotations

import asyncio
import sys

from port_hook_cli.api import Status, listen, report_run


async def approve(port: int, count: int) -> None:
    """Report `count` verified runs as successful."""
    async with listen(port=port) as listener:
        print(f"Listening on {listener.url}", flush=True)
        while count:
            capture = await listener.next()
            run_id = capture.payload.run_id
            if capture.verdict.status is not Status.VALID or run_id is None:
                print(f"Ignored a request whose signature is {capture.verdict.status}.", flush=True)
                continue
            await report_run(run_id, status="success", summary="Approved by a script.", logs=["approved"])
            print(f"Reported {run_id}", flush=True)
            count -= 1


if __name__ == "__main__":
    try:
        port, count = map(int, sys.argv[1:])
    except ValueError:
        sys.exit(__doc__)
    asyncio.run(approve(port, count))
