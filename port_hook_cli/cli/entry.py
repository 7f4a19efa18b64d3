"""The entry point of the program. It completes a shell's words without importing a command."""

from __future__ import annotations

import os
import sys

_ASKED = "_PORT_HOOK_COMPLETE"
# `ExitCode.INTERRUPTED`. It is repeated here, because importing it would slow down completion.
_INTERRUPTED = 130
_OF_COMPLETION = frozenset({"--install-completion", "--show-completion"})


def main() -> int:
    """Run port-hook with the arguments of the process, and return the exit code."""
    if _ASKED in os.environ:
        from port_hook_cli.cli.completion.shells import complete

        code = complete(os.environ[_ASKED], os.environ, sys.stdout)
        if code is not None:
            return code
    if _OF_COMPLETION.intersection(sys.argv):
        from port_hook_cli.cli.completion.first_tab import complete_at_first_tab

        complete_at_first_tab()
    try:
        from port_hook_cli.cli.app import main as run
    except KeyboardInterrupt:
        return _INTERRUPTED
    return run()
