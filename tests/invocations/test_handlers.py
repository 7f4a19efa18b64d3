from __future__ import annotations

import pytest

from port_hook_cli.invocations.handlers import DEFAULT_HANDLER, Handler, HandlerRule, handler_here

OWN, LAST = "http://127.0.0.1:1/own", "http://127.0.0.1:3"
PROJECT = Handler("http://127.0.0.1:2", "the handler in ./port-hook.toml")


def test_handler_is_the_one_of_the_capture_then_of_the_project_then_of_the_last_listen_then_the_default() -> None:
    rule = HandlerRule(project=PROJECT, last=lambda: LAST, guesses=True)
    assert rule.find(OWN) == Handler(OWN, "where the capture was forwarded")
    assert rule.find("http://10.0.0.1/") == PROJECT
    without = HandlerRule(last=lambda: LAST, guesses=True)
    assert without.find(None) == Handler(LAST, "where the last `listen` with this store forwarded")
    assert HandlerRule(guesses=True).find() == Handler(DEFAULT_HANDLER)
    assert HandlerRule().find("http://10.0.0.1/") is None
    assert HandlerRule(last=lambda: "http://10.0.0.1/").url() is None


def test_store_is_not_read_for_a_handler_that_is_already_known() -> None:
    def last() -> str:
        pytest.fail("the store was read")

    assert HandlerRule(project=PROJECT, last=last).url() == PROJECT.url
    assert HandlerRule(last=last).url(OWN) == OWN


def test_line_about_the_default_names_the_option() -> None:
    assert Handler(DEFAULT_HANDLER).line("Sending to") == (
        "Sending to http://127.0.0.1:8000/ (default; --to changes it)"
    )


def test_only_handlers_on_this_machine_count() -> None:
    assert handler_here("8000/hook") == "http://127.0.0.1:8000/hook"
    for text in (None, "", "https://example.com", "http://127.0.0.1@example.com/", "10.0.0.1:80", "x y"):
        assert handler_here(text) is None
