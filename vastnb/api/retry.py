"""What to do after an exchange that brought no usable answer: a decision, not a loop.

`after` takes values and returns `Again`, or `GiveUp` with the error and whether an older answer
may stand in for it. The rules:

- A 429 did not run: anything may be sent again, after the time that its lane is closed.
- A request that certainly never left may be sent again too, whatever it does.
- One that left and whose answer was lost is sent again only if its endpoint is declared
  repeatable. Otherwise the outcome is unknown, and that is what is raised.
- A time to wait that exceeds what is left of the caller's patience is not waited for in part:
  asking early prolongs the ban.
- A clear no is never covered up with an older answer.
"""

from __future__ import annotations

from typing import NamedTuple

from vastnb.api.answers import Definite, QuotaSpent, Refused, Trouble, utc
from vastnb.api.endpoints import Endpoint
from vastnb.api.lane import Reason
from vastnb.api.text import seconds as words
from vastnb.errors import OutcomeUnknown, QuotaExceeded, RateLimited, ServerError, VastError

MOST_TRIES = 4
"""Requests for one call, while the service or the network fails."""

MOST_REFUSALS = 8
FIRST_BACKOFF = 0.5


class Again(NamedTuple):
    """Send it again, after `seconds`; `reason` in words."""

    seconds: float
    reason: str


class GiveUp(NamedTuple):
    """Raise `error`; or, if `stale_ok`, serve an older answer marked with `reason`."""

    error: VastError
    stale_ok: bool
    reason: str


class Situation(NamedTuple):
    """What a decision depends on, beside the verdict.

    Parameters
    ----------
    tries : int
        Requests sent so far in this call, this one included.
    refusals : int
        How many of them were refused with 429.
    left : float
        Seconds of the caller's patience that are left.
    lane_wait : float
        Seconds until the lane gives its next turn.
    now : float
        Seconds since the epoch.
    chance : float
        A random number from 0 to 1.
    """

    tries: int
    refusals: int
    left: float
    lane_wait: float
    now: float
    chance: float


def after(
    endpoint: Endpoint, verdict: Refused | QuotaSpent | Definite | Trouble, at: Situation
) -> Again | GiveUp:
    """Decide what follows an exchange that brought no usable answer."""
    if isinstance(verdict, Definite):
        return GiveUp(verdict.error, stale_ok=False, reason=verdict.error.message)
    if isinstance(verdict, QuotaSpent):
        return quota_closed(endpoint, verdict.reset_at - at.now, at.now)
    if isinstance(verdict, Refused):
        # Never below the lane's own wait: with a random part of it, half the retries are early.
        if at.lane_wait > at.left or at.refusals >= MOST_REFUSALS:
            return no_turn(endpoint, at.lane_wait, "refused", at.now, at.left)
        return Again(at.lane_wait, _LATER["refused"])
    return _after_trouble(endpoint, verdict, at)


def no_turn(endpoint: Endpoint, wait: float, reason: Reason, now: float, left: float) -> GiveUp:
    """Give up because the turn comes later than the caller is willing to wait."""
    if reason == "quota":
        return quota_closed(endpoint, wait, now)
    why = _LATER[reason]
    error = RateLimited(
        f"Could not {endpoint.words}: the next request may be sent in {words(wait)} ({why}), and "
        f"this call may wait {words(max(left, 0))} at most. Nothing was done or charged. Try "
        "again then, or allow a longer max_wait.",
        retry_after=wait,
        reset_at=utc(now + wait),
        status={"refused": 429, "busy": 503}.get(reason),
    )
    return GiveUp(
        error, stale_ok=True, reason=f"{why}; the next request may be sent in {words(wait)}"
    )


_LATER: dict[Reason, str] = {
    "": "requests are paced",
    "pace": "requests are paced, and other calls or kernels come first",
    "refused": "rate limited by Vast.ai (429)",
    "busy": "Vast.ai is overloaded and asked to wait",
}


def quota_closed(endpoint: Endpoint, wait: float, now: float) -> GiveUp:
    """Give up because the day's quota of rows is spent."""
    reset_at = utc(now + wait)
    when = f"{reset_at:%H:%M} UTC, in {words(wait)}"
    error = QuotaExceeded(
        f"Today's quota of search rows is used up; it resets at {when}. Nothing was done or "
        "charged. Work with the offers you have, or search again then.",
        retry_after=wait,
        reset_at=reset_at,
        code="search_quota_exceeded",
    )
    return GiveUp(error, True, f"today's quota of search rows is used up until {when}")


def _after_trouble(endpoint: Endpoint, trouble: Trouble, at: Situation) -> Again | GiveUp:
    if trouble.ran and not endpoint.repeatable:
        return GiveUp(_unknown(endpoint, trouble), stale_ok=False, reason=trouble.what)
    backoff = FIRST_BACKOFF * 2 ** (at.tries - at.refusals - 1) * (0.75 + 0.5 * at.chance)
    wait = max(backoff, trouble.retry_after or 0.0, at.lane_wait)
    if at.tries - at.refusals >= MOST_TRIES or wait > at.left:
        return GiveUp(_failed(endpoint, trouble, at), stale_ok=True, reason=trouble.what)
    return Again(wait, trouble.what)


def _unknown(endpoint: Endpoint, trouble: Trouble) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"The request to {endpoint.words} was sent, but its answer was lost ({trouble.what}). It "
        "may have run: a machine may be running and billing. Check client.show_instances() before "
        "you send it again; vastnb did not send it twice.",
        status=trouble.status,
    )


def _failed(endpoint: Endpoint, trouble: Trouble, at: Situation) -> ServerError:
    tries = "once" if at.tries == 1 else f"{at.tries} times"
    effect = (
        "Nothing was done or charged."
        if not trouble.ran or endpoint.method == "GET" or endpoint.fresh
        else "It may have taken effect; check before doing anything that depends on it."
    )
    return ServerError(
        f"Could not {endpoint.words}: {trouble.what} (tried {tries}). {effect} Check the network, "
        "then try again.",
        status=trouble.status,
    )
