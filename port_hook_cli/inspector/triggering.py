"""The actions of the user's files: their forms, and the requests that they make."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import read_action
from port_hook_cli.errors import SettingsError, UsageError
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.trigger.action import Made
    from port_hook_cli.trigger.run_data import RunData

_NO_ACTIONS = "No actions were given. Start the inspector with --actions PATH."
_MAX_INPUTS = 200


class Actions:
    """Actions in files and folders. They are read again for each request, so that edits take effect immediately."""

    def __init__(self, paths: Sequence[Path], secret: Secret | None, runtime: Runtime) -> None:
        self._paths, self._secret, self._runtime = paths, secret, runtime

    def why_not(self) -> str | None:
        """Return why no action can be triggered, or None."""
        if not self._paths:
            return _NO_ACTIONS
        return None if self._secret else "There is no client secret to sign with."

    async def forms(self) -> list[dict[str, Any]]:
        """Return the actions with their inputs. Raises UsageError for a faulty file."""
        return [_form(action) for action in await asyncio.to_thread(self._read)]

    async def request(self, identifier: str, inputs: Mapping[str, Any]) -> tuple[Made, Invocation]:
        """Return the request of a run of an action, unsigned and signed.

        Raises UsageError for inputs that Port would refuse, and for an automation, which needs an event.
        """
        from port_hook_cli.trigger.action import Unmet, make, signed
        from port_hook_cli.trigger.open_invoker import invoking

        if self._secret is None:
            raise SettingsError("There is no client secret to sign with.", hint="Set PORT_CLIENT_SECRET.")
        secret = self._secret
        now, action = self._runtime.now(), read_action(await self.find(identifier))
        data = self.run_data(inputs)
        with invoking(lambda: secret) as invoker:
            made = await make(action, data, invoker, run_id=make_run_id(secrets.choice), now=now)
        assert not isinstance(made, Unmet)  # an automation without an event is refused
        return made, signed(made.request, Signer(secret), id=self._runtime.new_id(), now=now)

    async def find(self, identifier: str) -> Mapping[str, Any]:
        """Return the definition of an action. Raises UsageError if no file has it."""
        found = {action["identifier"]: action for action in await asyncio.to_thread(self._read)}
        if identifier not in found:
            raise UsageError(f"The action {identifier[:80]} is not in the files.", hint="Reload the page.")
        return found[identifier]

    def run_data(self, inputs: Mapping[str, Any]) -> RunData:
        """Return the data of a run that the page starts."""
        from port_hook_cli.trigger.run_data import RunData

        return RunData(properties=inputs, by=_BY)

    def _read(self) -> list[dict[str, Any]]:
        from port_hook_cli.sandbox.definition_files import read_actions

        return read_actions(self._paths) if self._paths else []


_BY = {"userId": "inspector", "orgId": "org_inspector", "user": {"email": "you@inspector.local", "firstName": "You"}}


def _form(action: Mapping[str, Any]) -> dict[str, Any]:
    trigger = action.get("trigger")
    trigger = trigger if isinstance(trigger, dict) else {}
    declared = trigger.get("userInputs")
    declared = declared if isinstance(declared, dict) else {}
    properties, required = declared.get("properties"), declared.get("required")
    inputs = properties if isinstance(properties, dict) else {}
    names = required if isinstance(required, list) else []
    return {
        "identifier": action["identifier"],
        "title": action.get("title"),
        "description": action.get("description"),
        "operation": trigger.get("operation"),
        "inputs": [
            {
                "name": name,
                "title": rules.get("title"),
                "type": rules.get("type"),
                "format": rules.get("format"),
                "description": rules.get("description"),
                "required": name in names,
                "default": rules.get("default"),
                "enum": rules.get("enum") if isinstance(rules.get("enum"), list) else None,
            }
            for name, rules in list(inputs.items())[:_MAX_INPUTS]
            if isinstance(rules, dict)
        ],
    }
