"""Port's model: actions, workflows, templates and runs, and the commands that use them."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature

FEATURE = Feature(
    commands={
        "trigger": CommandRow(
            "port_hook_cli.cli.trigger:trigger",
            "Send to your handler",
            after="replay",
            examples=(
                "port-hook trigger create_vm.json --input title=test",
                "port-hook trigger workflow.json#deploy --input service=cart",
                "port-hook trigger create_vm --via-port --wait 60 --input title=test",
            ),
        ),
        "runs": CommandRow(
            "port_hook_cli.cli.runs:runs",
            "Runs in Port",
            examples=("port-hook runs", "port-hook runs r_QOz6WoOB1Q2lmhZZ", "port-hook runs last --watch"),
        ),
        "decrypt": CommandRow(
            "port_hook_cli.cli.encryption:decrypt",
            examples=("port-hook decrypt last", "port-hook decrypt last payload.properties.password"),
        ),
        "encrypt": CommandRow(
            "port_hook_cli.cli.encryption:encrypt",
            examples=(
                "port-hook encrypt - < value.txt",
                "port-hook encrypt - --public-key key.pem < value.txt",
            ),
        ),
        "render": CommandRow(
            "port_hook_cli.cli.render:render",
            examples=(
                "port-hook render '{{ .inputs.cpu }}' --data run.json",
                "port-hook render body.json --data run.json --strict",
            ),
        ),
    },
    options={"listen": ("port_hook_cli.cli.listen_runs:ListenRuns", "port_hook_cli.cli.listen_runs:ListenDecrypt")},
    targets={"kafka://": "port_hook_cli.cli.replay_kafka:KafkaTarget"},
    python={name: f"port_hook_cli.api_trigger:{name}" for name in ("RunAbout", "render", "trigger")},
)
