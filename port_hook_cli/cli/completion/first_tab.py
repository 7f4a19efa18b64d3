"""Adds completion at the first Tab of a shell to Typer's completion script for zsh."""

from __future__ import annotations

# zsh loads the script's file at the first Tab. The file registers a function for later Tabs, and has to call this
# function itself for the first Tab.
_CALL = """
if [[ $funcstack[1] == _%(prog_name)s ]]; then
  %(complete_func)s "$@"
fi
"""


def complete_at_first_tab() -> None:
    """Make `--install-completion` and `--show-completion` write a script that completes at the first Tab."""
    from typer import _completion_shared as scripts

    scripts._completion_scripts["zsh"] = scripts.COMPLETION_SCRIPT_ZSH + _CALL  # noqa: SLF001 - no public setting
