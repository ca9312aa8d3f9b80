"""The rate limiter and the quota: as strict as published, and no stricter."""

from __future__ import annotations

import email.utils
from typing import Any

import pytest

from vastnb.api.endpoints import ENDPOINTS
from vastnb.clock import ManualClock
from vastnb.sim import Limits, Rule
from vastnb.sim.limits import FORMS, Quota, published_rules, refusal_answer

from .conftest import Api, MakeApi


def test_whoever_keeps_the_published_interval_is_never_refused() -> None:
    limits = Limits()
    for name, endpoint in ENDPOINTS.items():
        now = 1000.0
        for sent in range(1, 51):
            assert limits.admit("a", name, now) is None, name
            now += endpoint.interval or published_rules()[name].threshold
            if endpoint.window:
                now = max(now, 1000.0 + endpoint.window.seconds * (sent // endpoint.window.most))
    assert limits.refused == {}


def test_a_burst_holds_one_request_and_hammering_prolongs_the_ban() -> None:
    limits = Limits({"search_offers": 5.0})
    assert limits.admit("a", "search_offers", 0.0) is None
    first = limits.admit("a", "search_offers", 1.0)
    assert first is not None and first.retry_after == pytest.approx(9.0)
    second = limits.admit("a", "search_offers", 2.0)
    assert second is not None and second.retry_after == pytest.approx(10.0)
    assert limits.admit("a", "search_offers", 11.0) is not None
    assert limits.admit("a", "search_offers", 11.0 + 10.0) is None
    assert limits.refused == {"search_offers": 3}


def test_a_violation_costs_the_published_penalty() -> None:
    limits = Limits()
    limits.admit("a", "create_instance", 0.0)
    refusal = None
    for _ in range(3):
        refusal = limits.admit("a", "create_instance", 0.0)
    assert refusal is not None and refusal.retry_after == pytest.approx(12.0)


def test_identities_and_endpoints_are_limited_apart() -> None:
    limits = Limits()
    assert limits.admit("a", "search_offers", 0.0) is None
    assert limits.admit("b", "search_offers", 0.0) is None
    assert limits.admit("a", "show_instances", 0.0) is None
    assert limits.admit("a", "search_offers", 0.0) is not None


def test_a_loose_limit_lets_some_violations_through() -> None:
    limits = Limits({"show_instances": 10.0}, probability=0.5, seed=1)
    refused = sum(limits.admit("a", "show_instances", 0.01 * n) is not None for n in range(200))
    assert 60 < refused < 140


def test_a_limit_can_be_lifted_and_scaled() -> None:
    limits = Limits({"search_offers": None}, scale=0.1)
    assert all(limits.admit("a", "search_offers", 0.0) is None for _ in range(5))
    assert limits.rules["create_instance"] == Rule(0.45, pytest.approx(1.2))


def test_the_limiter_runs_on_the_wall_clock_not_on_world_time(
    make: MakeApi, clock: ManualClock
) -> None:
    api = make(limits="published", speed=1000.0)
    assert api("POST", "bundles/", {}).status_code == 200
    api.world.advance(hours=5)
    assert api("POST", "bundles/", {}).status_code == 429
    clock.advance(30)
    assert api("POST", "bundles/", {}).status_code == 200
    assert api.server.refused == {"search_offers": 1}


def test_two_clients_with_one_key_share_their_limit(make: MakeApi) -> None:
    api = make(limits="published")
    assert api("POST", "bundles/", {}).status_code == 200
    assert Api(api.server)("POST", "bundles/", {}).status_code == 429
    other = api.world.add_account().key
    assert Api(api.server, other)("POST", "bundles/", {}).status_code == 200
    assert Api(api.server, None)("POST", "bundles/", {}).status_code == 200


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_429_can_be_had(make: MakeApi, clock: ManualClock, form: Any) -> None:
    api = make(limits=Limits({"search_offers": 5.0}, form=form))
    api("POST", "bundles/", {})
    answer = api("POST", "bundles/", {})
    assert answer.status_code == 429
    if form == "json":
        assert answer.headers["retry-after"] == "10"
        assert answer.headers["x-ratelimit-limit"] == "5.0"
        assert answer.headers["x-ratelimit-remaining"] == "0"
        assert float(answer.headers["x-ratelimit-reset"]) == clock.time() + 10
        assert answer.json() == {
            "error": "HTTPTooManyRequests",
            "msg": "API requests too frequent",
            "retry_after": 10,
            "limit": 5.0,
            "remaining": 0,
            "simulated": True,
        }
    elif form in ("plain", "colon"):
        colon = ":" if form == "colon" else ""
        assert answer.text == f"API requests too frequent{colon} endpoint threshold=5.0"
        assert "retry-after" not in answer.headers
    elif form == "http-date":
        when = email.utils.parsedate_to_datetime(answer.headers["retry-after"])
        assert when.timestamp() == clock.time() + 10
    else:
        text = "API requests too frequent endpoint threshold=5.0"
        assert text in (answer.json().get("detail"), answer.json().get("msg"))


def test_todays_429_looks_as_recorded(recorded_dir: Any) -> None:
    import json

    recorded = json.loads((recorded_dir / "data" / "http_errors.json").read_text())
    real = next(row for row in recorded if "token bucket" in row["when"])
    at = int(real["headers"]["x-ratelimit-reset"]) - 10
    from vastnb.sim.limits import Refusal

    headers, body = refusal_answer(Refusal(10.0, 5.0, at), "json")
    assert body == real["body"]
    assert headers.items() <= real["headers"].items()


def test_a_spent_quota_says_when_it_begins_anew(make: MakeApi, clock: ManualClock) -> None:
    api = make(quota=100, cap=60)
    assert len(api.search()) == 60
    assert len(api.search()) == 60
    answer = api("POST", "bundles/", {})
    assert answer.status_code == 429
    body = answer.json()
    reset = int(answer.headers["X-RateLimit-Reset"])
    assert body["error"] == "search_quota_exceeded"
    assert (body["limit"], body["remaining"]) == (100, 0)
    assert reset % 86_400 == 0 and 0 < reset - clock.time() <= 86_400
    assert body["retry_after"] == pytest.approx(reset - clock.time(), abs=1)
    assert api("GET", "users/current/").status_code == 200
    clock.advance(reset - clock.time() + 1)
    assert len(api.search()) == 60


def test_the_quota_belongs_to_the_account() -> None:
    quota = Quota(10)
    quota.spend(10, 0.0)
    assert quota.spent(0.0) and quota.left(0.0) == 0
    assert not quota.spent(86_400.0) and quota.left(86_400.0) == 10
    assert Quota(None).left(0.0) is None
