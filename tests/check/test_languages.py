"""The language that a command shows, and the examples in fixes."""

from __future__ import annotations

import shlex

from port_hook_cli.check.catalog import CHECKS
from port_hook_cli.check.languages import Language, fix_in, language_of
from port_hook_cli.signatures.causes import RAW_BODY

LANGUAGES = {
    "python3.12 app.py": Language.PYTHON,
    "/usr/bin/uvicorn main:app": Language.PYTHON,
    "node server.mjs": Language.NODE,
    "go run .": Language.GO,
    "java -jar target/handler.jar": Language.JAVA,
    "bundle exec puma": Language.RUBY,
    "php -S 127.0.0.1:8000 hook.php": Language.PHP,
    "sh -c 'cd api && exec php8.3 artisan serve'": Language.PHP,
    "./handler": None,
    "sh -c 'node a.js & python b.py'": None,
}


def test_words_of_a_command_show_its_language() -> None:
    assert {command: language_of(shlex.split(command)) for command in LANGUAGES} == LANGUAGES


def test_fixes_show_no_other_language() -> None:
    for language in (None, *Language):
        fixes = [fix_in(language, fix) for fix in (RAW_BODY, *(check.fix for check in CHECKS))]
        shown = {other for other in Language for fix in fixes if f"In {other}: " in fix}
        assert shown == ({language} if language else set())
        if language is not Language.NODE:
            assert not any("express" in fix.lower() or "Buffer" in fix for fix in fixes)
