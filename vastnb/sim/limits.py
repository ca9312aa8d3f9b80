"""The rate limiter and the daily quota of rows, as the service has them.

A token bucket for each identity, method and route: it holds one request, and refills in
`threshold` seconds. A request that comes too early is refused *and puts the bucket into debt*, so
that hammering prolongs the ban. Search has a window as well: 10 requests in any 60 s. Both run on
the wall clock, never on the sped-up time of the market.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from vastnb.api.endpoints import ENDPOINTS, ROWS_A_DAY, Window

RefusalForm = Literal["json", "plain", "colon", "detail", "legacy", "http-date"]
"""How a 429 looks: today's JSON with headers, or one of the older forms."""

FORMS: tuple[RefusalForm, ...] = ("json", "plain", "colon", "detail", "legacy", "http-date")
JITTER = 0.02
"""Share of a threshold by which a request may be early: the network's jitter, not impatience."""

UNPUBLISHED = {"gpu_types": 2.0, "show_user": 1.5, "request_logs": 2.0}
"""Intervals that the table does not know; the simulated service has its own."""


@dataclass(frozen=True)
class Rule:
    """How often something may be asked.

    Parameters
    ----------
    threshold : float
        Seconds until the bucket is full again.
    penalty : float
        Seconds for which a violation closes the bucket at most; twice the threshold if smaller.
    window : Window, optional
        At most so many requests in any span of so many seconds.
    """

    threshold: float
    penalty: float = 0.0
    window: Window | None = None

    @property
    def floor(self) -> float:
        """The deepest debt, in requests."""
        return 1.0 - max(2.0, self.penalty / self.threshold)

    def scaled(self, scale: float) -> Rule:
        """Return the rule with every time multiplied by `scale`."""
        window = self.window and Window(self.window.most, self.window.seconds * scale)
        return Rule(self.threshold * scale, self.penalty * scale, window)


@dataclass(frozen=True)
class Refusal:
    """A 429 to be: when to come back, and what the limit was."""

    retry_after: float
    threshold: float
    at: float


def published_rules() -> dict[str, Rule]:
    """Return the published rule of every endpoint."""
    rules = {
        name: Rule(
            endpoint.interval or UNPUBLISHED.get(name, 1.0), endpoint.penalty, endpoint.window
        )
        for name, endpoint in ENDPOINTS.items()
    }
    rules.update(
        search_offers_get=Rule(0.8),
        search_asks=Rule(2.0, window=rules["search_offers"].window),
        create_instances=Rule(4.5, 12.0),
        launch_instance=Rule(5.0),
        list_instances_v0=Rule(20.0),
        manage_instances=Rule(4.0),
        instance_filters=Rule(1.0),
        gpu_names=Rule(1.0),
        create_template=Rule(1.9),
        delete_ssh_key=Rule(1.0),
    )
    return rules


class Limits:
    """Token buckets for all routes and identities.

    Parameters
    ----------
    rules : mapping of str to Rule or float or None, optional
        What differs from the published intervals: by endpoint name; `None` lifts a limit.
    scale : float
        Multiplies every interval.
    form : str
        How a refusal looks, one of `FORMS`.
    probability : float
        How likely a violation is refused (the service may enforce its limits loosely).
    seed : int
        For `probability`.

    Attributes
    ----------
    refused : dict
        Endpoint to number of 429s given.
    """

    def __init__(
        self,
        rules: Mapping[str, Rule | float | None] | None = None,
        *,
        scale: float = 1.0,
        form: RefusalForm = "json",
        probability: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.rules: dict[str, Rule | None] = {
            name: rule.scaled(scale) for name, rule in published_rules().items()
        }
        for name, rule in (rules or {}).items():
            self.rules[name] = rule if isinstance(rule, Rule) or rule is None else Rule(rule)
        self.form: RefusalForm = form
        self.probability = probability
        self.refused: dict[str, int] = {}
        self._rng = random.Random(seed)
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self._admitted: dict[tuple[str, str], deque[float]] = {}

    def admit(self, identity: str, endpoint: str, now: float) -> Refusal | None:
        """Take a token, or say when to come back.

        Parameters
        ----------
        identity : str
            Whose account (or address) it is.
        endpoint : str
            Name of the route, which stands for its method and path.
        now : float
            Wall clock, epoch seconds.
        """
        rule = self.rules.get(endpoint)
        if rule is None or rule.threshold <= 0:
            return None
        tokens, then = self._buckets.get((identity, endpoint), (1.0, now))
        tokens = min(1.0, tokens + max(0.0, now - then) / rule.threshold)
        full = self._window_left(identity, endpoint, rule, now)
        loose = self.probability < 1.0 and self._rng.random() >= self.probability
        if (tokens >= 1.0 - JITTER and not full) or loose:
            tokens = 0.0 if tokens >= 1.0 or tokens < 1.0 - JITTER else tokens - 1.0
            self._buckets[identity, endpoint] = (tokens, now)
            if rule.window:
                self._admitted[identity, endpoint].append(now)
            return None
        if tokens < 1.0 - JITTER:
            tokens = max(rule.floor, tokens - 1.0)
        self._buckets[identity, endpoint] = (tokens, now)
        self.refused[endpoint] = self.refused.get(endpoint, 0) + 1
        self._forget(now)
        wait = max((1.0 - tokens) * rule.threshold, full)
        return Refusal(wait, rule.threshold, now)

    def _window_left(self, identity: str, endpoint: str, rule: Rule, now: float) -> float:
        """Return the seconds until the window has room, 0 if it has."""
        if rule.window is None:
            return 0.0
        seen = self._admitted.setdefault((identity, endpoint), deque(maxlen=rule.window.most))
        if len(seen) < rule.window.most:
            return 0.0
        return max(0.0, seen[0] + rule.window.seconds - now)

    def _forget(self, now: float) -> None:
        """Drop buckets that are long full, so that many visitors do not fill the memory."""
        if len(self._buckets) > 4096:
            self._buckets = {k: v for k, v in self._buckets.items() if now - v[1] < 3600}
            self._admitted = {k: v for k, v in self._admitted.items() if k in self._buckets}


@dataclass
class Quota:
    """Rows that an identity may still be given today (UTC)."""

    rows_a_day: int | None = ROWS_A_DAY
    day: int = -1
    used: int = 0

    def spend(self, rows: int, now: float) -> None:
        """Count rows that were returned."""
        self._turn(now)
        self.used += rows

    def spent(self, now: float) -> bool:
        """Tell whether nothing is left today."""
        self._turn(now)
        return self.rows_a_day is not None and self.used >= self.rows_a_day

    def left(self, now: float) -> int | None:
        """Return the rows that are left today; `None` is no end of them."""
        self._turn(now)
        return None if self.rows_a_day is None else max(0, self.rows_a_day - self.used)

    def _turn(self, now: float) -> None:
        today = int(now // 86_400)
        if today != self.day:
            self.day, self.used = today, 0


def midnight_after(now: float) -> int:
    """Return the next midnight UTC, epoch seconds."""
    return (int(now // 86_400) + 1) * 86_400


def refusal_answer(
    refusal: Refusal, form: RefusalForm
) -> tuple[dict[str, str], dict[str, Any] | str]:
    """Return the headers and the body of a 429 in one of its forms; a `str` is plain text."""
    seconds = max(1, math.ceil(refusal.retry_after))
    text = f"API requests too frequent endpoint threshold={refusal.threshold}"
    if form == "json":
        headers = {
            "retry-after": str(seconds),
            "x-ratelimit-limit": str(refusal.threshold),
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(math.ceil(refusal.at + refusal.retry_after)),
        }
        return headers, {
            "error": "HTTPTooManyRequests",
            "msg": "API requests too frequent",
            "retry_after": seconds,
            "limit": refusal.threshold,
            "remaining": 0,
        }
    if form == "plain":
        return {}, text
    if form == "colon":
        return {}, text.replace("frequent endpoint", "frequent: endpoint")
    if form == "detail":
        return {}, {"detail": text}
    if form == "legacy":
        return {}, {"success": False, "error": "rate_limit_exceeded", "msg": text}
    when = datetime.fromtimestamp(refusal.at, UTC) + timedelta(seconds=seconds)
    return {"Retry-After": when.strftime("%a, %d %b %Y %H:%M:%S GMT")}, {
        "error": "HTTPTooManyRequests",
        "msg": "API requests too frequent",
    }


def quota_answer(now: float, rows_a_day: int) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the headers and the body of the 429 for a spent daily quota."""
    reset = midnight_after(now)
    return {"X-RateLimit-Reset": str(reset)}, {
        "error": "search_quota_exceeded",
        "msg": "Daily search quota exceeded (simulated). It resets at 00:00 UTC.",
        "limit": rows_a_day,
        "remaining": 0,
        "retry_after": max(1, math.ceil(reset - now)),
    }


__all__ = [
    "FORMS",
    "JITTER",
    "ROWS_A_DAY",
    "Limits",
    "Quota",
    "Refusal",
    "RefusalForm",
    "Rule",
    "midnight_after",
    "published_rules",
    "quota_answer",
    "refusal_answer",
]
