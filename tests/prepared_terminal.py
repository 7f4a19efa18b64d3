"""A program on a pseudo-terminal, for pexpect, from the prepared interpreter."""

from __future__ import annotations

import os
import termios
from typing import Any

import pexpect  # type: ignore[import-untyped]
from ptyprocess import PtyProcess  # type: ignore[import-untyped]

from tests.prepared import fork, is_possible


class Spawn(pexpect.spawn):  # type: ignore[misc]  # pexpect has no types
    """What `pexpect.spawn` starts, forked from the prepared interpreter if possible."""

    def _spawnpty(self, args: Any, *, env: Any, cwd: Any, **options: Any) -> Any:
        environ = os.environ if env is None else env
        command = [os.fsdecode(word) for word in args]
        if options.get("preexec_fn") or not options["echo"] or not is_possible(command, environ, cwd):
            return super()._spawnpty(args, env=env, cwd=cwd, **options)
        ours, its = os.openpty()
        termios.tcsetwinsize(ours, options.get("dimensions") or (24, 80))
        process = PtyProcess(fork(command, [its] * 3, environ, cwd, has_terminal=True), ours)
        os.close(its)
        process.argv, process.echo = command, True
        return process
