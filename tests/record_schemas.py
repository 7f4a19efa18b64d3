"""The JSON Schemas of the records, in docs/reference/schemas. Tests check each record of a command with them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "schemas"


@cache
def validator(schema: str) -> Draft202012Validator:
    """Return the validator of a record's `schema`, such as `port-hook/event/1`."""
    document = json.loads((FOLDER / f"{schema.removeprefix('port-hook/').replace('/', '-')}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def checked(record: Any) -> Any:
    """Return a record that a command printed. Raises ValidationError if its schema does not describe it."""
    schema = record.get("schema") if isinstance(record, dict) else None
    if isinstance(schema, str) and schema.startswith("port-hook/"):
        validator(schema).validate(record)
    return record
