from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.hints import (
    LISTEN_OPTIONS,
    REPLAY_OPTIONS,
    TRIGGER_OPTIONS,
    SenderOptions,
    delivery_hints,
)
from port_hook_cli.invocations.models import Delivery, Status, Verdict
from port_hook_cli.listener.responses import NOT_WANTED, made_to_fail, outside, rejected, too_large, undelivered
from port_hook_cli.signatures.causes import REPLAYED

URL = "http://127.0.0.1:8000/"


SENDERS = [LISTEN_OPTIONS, REPLAY_OPTIONS, TRIGGER_OPTIONS]


def test_error_status_has_a_hint() -> None:
    for status, words in [
        (302, "final URL"), (307, "trailing slash"), (400, "finds its mistake"), (401, "port-hook check"),
        (403, "port-hook check"), (404, "no route for this path"), (405, "not for this method"), (413, "size limit"),
        (415, "content-type"), (422, "which field"), (429, "limits the rate"), (500, "its log"), (501, "do_POST"),
        (599, "its log"),
    ]:  # fmt: skip
        for options in SENDERS:
            assert words in " ".join(delivery_hints(Delivery(url=URL, status=status), options))


def test_delivery_without_a_response_has_a_hint_for_its_fault() -> None:
    for options in SENDERS:
        for fault, words in [
            ("unreachable", "Start your handler"),
            ("timeout", "0 waits indefinitely"),
            ("broken", "log"),
            ("too-large", "smaller response"),
            ("interrupted", "port-hook replay --failed"),
        ]:
            assert words in " ".join(delivery_hints(Delivery(url=URL, fault=fault), options))


def test_hint_shows_the_options_of_the_sending_command() -> None:
    for options, delivery, words in [
        (LISTEN_OPTIONS, Delivery(url=URL, fault="unreachable"), "set --forward-to to its URL"),
        (LISTEN_OPTIONS, Delivery(url=URL, fault="unreachable"), "`port-hook replay last --to URL` sends it again"),
        (LISTEN_OPTIONS, Delivery(url=URL, fault="timeout"), "raise --timeout"),
        (LISTEN_OPTIONS, Delivery(url=URL, status=404), "in --forward-to"),
        (LISTEN_OPTIONS, Delivery(url=URL, status=401), "`port-hook check last` finds its mistake"),
        (REPLAY_OPTIONS, Delivery(url=URL, status=401), f"`port-hook check last --to {URL}` finds its mistake"),
        (TRIGGER_OPTIONS, Delivery(url="http://a/?b&c={d}", status=403), "--to 'http://a/?b&c=%7Bd%7D'`"),
        (REPLAY_OPTIONS, Delivery(url=URL, fault="unreachable"), "set --to to its URL"),
        (REPLAY_OPTIONS, Delivery(url=URL, fault="timeout"), "raise --timeout"),
        (REPLAY_OPTIONS, Delivery(url=URL, status=302), "Set --to to the final URL"),
        (REPLAY_OPTIONS, Delivery(url=URL, status=405), "--method"),
        (REPLAY_OPTIONS, Delivery(url=URL, status=415), "--header content-type:"),
        (TRIGGER_OPTIONS, Delivery(url=URL, status=404), "in --to"),
        (TRIGGER_OPTIONS, Delivery(url=URL, status=415), "in `headers`"),
    ]:
        assert words in " ".join(delivery_hints(delivery, options))


def test_hint_points_to_the_listener_when_a_listener_rejected_the_request() -> None:
    for options in SENDERS:
        for is_message in [False, True]:
            response = rejected(Verdict(status=Status.INVALID, causes=(REPLAYED,)))
            delivery = Delivery(url=URL, status=response.status, body=response.body)
            (hint,) = delivery_hints(delivery, options, is_message=is_message)
            assert hint.startswith("`port-hook listen` rejected this request, so the handler did not get it.")
            assert f"set {options.target} to the handler's own port." in hint


def test_response_of_a_listener_itself_gets_the_hint_of_the_listener() -> None:
    for response, words in [
        (NOT_WANTED, "`port-hook listen --only` rejected this request. If its body doesn't contain an identifier,"),
        (outside("/a"), "`port-hook listen --path` rejected this request."),
        (too_large(10), "`port-hook listen` rejected this request for its size."),
        (made_to_fail(0), "`port-hook listen --fail-first` responded."),
        (undelivered(Delivery(url=URL, fault="unreachable")), "`port-hook listen` could not connect to its handler."),
        (undelivered(Delivery(url=URL, fault="broken")), "The handler of `port-hook listen` closed the connection."),
        (undelivered(Delivery(url=URL, fault="timeout")), "The handler of `port-hook listen` did not respond in time."),
    ]:
        for options in SENDERS:
            delivery = Delivery(url=URL, status=response.status, body=response.body)
            (hint,) = delivery_hints(delivery, options)
            assert hint.startswith(words.format(target=options.target))
            (other,) = delivery_hints(replace(delivery, status=599), options)
            assert other == "The handler failed. Check its log."


def test_delivery_has_no_hint_when_the_cause_is_unknown() -> None:
    for options in SENDERS:
        for delivery in [
            *(Delivery(url=URL, status=status) for status in (200, 204, 299, 418, 499)),
            Delivery(url=URL),
            Delivery(url=URL, fault="of a later version"),
        ]:
            assert delivery_hints(delivery, options, conflict="Two places differ.") == ()


@given(st.integers(100, 999), st.sampled_from(SENDERS), st.booleans())
def test_delivery_has_hints_of_one_line_only_when_it_failed(
    status: int, options: SenderOptions, is_message: bool
) -> None:
    hints = delivery_hints(Delivery(url=URL, status=status), options, is_message=is_message)
    assert not hints or not 200 <= status <= 299
    assert not any({"\n", "{", "}"} & set(hint) for hint in hints)


def test_hint_describes_the_signed_form_when_a_handler_rejects_a_message() -> None:
    for status in [400, 401, 403]:
        (hint,) = delivery_hints(Delivery(url=URL, status=status), LISTEN_OPTIONS, is_message=True)
        assert "without its two signature headers" in hint
        assert "port-hook check" not in hint


def test_conflict_of_secrets_is_the_last_hint_when_the_signature_may_be_rejected() -> None:
    for is_message in [False, True]:
        for status, is_told in [(400, False), (401, True), (403, True), (404, False), (200, False)]:
            conflict = "Two places differ."
            hints = delivery_hints(
                Delivery(url=URL, status=status), LISTEN_OPTIONS, is_message=is_message, conflict=conflict
            )
            assert (hints[-1:] == (conflict,)) is is_told
