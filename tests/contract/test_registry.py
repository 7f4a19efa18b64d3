"""Each feature's rows name objects that exist, because a wrong name would only fail when it is used."""

from __future__ import annotations

import pytest

from port_hook_cli import api
from port_hook_cli.cli.commands import COMMANDS, ROWS
from port_hook_cli.features import NAMES
from port_hook_cli.registry import features, load


@pytest.mark.parametrize("name", NAMES)
def test_every_import_path_of_a_feature_can_be_loaded(name: str) -> None:
    feature = features()[name]
    groups = [path for paths in feature.options.values() for path in paths]
    others = [*feature.targets.values(), *feature.python.values(), feature.before_commands]
    for path in filter(None, [*(row.run for row in feature.commands.values()), *groups, *others]):
        assert callable(load(path)), path


def test_every_command_follows_a_command_of_its_group() -> None:
    assert sorted(COMMANDS) == sorted(ROWS)
    for name, row in ROWS.items():
        assert not row.after or ROWS[row.after].group == row.group, name


def test_python_api_has_the_names_of_the_features() -> None:
    for feature in features().values():
        for name, path in feature.python.items():
            assert getattr(api, name) is load(path)
            assert name in api.__all__
            assert name in dir(api)
