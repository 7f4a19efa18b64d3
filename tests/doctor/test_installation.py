from __future__ import annotations

import pytest

from port_hook_cli.doctor.check import CheckState
from port_hook_cli.doctor.examination import check_extra


def test_extra_is_reported_with_its_version_or_its_install_command() -> None:
    found = check_extra("pytest", "pytest")
    assert (found.state, found.message, found.next_step) == (
        CheckState.OK,
        f"pytest {pytest.__version__} is installed.",
        "",
    )

    found = check_extra("ssh", "a-package-that-nobody-has")
    assert (found.state, found.subject, found.message) == (CheckState.SKIPPED, "ssh", "Not installed.")
    assert " install " in found.next_step
    assert "a-package-that-nobody-has" in found.next_step
