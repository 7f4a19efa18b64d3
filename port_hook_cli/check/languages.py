"""The language of a handler, as far as its command shows it, and the examples of fixes in each language.

This module is pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum

from port_hook_cli.signatures.causes import RAW_BODY


class Language(StrEnum):
    """A language that handlers are written in."""

    PYTHON = "Python"
    NODE = "Node"
    GO = "Go"
    JAVA = "Java"
    RUBY = "Ruby"
    PHP = "PHP"


_PROGRAMS = {
    Language.PYTHON: "python pypy uvicorn gunicorn hypercorn flask fastapi uv poetry pipenv",
    Language.NODE: "node nodejs npm npx pnpm yarn bun deno tsx ts-node nodemon",
    Language.GO: "go air",
    Language.JAVA: "java mvn mvnw gradle gradlew",
    Language.RUBY: "ruby rails rackup puma bundle",
    Language.PHP: "php artisan composer symfony",
}
_SUFFIXES = {
    Language.PYTHON: ".py",
    Language.NODE: ".js .mjs .cjs .ts .mts .cts",
    Language.GO: ".go",
    Language.JAVA: ".java .jar .kt",
    Language.RUBY: ".rb .ru",
    Language.PHP: ".php",
}
_LANGUAGES: Mapping[str, Language] = {
    word: language for table in (_PROGRAMS, _SUFFIXES) for language, words in table.items() for word in words.split()
}
_VERSION = re.compile(r"[\d.]+$")

WHOLE = "Compare the whole signature in constant time."
RAW = "Verify the raw body before you parse it."
JOIN = "Join its pieces as bytes before you decode them."
LIMIT = "Raise the body limit to at least 1 MB."
COMPACT = "also try its JSON in ASCII, without spaces after commas and colons."
_EXAMPLES: Mapping[str, Mapping[Language, str]] = {
    WHOLE: {
        Language.PYTHON: "`hmac.compare_digest`",
        Language.NODE: "`crypto.timingSafeEqual`, after you compare the lengths",
        Language.GO: "`hmac.Equal`",
        Language.JAVA: "`MessageDigest.isEqual`",
        Language.RUBY: "`Rack::Utils.secure_compare`",
        Language.PHP: "`hash_equals`",
    },
    RAW: {
        Language.PYTHON: "`await request.body()` in FastAPI, `request.get_data()` in Flask",
        Language.NODE: "`express.raw({type: '*/*'})` in Express, `Buffer.concat(chunks)` with node:http",
        Language.GO: "`io.ReadAll(request.Body)`",
        Language.JAVA: "`@RequestBody byte[] body` in Spring",
        Language.RUBY: "`request.raw_post` in Rails, `request.body.read` in Sinatra",
        Language.PHP: "`file_get_contents('php://input')`",
    },
    JOIN: {Language.PYTHON: "`b''.join(pieces)`", Language.NODE: "`Buffer.concat(chunks)`"},
    LIMIT: {
        Language.PYTHON: "`MAX_CONTENT_LENGTH` in Flask",
        Language.NODE: "`express.raw({type: '*/*', limit: '1mb'})` in Express",
        Language.PHP: "`post_max_size` in php.ini",
    },
    COMPACT: {Language.PYTHON: "`json.dumps(json.loads(body), separators=(',', ':'))`"},
}
"""The examples for sentences of fixes. A language without an example gets only the sentence."""


def language_of(command: Sequence[str]) -> Language | None:
    """Return the language that the words of a command show, or None if they show none or several."""
    found = {language for word in _words(command) if (language := _shown_by(word))}
    return found.pop() if len(found) == 1 else None


def _words(command: Sequence[str]) -> list[str]:
    """Return the words of a command, including the words of a script in one word, as in `sh -c SCRIPT`."""
    words: list[str] = []
    for word in command:
        try:
            words += shlex.split(word)
        except ValueError:
            words.append(word)
    return words


def _shown_by(word: str) -> Language | None:
    name = re.split(r"[\\/]", word)[-1].lower().removesuffix(".exe")
    _, dot, suffix = name.rpartition(".")
    return _LANGUAGES.get(_VERSION.sub("", name) or name) or _LANGUAGES.get(dot + suffix)


def fix_in(language: Language | None, fix: str) -> str:
    """Return a fix with the examples of one language only, or without examples for None."""
    fix = fix.replace(RAW_BODY, RAW)
    for sentence, examples in _EXAMPLES.items():
        if language is not None and language in examples:
            fix = fix.replace(sentence, f"{sentence} In {language}: {examples[language]}.")
    return fix
