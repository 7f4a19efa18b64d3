"""What judges the sandbox from outside installs programs from npm and PyPI, so only `make conformance` runs it."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("PORT_HOOK_CONFORMANCE") else ["test_*.py"]
