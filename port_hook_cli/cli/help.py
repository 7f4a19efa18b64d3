"""Groups of options and examples, for commands that have many options; imported only for `--help`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GROUPS: Mapping[str, Mapping[str, Sequence[str]]] = {}
"""Command -> group -> its options. tests/cli/test_help.py checks that each option is in one group."""

EXAMPLES: Mapping[str, Sequence[str]] = {
    "listen": (
        "port-hook listen --forward-to 8000",
        "port-hook listen --forward-to 8000 --retarget create_vm",
        "port-hook listen --respond 503 --tunnel none --once",
    ),
    "trigger": (
        "port-hook trigger create_vm.json --to 8000 --input title=test",
        "port-hook trigger actions/#create_vm --dry-run --inputs inputs.json",
        "port-hook trigger workflow.json --to 8000 --input service=cart",
        "port-hook trigger create_vm --via-port --wait 60 --input title=test",
    ),
    "agent": (
        "port-hook agent message.json --mapping control_the_payload_config.json",
        "port-hook agent last --status 500",
        "port-hook agent last --watch --mapping control_the_payload_config.json",
        "port-hook agent --kafka --since 10m",
        "port-hook agent --check control_the_payload_config.json",
    ),
    "replay": (
        "port-hook replay last",
        "port-hook replay last --to 8000 --set payload.properties.cpu=4",
        "port-hook replay --failed --since 1h",
        "port-hook replay last --compare --ignore request_id",
        "port-hook replay payload.json --to 8000 --times 100 --concurrency 8",
    ),
    "report-run": (
        'port-hook report-run last --log "VM is up" --status success',
        "port-hook report-run r_QOz6WoOB1Q2lmhZZ -- ./deploy.sh --env staging",
        "port-hook report-run --pending",
    ),
}
