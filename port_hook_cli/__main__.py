"""Run port-hook as `python -m port_hook_cli`."""

from __future__ import annotations

import sys

from port_hook_cli.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
