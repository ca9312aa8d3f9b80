"""Which error an answer means, and what is done about it: every recorded form, and pure rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb import errors
from vastnb.api.answers import (
    Definite,
    Good,
    QuotaSpent,
    Refusal,
    Refused,
    Trouble,
    decode,
    judge,
    next_midnight,
    read_refusal,
)
from vastnb.api.endpoints import ENDPOINTS
from vastnb.api.retry import Again, GiveUp, Situation, after
from vastnb.api.wire import Failure, Response

from .peer import Peer, answer, hang_up, raw, truncated

NOW = 1_790_000_000.0
SEARCH, CREATE = ENDPOINTS["search_offers"], ENDPOINTS["create_instance"]
DESTROY, SHOW = ENDPOINTS["destroy_instance"], ENDPOINTS["show_instance"]


def reply(status, body, **headers):
    from requests.structures import CaseInsensitiveDict

    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, CaseInsensitiveDict(named), data)


CASES = [
    # endpoint, status, body, error, words in it
    (CREATE, 404, {"success": False, "error": "auth_error", "msg": "Invalid user key"},
     errors.AuthError, "key"),
    (SHOW, 401, {"msg": "nope"}, errors.AuthError, "401"),
    (CREATE, 403, {"error": "forbidden"}, errors.AuthError, "not allowed"),
    (CREATE, 410, {"error": "no_such_ask", "msg": "error 410/3907:"}, errors.OfferGone, "3907"),
    (CREATE, 404, {"error": "invalid_args", "msg": "error 404/3603: no_such_ask Instance type"},
     errors.OfferGone, "3603"),
    (CREATE, 400, {"error": "no_such_ask", "msg": "No ask by id"}, errors.OfferGone, "No ask"),
    (CREATE, 400, {"error": "missing_billing", "msg": "You lack credit"}, errors.NoCredit, "lack"),
    (CREATE, 400, {"error": "insufficient_credit", "msg": ""}, errors.NoCredit, "credit"),
    (CREATE, 400, {"error": "invalid_price", "msg": "too low"}, errors.InvalidRequest, "too low"),
    (SHOW, 410, {"error": "deprecated_endpoint", "msg": "Use /api/v1"}, errors.InvalidRequest,
     "/api/v1"),
    (SHOW, 200, {"success": False, "error": "deprecated_endpoint", "msg": "x"},
     errors.InvalidRequest, "no longer serves"),
    (SEARCH, 400, {"error": "bad_request", "msg": "q.gpu_name: Input should be a valid dictionary"},
     errors.InvalidRequest, "q.gpu_name: Input"),
    (SEARCH, 400, {"msg": "limit: Input should be a valid integer"}, errors.InvalidRequest,
     "limit"),
    (SEARCH, 422, {"detail": [{"loc": ["body", "limit"], "msg": "not an int"}]},
     errors.InvalidRequest, "body.limit: not an int"),
    (DESTROY, 404, {"error": "no_such_instance", "msg": "Instance 123 not found."},
     errors.InvalidRequest, "123 not found"),
    (SHOW, 404, "<html>nginx</html>", errors.InvalidRequest, "base_url"),
    (SEARCH, 500, {"error": "auth_error", "msg": "Invalid user key"}, errors.AuthError, "key"),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "status", "body", "error", "words"), CASES)
def test_an_error_is_decided_by_the_body(endpoint, status, body, error, words):
    verdict = judge(endpoint, reply(status, body), NOW)
    assert isinstance(verdict, Definite)
    assert type(verdict.error) is error
    assert words in str(verdict.error) and verdict.error.status == status
    assert "othing was" in str(verdict.error), "it says what it means for the money"


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CREATE, {"success": True, "new_contract": 1}),
        (CREATE, {"success": False, "new_contract": 1}),
        (ENDPOINTS["manage_instance"], {"success": False, "error": "resources_unavailable"}),
        (SHOW, {"instances": None}),
        (SEARCH, {"offers": []}),
    ],
)
def test_an_answer_that_the_caller_must_read_is_given_to_it(endpoint, body):
    assert judge(endpoint, reply(200, body), NOW) == Good(body)


@pytest.mark.parametrize(
    "body", ["", "   ", "<html>", '{"offers": [', "[" * 100_000, {}, [], {"offerz": 1}, "null"]
)
def test_a_success_that_is_no_answer_is_trouble(body):
    verdict = judge(SEARCH, reply(200, body), NOW)
    assert isinstance(verdict, Trouble) and verdict.ran


def test_an_instance_list_without_instances_is_not_none_at_all():
    assert isinstance(judge(ENDPOINTS["show_instances"], reply(200, {}), NOW), Trouble)


def test_bytes_that_are_no_text_cost_a_name_not_the_market():
    assert decode(b'{"offers": [{"cpu_name": "\xff\xfe"}]}')["offers"][0]["cpu_name"]


REFUSALS = [
    (reply(429, {"error": "HTTPTooManyRequests", "retry_after": 10, "limit": 5.0}, retry_after="10",
           X_RateLimit_Limit="5.0", X_RateLimit_Reset=str(int(NOW) + 10)), Refusal(10, None, 5.0)),
    (reply(429, "API requests too frequent endpoint threshold=3.0"), Refusal(None, 3.0, None)),
    (reply(429, "API requests too frequent: endpoint threshold: 4.5."), Refusal(None, 4.5, None)),
    (reply(429, {"detail": "API requests too frequent endpoint threshold=2"}), Refusal(None, 2.0)),
    (reply(429, {"success": False, "error": "x", "msg": "requests too frequent threshold=1.5"}),
     Refusal(None, 1.5)),
    (reply(429, "", retry_after="2.5"), Refusal(2.5)),
    (reply(429, "", Retry_After=format_datetime(datetime.fromtimestamp(NOW + 7, UTC), usegmt=True)),
     Refusal(7.0)),
    (reply(429, {"retry_after": 3}), Refusal(3.0)),
    (reply(429, "", X_RateLimit_Reset=str(int(NOW) + 5)), Refusal(6.0)),
    (reply(429, "", X_RateLimit_Reset="5"), Refusal(5.0)),
    (reply(429, "<html>slow down"), Refusal()),
    (reply(429, "", Retry_After="nonsense"), Refusal()),
    (reply(429, "", Retry_After="-3"), Refusal()),
    (reply(429, "", Retry_After="inf"), Refusal()),
    (reply(429, "", Retry_After="99999999"), Refusal()),
    (reply(403, {"msg": "API requests too frequent endpoint threshold=3.0"}), Refusal(None, 3.0)),
]  # fmt: skip


@pytest.mark.parametrize(("answered", "expected"), REFUSALS)
def test_every_form_of_429_is_read(answered, expected):
    assert judge(SEARCH, answered, NOW) == Refused(expected)


@given(st.text(max_size=60), st.one_of(st.none(), st.text(), st.integers(), st.floats()))
def test_no_429_is_beyond_reading(header, value):
    said = read_refusal({"Retry-After": header, "X-RateLimit-Reset": header},
                        {"retry_after": value, "limit": value}, header, NOW)  # fmt: skip
    assert said.retry_after is None or 0 <= said.retry_after <= 7 * 86400


@pytest.mark.parametrize(
    ("headers", "body", "reset"),
    [
        ({"X_RateLimit_Reset": str(int(NOW) + 3600)}, {}, NOW + 3601),
        ({}, {"retry_after": 1800}, NOW + 1800),
        ({}, {}, next_midnight(NOW)),
        ({"X_RateLimit_Reset": "<unix seconds>"}, {"retry_after": "soon"}, next_midnight(NOW)),
    ],
)
def test_a_spent_quota_says_when_it_begins_anew(headers, body, reset):
    said = reply(429, {"error": "search_quota_exceeded", **body}, **headers)
    assert judge(SEARCH, said, NOW) == QuotaSpent(reset)


def test_foreign_text_is_one_plain_short_line():
    body = {"error": "bad", "msg": "a\x1b[31m\nb\u202e" + "x" * 5000}
    message = str(judge(SEARCH, reply(400, body), NOW).error)
    assert len(message) < 600 and "\x1b" not in message and "\n" not in message
    assert "\u202e" not in message


def test_recorded_answers_mean_what_they_meant(recorded_dir):
    expected = {
        "bad key": errors.AuthError,
        "PUT asks: offer": errors.OfferGone,
        "no credit": errors.NoCredit,
        "GET /api/v0/instances/ deprecated": errors.InvalidRequest,
        "search with": errors.InvalidRequest,
        "DELETE/PUT unknown": errors.InvalidRequest,
        "account has no": errors.NoSSHKey,
    }
    seen = set()
    for one in json.loads((recorded_dir / "data" / "http_errors.json").read_text()):
        said = reply(one["status"], one.get("body_text") or one["body"], **one.get("headers", {}))
        endpoint = CREATE if "PUT asks" in one["when"] else SEARCH
        endpoint = SHOW if "GET unknown" in one["when"] else endpoint
        endpoint = ENDPOINTS["manage_instance"] if "PUT instances" in one["when"] else endpoint
        verdict = judge(endpoint, said, NOW)
        if "quota" in one["when"]:
            assert verdict == QuotaSpent(next_midnight(NOW))
        elif one["status"] == 429:
            assert isinstance(verdict, Refused)
        elif one["status"] == 200:
            assert isinstance(verdict, Good)
        else:
            (kind,) = (k for k in expected if one["when"].startswith(k))
            assert type(verdict.error) is expected[kind]
            seen.add(kind)
    assert seen == set(expected)


# -- what follows ----------------------------------------------------------------------------------


def at(**changes):
    values = {"tries": 1, "refusals": 0, "left": 60.0, "lane_wait": 1.0, "now": NOW, "chance": 0.5}
    return Situation(**{**values, **changes})


LOST = Trouble("the connection was lost", ran=True)
UNSENT = Trouble("the connection was refused", ran=False)


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS.values() if not one.repeatable])
def test_what_may_have_run_is_never_sent_again_unless_it_is_repeatable(endpoint):
    decision = after(endpoint, LOST, at())
    assert isinstance(decision, GiveUp) and not decision.stale_ok
    assert isinstance(decision.error, errors.OutcomeUnknown)
    assert "may be running and billing" in str(decision.error)
    assert isinstance(after(endpoint, UNSENT, at()), Again)
    assert isinstance(after(endpoint, Refused(Refusal()), at()), Again)


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 6), st.floats(0, 1))
def test_no_wait_exceeds_what_is_left_or_comes_before_the_turn(left, lane_wait, tries, chance):
    for verdict in (LOST, UNSENT, Refused(Refusal()), Trouble("503", True, 503, 20.0)):
        situation = at(left=left, lane_wait=lane_wait, tries=tries, chance=chance)
        decision = after(SEARCH, verdict, situation)
        if isinstance(decision, Again):
            assert lane_wait <= decision.seconds <= left
        else:
            assert decision.stale_ok


def test_a_wait_beyond_the_budget_is_not_tried_early():
    decision = after(SEARCH, Refused(Refusal(500)), at(lane_wait=500))
    assert isinstance(decision, GiveUp) and decision.stale_ok
    assert decision.error.retry_after == 500
    assert decision.error.reset_at == datetime.fromtimestamp(NOW + 500, UTC)


def test_a_failure_to_read_is_lost_and_one_to_send_is_not():
    assert judge(CREATE, Failure("lost", "x"), NOW) == Trouble("x", True)
    assert judge(CREATE, Failure("broken", "x"), NOW) == Trouble("x", True)
    assert judge(CREATE, Failure("unsent", "x"), NOW) == Trouble("x", False)
    assert isinstance(judge(CREATE, Failure("unsendable", "x"), NOW), Definite)


# -- on the wire -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [hang_up, truncated, answer("<html>", 502), answer("", 504), answer("", 500), answer("", 503),
     answer("<html>hi"), raw(b"")],
    ids=["reset", "truncated", "502", "504", "500", "503", "html", "empty"],
)  # fmt: skip
def test_a_lost_create_is_never_sent_again(transport, peer: Peer, trouble):
    peer.default = trouble
    with pytest.raises(errors.OutcomeUnknown, match=r"Check client\.show_instances"):
        transport.call("create_instance", path={"id": 7}, body={"image": "x"})
    assert len(peer.asked) == 1


def test_a_create_refused_with_429_is_sent_again(transport, peer: Peer, clock):
    peer.script = [answer({"error": "HTTPTooManyRequests", "retry_after": 9}, 429)]
    peer.default = answer({"success": True, "new_contract": 3})
    assert transport.call("create_instance", path={"id": 7}, body={}).data["new_contract"] == 3
    assert peer.times()[1] - peer.times()[0] >= 12, "the published penalty"


def test_a_create_that_never_left_is_sent_again(make, peer: Peer):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    transport = make(base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(errors.ServerError, match=r"refused.*4 times.*Nothing was done"):
        transport.call("create_instance", path={"id": 7}, body={})


@pytest.mark.parametrize(
    "trouble", [hang_up, truncated, answer("", 502), answer("<html>"), raw(b"")]
)
def test_a_question_is_asked_again_after_trouble(transport, peer: Peer, trouble):
    peer.script = [trouble, trouble]
    assert transport.call("search_offers", body={}).data == {"offers": []}
    assert len(peer.asked) == 3
    peer.default = trouble
    with pytest.raises(errors.ServerError, match="4 times"):
        transport.call("search_offers", body={"x": {}})
    assert len(peer.asked) == 7


def test_no_network_is_a_server_error_in_words(make):
    transport = make(base_url="http://no-such-host.invalid")
    with pytest.raises(errors.ServerError, match=r"cannot be resolved"):
        transport.call("search_offers", body={})


@pytest.mark.parametrize(
    ("code", "msg", "kind"),
    [
        ("no_ssh_key_for_vm", "A VM needs an ssh key in your account.", errors.NoSSHKey),
        (None, "No SSH keys found for the user.", errors.NoSSHKey),
        ("no_ssh_key", "No ssh key provided", errors.InvalidRequest),
        ("spend_limit_exceeded", "x", errors.SpendLimit),
        ("invalid_args", "Your spending limit is reached", errors.SpendLimit),
        ("invalid_args", "error 400/3490: No template 'abc'.", errors.BadTemplate),
        ("no_such_template", "x", errors.BadTemplate),
        ("invalid_args", "template abc was not found", errors.BadTemplate),
        ("invalid_args", "'image' is required unless a template names it", errors.InvalidRequest),
    ],
)
def test_a_refusal_to_rent_is_told_as_what_it_is(code, msg, kind):
    verdict = judge(CREATE, reply(400, {"success": False, "error": code, "msg": msg}), NOW)
    assert isinstance(verdict, Definite) and type(verdict.error) is kind
    assert "Nothing was" in verdict.error.message


@pytest.mark.parametrize("words", ["no such template", "spend limit", "No SSH keys found"])
def test_a_failure_that_uses_the_same_words_may_still_have_run(words):
    for body in (f"<html>{words}</html>", {"error": "x", "msg": words}):
        verdict = judge(CREATE, reply(502, body), NOW)
        assert isinstance(verdict, Trouble) and verdict.ran
