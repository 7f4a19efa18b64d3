"""Templates for the comparison with Port's engine: what guides show, what the rules say, and made-up ones."""

from __future__ import annotations

from random import Random
from typing import Any

DATA: dict[str, Any] = {
    "inputs": {
        "name": "zoë's box",
        "cpu": 64,
        "ratio": 1.5,
        "big": 12345678901234567890,
        "on": True,
        "none": None,
        "empty": "",
        "tags": ["a", "b"],
        "nested": {"k": {"deep": [1, {"x": "y"}]}},
        "quote": 'say "hi"',
        "braces": "{{ x }}",
        "team": {"identifier": "core", "title": "Core"},
        "region": "eu-west-1",
    },
    "trigger": {
        "by": {"orgId": "org_1", "userId": "auth0|1", "user": {"email": "zoe@example.com", "firstName": "Zoë"}},
        "origin": "UI",
        "at": "2026-01-02T03:04:05.678Z",
        "operation": "CREATE",
    },
    "event": None,
    "entity": {
        "identifier": "svc-1",
        "title": "Service",
        "team": ["core"],
        "properties": {"url": "https://e/x?y=1", "n": 1e21},
        "relations": {"cloud": ["c1"]},
    },
    "action": {"identifier": "create_vm", "blueprint": "vm", "encryptedProperties": []},
    "run": {"id": "r_QOz6WoOB1Q2lmhZZ"},
    "secrets": {},
}

# A typical body: ten expressions.
BODY = {
    "context": {"runId": "{{ .run.id }}", "entity": "{{ .entity.identifier }}", "blueprint": "{{ .action.blueprint }}"},
    "by": "{{ .trigger.by.user.email }}",
    "title": "{{ .inputs.name }} in {{ .inputs.region }}",
    "cpu": "{{ .inputs.cpu }}",
    "tags": "{{ .inputs.tags | map({Key: ., Value: 1}) }}",
    '{{ if .inputs.on then "enabled" else null end }}': True,
    "team": "{{ .inputs.team.identifier // 'none' }}",
}

GUIDES: list[Any] = [
    BODY,
    {
        "action": '{{ .action.identifier[("vm_" | length):] }}',
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": "{{ .trigger | {by: {orgId: .by.orgId, userId: .by.userId, user: .by.user}, origin, at} }}",
        "context": {"entity": "{{.entity.identifier}}", "blueprint": "{{.action.blueprint}}", "runId": "{{.run.id}}"},
        "payload": {
            "entity": "{{ (if .entity == {} then null else .entity end) }}",
            "action": {
                "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
                "trigger": "{{.trigger.operation}}",
            },
            "properties": {
                '{{if (.inputs | has("cpu")) then "cpu" else null end}}': '{{.inputs."cpu"}}',
                '{{if (.inputs | has("gpu")) then "gpu" else null end}}': '{{.inputs."gpu"}}',
            },
            "censoredProperties": "{{.action.encryptedProperties}}",
        },
    },
    {"title": "{{ .inputs.name }}", "port_context": {"runId": "{{ .run.id }}", "entity": "{{ .entity }}"}},
    {
        "text": "*{{ .trigger.by.user.email }}* asked for `{{ .inputs.cpu }}` CPUs in {{ .inputs.region }}",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": 'Hello {{ .inputs.team.title // "you" }}'}}],
    },
    {
        "cluster": '{{ .inputs.name | gsub("[^a-z]"; "-") }}',
        "region": "{{ .inputs.region }}",
        "tags": '{{ .inputs.tags | map({Key: ., Value: "1"}) }}',
        "count": "{{ .inputs.tags | length }}",
    },
    {"ref": "main", "inputs": {"port_payload": "{{ {context: .run, payload: .inputs} | tojson }}"}},
    'https://api.github.com/repos/{{ .entity.identifier }}/issues?labels={{ .inputs.tags | join(",") }}',
]

RULES: list[Any] = [
    *(
        "{{.a",
        "{{",
        "}}",
        "a}}b",
        "{{.a}} }}",
        "{{ {{ }}",
        "x{{{a:1}}}",
        "{{{a:1}}}",
        "{{ {a:1} }}",
        "{{.run}}}",
        "{}",
        "",
    ),
    *(
        "{{}}",
        "{{ }}",
        " {{ .run.id }}\n",
        "\ufeff{{ .run.id }}",
        "{{ .run.id }} ",
        "{{.run.id}}{{.run.id}}",
        "é😀{{.x",
    ),
    *('{{ "}}" }}', "{{ '}}' }}", '{{ "{{" + "a" }}', '{{ "\\"" }}', '{{ "\\\\" }}', "{{ 'a' + 'b' }}", "{{'a'}}"),
    *('{{ "it\'s" }}', "{{ ' a ' }}", "{{ \"'a'\" }}", "{{ 'it' + \"'s\" }}", "'{{ .run.id }}'", "{{ 'a' +\n'b' }}"),
    *("{{ empty }}", "a{{ empty }}b", "{{ 1, 2 }}", '{{ error("x") }}', "{{ error({a: 1}) }}", "{{ error(null) }}"),
    *(
        "{{ foo }}",
        "a{{ foo }}b",
        "{{ .inputs.name.x }}",
        "{{ .inputs.big }}",
        "{{ .inputs.big | tostring }}",
        "{{ 1.0 }}",
    ),
    *(
        "{{ 1e1000 }}",
        "{{ nan }}",
        "{{ infinite }}",
        "{{ -0 }}",
        "{{ [.inputs.big] }}",
        "{{ 100000000000000000000000 }}",
    ),
    *(
        "{{ env }}",
        "{{ $ENV }}",
        "{{ env.PATH }}",
        "{{ $ENV.PATH }}",
        "{{ input }}",
        "{{ input_filename }}",
        "{{ $__loc__ }}",
    ),
    *(
        "{{ .inputs.none }}",
        "a{{ .inputs.none }}",
        "{{ .inputs.empty }}",
        "{{ .inputs.quote }}",
        "a{{ .inputs.quote }}",
    ),
    *("{{ .inputs.nested }}", "a{{ .inputs.nested }}", "{{ . }}", "{{ .inputs.braces }}", '{{ "a\\u0000b" }}'),
    *({"{{ empty }}": 1}, {"{{ null }}": 1}, {'{{ "" }}': 1}, {"{{ 1 }}": 1}, {"{{ [] }}": 1}, {"{{ true }}": 1}),
    *({"{{ empty }}": "{{"}, {"{{ foo }}": "{{"}, {"a": "{{"}, {"{{": 1}, {"a": "{{ empty }}", "b": ["{{ empty }}"]}),
    *({"a{{ .run.id }}": 1}, {'{{ "x" }}': 1, "x": 2}, {"x": 1, '{{ "x" }}': 2}, {"b": 1, "2": 2, "1": 3}),
    *({"": 1}, {"{{ .inputs.name }}": {"{{ .run.id }}": ["{{ .inputs.tags }}"]}}, {"a": None, "b": True, "c": 1e21}),
    *({'{{ "2" }}': 1, '{{ "1" }}': 2, "a": 3}, {"{{ {} }}": 1}, {"__proto__": 1}, {'{{ "__proto__" }}': {"a": 1}}),
    *(
        {"{{ spreadValue() }}": {"a": 1}},
        {"a": 1, "{{spreadValue()}}": "{{ .run }}"},
        {"{{ spreadValue() }}": "{{ 1 }}"},
    ),
    *(
        {"{{ spreadValue() }}": None},
        {"{{ spreadValue( ) }}": ["{{ .run.id }}"]},
        {" {{spreadValue()}} ": "{{ .inputs }}"},
    ),
    *(
        "{{ pick(.run) }}",
        '{{ .inputs.cpu | ltrimstr("a") }}',
        "{{ .inputs.tags | @csv }}",
        "{{ 1 / 0 }}",
        "{{ {(0): 1} }}",
    ),
    *("{{ .entity.properties.n }}", '{{ {"2": 1, "1": 2} }}', 'a{{ {"2": 1, "1": 2} }}', "{{ .inputs | keys }}"),
    *(
        "{{ .trigger.at | .[:10] }}",
        '{{ "2015-03-05T23:51:47Z" | fromdate }}',
        "{{ # note\n .run.id }}",
        "{{ def f: 1; f }}",
    ),
    *(
        "{{ def f: 1; }}",
        "{{ .a) | (.b }}",
        '{{ import "a" as a; 1 }}',
        '{{ include "a"; 1 }}',
        "{{ halt }}",
        "{{ ascii }}",
    ),
    *(
        '{{ getpath(["inputs", "cpu"]) }}',
        "{{ .inputs.tags | first }}",
        "{{ limit(1; .inputs.tags[]) }}",
        "{{ @base64 }}",
    ),
    *(
        "{{ .inputs | to_entries | map(.key) }}",
        "{{ .inputs | del(.tags) }}",
        '{{ try error("x") catch . }}',
        "{{ .. }}",
    ),
    *(
        [],
        {},
        None,
        True,
        0,
        1.5,
        [["{{ .run.id }}", 1, None]],
        '{{ "a" * 0 }}',
        "{{ [.[]?] | length }}",
        "{{ tojson }}",
    ),
]

_ATOMS = (
    *(
        ".run.id",
        ".inputs.cpu",
        ".inputs.none",
        ".inputs.tags",
        ".inputs.nested.k",
        ".inputs.ratio",
        ".inputs.big",
        ".entity",
    ),
    *(
        "'text'",
        '"text"',
        "1",
        "-2.50",
        "1e3",
        "true",
        "null",
        "empty",
        "[]",
        "{}",
        ".nothing",
        ".inputs.quote",
        "{a: 1}",
    ),
    *(
        '"it\'s"',
        '"}}"',
        "'{{'",
        '"\\""',
        "foo",
        'error("x")',
        ".run.id.x",
        '"é\\(.inputs.cpu)"',
        ".inputs.name",
        "1.0",
    ),
)
_PIPES = (
    "length",
    "tostring",
    "type",
    "keys",
    "tojson",
    "not",
    "ascii_downcase",
    ".[0]",
    "first",
    "[.]",
    "{k: .}",
    "add?",
)
_NOISE = ("", "", " ", "\n", "a", "'", '"', "{", "}", "{{", "}}", "\\", "é", "😀", "\u00a0", "{{}}", "}}}", "{{{")


def made_up(count: int, seed: int) -> list[Any]:
    """Return `count` templates that follow from `seed` alone."""
    random = Random(seed)  # noqa: S311 - the same templates every time
    return [_template(random, 3) for _ in range(count)]


def _template(random: Random, depth: int) -> Any:
    shape = random.random()
    if depth and shape < 0.2:
        return [_template(random, depth - 1) for _ in range(random.randrange(4))]
    if depth and shape < 0.45:
        return {_text(random): _template(random, depth - 1) for _ in range(random.randrange(4))}
    if shape < 0.55:
        return random.choice([None, True, 0, 1.5, "plain", 1e21])
    return _text(random)


def _text(random: Random) -> str:
    if random.random() < 0.45:
        return f"{{{{{_expression(random)}}}}}"
    parts = [
        f"{{{{{_expression(random)}}}}}" if random.random() < 0.5 else random.choice(_NOISE)
        for _ in range(random.randrange(1, 5))
    ]
    return "".join(parts)


def _expression(random: Random) -> str:
    words = random.choice(_ATOMS)
    while random.random() < 0.4:
        words += random.choice(
            (f" | {random.choice(_PIPES)}", f" + {random.choice(_ATOMS)}", f" // {random.choice(_ATOMS)}")
        )
    return random.choice((words, f" {words} ", f"\n{words}\t"))
