"""JSON Schemas for the formats of other tools, written from their specifications.

HAR 1.2: http://www.softwareishard.com/blog/har-12-spec/. Postman 2.1: the parts of
https://schema.getpostman.com/json/collection/v2.1.0/collection.json that a collection of requests uses. Objects are
closed, except for the underscore fields that HAR allows, so that a misspelled field is found.
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_SIZE = {"type": "integer", "minimum": -1}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


def _list_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_COMMENT = {"comment": _TEXT}
_PAIR = _object({"name": _TEXT, "value": _TEXT}, _COMMENT)
_COOKIE = _object({"name": _TEXT, "value": _TEXT}, {"path": _TEXT, "domain": _TEXT, "expires": _TEXT})
_MESSAGE = {
    "httpVersion": _TEXT,
    "cookies": _list_of(_COOKIE),
    "headers": _list_of(_PAIR),
    "headersSize": _SIZE,
    "bodySize": _SIZE,
}
_REQUEST = _object(
    {**_MESSAGE, "method": _TEXT, "url": {"type": "string", "format": "uri"}, "queryString": _list_of(_PAIR)},
    {"postData": _object({"mimeType": _TEXT, "text": _TEXT}, {"params": {"type": "array"}, **_COMMENT}), **_COMMENT},
)
_RESPONSE = _object(
    {
        **_MESSAGE,
        "status": {"type": "integer"},
        "statusText": _TEXT,
        "redirectURL": _TEXT,
        "content": _object(
            {"size": _SIZE, "mimeType": _TEXT}, {"text": _TEXT, "encoding": _TEXT, "compression": _NUMBER, **_COMMENT}
        ),
    },
    _COMMENT,
)
_ENTRY = _object(
    {
        "startedDateTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"},
        "time": {"type": "number", "minimum": 0},
        "request": _REQUEST,
        "response": _RESPONSE,
        "cache": {"type": "object"},
        "timings": _object(
            {"send": _NUMBER, "wait": _NUMBER, "receive": _NUMBER},
            {"blocked": _NUMBER, "dns": _NUMBER, "connect": _NUMBER, "ssl": _NUMBER, **_COMMENT},
        ),
    },
    {"pageref": _TEXT, "serverIPAddress": _TEXT, "connection": _TEXT, **_COMMENT},
)
HAR_1_2 = _object(
    {
        "log": _object(
            {"version": {"const": "1.2"}, "creator": _object({"name": _TEXT, "version": _TEXT}, _COMMENT),
             "entries": _list_of(_ENTRY)},
            {"browser": {"type": "object"}, "pages": {"type": "array"}, **_COMMENT},
        )
    }
)  # fmt: skip

_FIELD = _object({"key": _TEXT, "value": _TEXT}, {"disabled": {"type": "boolean"}, "description": _TEXT})
_URL = _object(
    {"raw": _TEXT},
    {"protocol": _TEXT, "host": _list_of(_TEXT), "path": _list_of(_TEXT), "port": _TEXT, "query": _list_of(_FIELD)},
)
_BODY = _object({"mode": {"enum": ["raw", "urlencoded", "formdata", "file", "graphql"]}}, {"raw": _TEXT, "options": {}})
_POSTMAN_REQUEST = _object({"method": _TEXT, "header": _list_of(_FIELD), "url": _URL}, {"body": _BODY})
_POSTMAN_RESPONSE = _object(
    {}, {"name": _TEXT, "originalRequest": _POSTMAN_REQUEST, "code": {"type": "integer"}, "status": _TEXT,
         "header": _list_of(_FIELD), "body": {"type": ["string", "null"]}}
)  # fmt: skip
_EVENT = _object(
    {"listen": {"enum": ["test", "prerequest"]}}, {"script": _object({"exec": _list_of(_TEXT)}, {"type": _TEXT})}
)
POSTMAN_2_1 = _object(
    {
        "info": _object(
            {"name": _TEXT, "schema": {"const": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"}}
        ),
        "item": _list_of(
            _object({"request": _POSTMAN_REQUEST}, {"name": _TEXT, "response": _list_of(_POSTMAN_RESPONSE)})
        ),
    },
    {"event": _list_of(_EVENT), "variable": {"type": "array"}},
)
