"""The call: from a name of the endpoint table to an answer.

One cached call, in order:

1. A fresh answer in the cache is returned.
2. One thread per key goes on; the others wait for it, and look again.
3. The lane's turn is taken. With an older answer at hand the wait is two seconds at most, then
   the older answer is returned, marked.
4. The cache is looked at again: another kernel may have asked meanwhile.
5. The request is sent, once.
6. The outcome is judged, the pace is told, and the answer is kept and returned; or it is sent
   again, given up with an error, or replaced by the older answer.

What is not cached does 3, 5 and 6. Every decision is made by a function of values elsewhere
(`lane`, `answers`, `retry`); here things are done.
"""

from __future__ import annotations

import logging
import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from requests.structures import CaseInsensitiveDict

from vastnb.api.answers import (
    SIMULATED,
    Answer,
    Good,
    QuotaSpent,
    Refused,
    decode,
    judge,
    misshapen,
    utc,
)
from vastnb.api.cache import KEPT_HEADERS, MOST_ENTRIES, Entry, Store
from vastnb.api.endpoints import ENDPOINTS, Endpoint
from vastnb.api.lane import Turn
from vastnb.api.progress import Nap, WaitHook, wait_line
from vastnb.api.request import (
    PendingCall,
    body_of,
    identity_of,
    kept_answer,
    key_of,
    made_key,
    params_of,
    url_of,
)
from vastnb.api.resources import Cache, Resources, Settings, open_resources
from vastnb.api.retry import GiveUp, Situation, after, no_turn
from vastnb.api.secret import Memory, Redactor, Secret, veil
from vastnb.api.usage import Quota, Traffic, add_rows, cut_lengths, quota
from vastnb.api.wire import Failure, Request, Response
from vastnb.clock import Clock, SystemClock
from vastnb.errors import AuthError, InvalidRequest, VastError

log = logging.getLogger("vastnb.api")

PATIENCE_WITH_OLDER = 2.0
"""Seconds to wait for a turn when an older answer is at hand."""

SHORTEST_EXCHANGE = 5.0
"""Seconds that a question gets for its answer, however late its turn came."""

_WHY = {
    "pace": "waiting for its turn",
    "refused": "rate limited by Vast.ai (429)",
    "busy": "Vast.ai is overloaded and asked to wait",
    "quota": "today's quota is used up",
}

_left_behind: list[Resources] = []


class Transport:
    """Talks to the service: cached, paced, and never sending twice what must not be.

    Parameters
    ----------
    base_url : str
        Scheme, host and port, without a trailing slash.
    api_key : str, Secret or None
        Sent as ``Authorization: Bearer``, to `base_url` only. None for what needs no key.
    cache : {"sqlite", "memory"}, path, "redis://..." or None
        Where answers are kept. The pace is shared by the user's kernels in any case, and by all
        machines that name the same Redis.
    cache_ttl : float
        Seconds for which a search stays fresh.
    max_wait : float
        Seconds that one call may take in all: waiting for its turn, sending, and sending again.
        A request that is on its way gets at least five seconds for its answer, and one that
        changes something gets `timeout`.
    timeout : float
        Seconds for each step on the socket.
    clock : Clock, optional
        The time; the machine's own by default.
    on_wait : WaitHook, optional
        Called around every wait; by default a progress line for those of more than two seconds.
    endpoints : mapping, optional
        The endpoint table.
    chance : callable, optional
        Random numbers from 0 to 1, for the spread of retries.
    why_keyless : str, optional
        Why there is no key. With it, only what is public can be asked.

    Raises
    ------
    InvalidRequest
        If a number makes no sense.

    Attributes
    ----------
    account : str
        Fingerprint of key and server.
    on_wait : WaitHook
        Shows waits.
    why_keyless : str or None
        Why there is no key.
    simulated : bool
        Whether an answer has come from the simulated market.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | Secret | None,
        cache: Cache = "sqlite",
        cache_ttl: float = 90,
        max_wait: float = 60,
        timeout: float = 30,
        clock: Clock | None = None,
        on_wait: WaitHook | None = None,
        endpoints: Mapping[str, Endpoint] = ENDPOINTS,
        chance: Callable[[], float] = random.random,
        why_keyless: str | None = None,
    ) -> None:
        # Rebound at once: a verbose traceback prints the arguments of every frame.
        api_key = api_key if isinstance(api_key, Secret) else Secret(api_key or "")
        for name, value in (("cache_ttl", cache_ttl), ("max_wait", max_wait), ("timeout", timeout)):
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise InvalidRequest(f"{name} must be a number of seconds, not {value!r}.")
        self._settings = Settings(
            base_url=base_url.rstrip("/"),
            key=api_key,
            cache=cache,
            cache_ttl=cache_ttl,
            max_wait=max_wait,
            timeout=max(timeout, 0.05),
            clock=clock or SystemClock(),
            endpoints=endpoints,
        )
        self.on_wait: WaitHook = on_wait or wait_line
        self.account = identity_of(api_key, self._settings.base_url)
        self._chance = chance
        self._traffic = Traffic()
        self._closed = False
        self._sound: dict[str, float] = {}
        self._created = Memory()
        self.why_keyless = why_keyless
        self.simulated = False
        self._opened = open_resources(self._settings)

    def __repr__(self) -> str:
        return f"<Transport to {self._settings.base_url}>"

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._settings.base_url

    @property
    def clock(self) -> Clock:
        """The time."""
        return self._settings.clock

    @property
    def timeout(self) -> float:
        """Seconds for each step on the socket."""
        return self._settings.timeout

    # -- public ------------------------------------------------------------------------------

    def call(
        self,
        endpoint: str,
        *,
        path: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        refresh: bool = False,
        max_wait: float | None = None,
        made: str | None = None,
    ) -> Answer:
        """Ask the service, or the cache.

        Parameters
        ----------
        endpoint : str
            A name of the endpoint table.
        path : mapping, optional
            Values for the placeholders of its path.
        params : mapping, optional
            Query parameters; None is left out, what is not text is sent as JSON.
        body : Any, optional
            What is sent as JSON.
        refresh : bool
            Ask the service even if the cache has a fresh answer.
        max_wait : float, optional
            Instead of the transport's own.
        made : str, optional
            The name of something made of the answer: if it is kept beside a fresh one (`keep`), it
            is returned as ``made``, and the body is left unread.

        Returns
        -------
        Answer
            ``stale`` and ``stale_reason`` say when an older one had to do.

        Raises
        ------
        VastError
            The one that fits; see `vastnb.errors`. `OutcomeUnknown` means that the request may
            have run.
        """
        resources = self._resources()
        row = self._endpoint(endpoint)
        if row.creates:
            body = veil(body)  # a verbose traceback prints the arguments of every frame
        if self.why_keyless is not None and not row.public:
            raise AuthError(self.why_keyless, code="no_key")
        url = url_of(self._settings.base_url, row, path or {})
        request = Request(row.method, url, params_of(row, params), body_of(row, body))
        patience = self._settings.max_wait if max_wait is None else max_wait
        call = PendingCall(
            endpoint=row,
            request=request,
            key=key_of(resources.identity, request),
            ttl=self._settings.cache_ttl if row.fresh == "cache_ttl" else row.fresh,
            cached=row.fresh != 0 and resources.store is not None,
            refresh=refresh,
            started=resources.state.time(),
            deadline=self._settings.clock.steady() + patience,
            made=made,
        )
        self._traffic.add(endpoint, calls=1)
        try:
            answer = self._answer(resources, call)
        except VastError as error:
            self._traffic.add(endpoint, errors=1)
            log.debug("%s: %s", endpoint, type(error).__name__)
            raise
        self.simulated = self.simulated or answer.simulated
        return answer

    def keep(self, answer: Answer, name: str, made: bytes) -> None:
        """Keep what was made of an answer beside it, where other kernels find it.

        Parameters
        ----------
        answer : Answer
            As `call` returned it.
        name : str
            To be given to `call` as ``made``; it says how `made` is to be read.
        made : bytes
            Dropped with the answer, or before.
        """
        store = self._opened.store if self._opened.pid == os.getpid() else None
        if store is not None and store.shared and not self._closed:
            headers = {SIMULATED: "1"} if answer.simulated else {}
            entry = Entry(made, headers, answer.fetched_at.timestamp())
            store.put(made_key(answer.key, name), entry)

    def traffic(self) -> list[dict[str, Any]]:
        """Return what this transport has done, one dict per endpoint that was called.

        Returns
        -------
        list of dict
            ``endpoint``; ``calls``; ``sent`` (requests, retries included); ``cache_hits``;
            ``stale`` (older answers that had to do); ``waited_s`` (seconds); ``refused`` (429s);
            ``errors`` (calls that raised).
        """
        return self._traffic.rows()

    def quota(self) -> Quota:
        """Return how many rows of today's quota this account has used, in all kernels."""
        resources = self._resources()
        counting = [row for row in self._settings.endpoints.values() if row.counts_rows]
        closed = [resources.pace.closed_until(row) for row in counting]
        latest = max((moment for moment in closed if moment is not None), default=None)
        return quota(resources.state, resources.identity, resources.state.time(), latest)

    def cut_lengths(self, another: int | None = None) -> frozenset[int]:
        """Return the lengths at which answers to this account were cut, as all kernels know them.

        Parameters
        ----------
        another : int, optional
            One that has just been found.
        """
        # An answer that has arrived is judged, even if its client has been closed meanwhile.
        resources = self._opened if self._opened.pid == os.getpid() else self._resources()
        return cut_lengths(resources.state, resources.identity, another)

    def close(self) -> None:
        """Close connections and files; calls that wait end with an error."""
        self._closed = True
        if self._opened.pid == os.getpid():
            self._opened.close()

    # -- the steps ---------------------------------------------------------------------------

    def _answer(self, resources: Resources, call: PendingCall) -> Answer:
        if not call.cached:
            return self._fetch(resources, call, None)
        hit, older = self._look(resources, call)
        if hit:
            return hit
        left = call.deadline - self._settings.clock.steady()
        patience = min(left, PATIENCE_WITH_OLDER) if older else left + self._settings.timeout
        waiting = partial(
            self.on_wait, call.endpoint.name, reason="another thread is making the same request"
        )
        with resources.locks.holding(call.key, patience, waiting) as held:
            hit, older = self._look(resources, call)
            if hit:
                return hit
            if not held and older:
                return self._older(call, older, "another thread is still making this request")
            return self._fetch(resources, call, older)

    def _fetch(self, resources: Resources, call: PendingCall, older: Entry | None) -> Answer:
        endpoint, clock = call.endpoint, self._settings.clock
        deadline = call.deadline
        if older is not None and not call.refresh:
            deadline = min(deadline, clock.steady() + PATIENCE_WITH_OLDER)
        tries = refusals = 0
        while True:
            turn = self._turn(resources, call, deadline)
            if isinstance(turn, Answer):
                return turn
            if isinstance(turn, GiveUp):
                return self._settle(call, turn, older)
            least = min(self._settings.timeout, SHORTEST_EXCHANGE)
            if not endpoint.repeatable:
                least = self._settings.timeout
            within = max(call.deadline - clock.steady(), least)
            if endpoint.creates:
                self._created.learn(call.request.body)
            outcome = self._without_secrets(call, resources.wire.exchange(call.request, within))
            now = resources.state.time()
            verdict = judge(endpoint, outcome, now)
            tries += 1
            refusals += isinstance(verdict, Refused)
            self._traffic.add(
                endpoint.name, sent=1, refused=isinstance(verdict, Refused | QuotaSpent)
            )
            resources.pace.tell(endpoint, turn, outcome, verdict)
            if isinstance(verdict, Good) and isinstance(outcome, Response):
                return self._keep(resources, call, outcome, verdict, now)
            assert not isinstance(verdict, Good)
            at = Situation(
                tries=tries,
                refusals=refusals,
                left=deadline - clock.steady(),
                lane_wait=resources.pace.wait(endpoint),
                now=now,
                chance=self._chance(),
            )
            decision = after(endpoint, verdict, at)
            if isinstance(decision, GiveUp):
                return self._settle(call, decision, older)
            log.debug("%s again in %.2f s: %s", endpoint.name, decision.seconds, decision.reason)
            hit = self._wait(resources, call, decision.seconds, decision.reason)
            if hit:
                return hit

    def _without_secrets(
        self, call: PendingCall, outcome: Response | Failure
    ) -> Response | Failure:
        """Return what came back without the key, and without what it or a create has carried.

        Everything that the service says comes through here, before anybody reads it.
        """
        if isinstance(outcome, Failure):
            return outcome
        asks = call.endpoint.method == "GET" or call.endpoint.counts_rows
        redactor = Redactor(self._settings.key, None if asks else call.request.body)
        headers = CaseInsensitiveDict(outcome.headers)
        if "Location" in headers:
            headers["Location"] = redactor.text(headers["Location"])
        body = self._created.body(redactor.body(outcome.body))
        return Response(outcome.status, headers, body)

    def _turn(
        self, resources: Resources, call: PendingCall, deadline: float
    ) -> Turn | Answer | GiveUp:
        losses = 0
        while True:
            got = resources.pace.claim(call.endpoint, probe=call.refresh)
            if isinstance(got, Turn):
                hit = self._hit(resources, call)
                if hit:
                    resources.pace.give_back(call.endpoint, got)
                return hit or got
            left = deadline - self._settings.clock.steady()
            if got.seconds > left:
                now = resources.state.time()
                given_up = no_turn(call.endpoint, got.seconds, got.reason, now, left)
                return self._hit(resources, call) or given_up
            late = resources.pace.politeness(call.endpoint, losses)
            hit = self._wait(resources, call, got.seconds + late, _WHY[got.reason])
            if hit:
                return hit
            losses += 1

    def _wait(
        self, resources: Resources, call: PendingCall, seconds: float, reason: str
    ) -> Answer | None:
        """Let time pass; return an answer that another kernel has fetched meanwhile."""
        name = call.endpoint.name

        def peek() -> Answer | None:
            return self._hit(resources, call)

        nap = Nap(self._settings.clock, self._check_open)
        try:
            return nap.take(seconds, self.on_wait(name, seconds, reason), peek)
        finally:
            self._traffic.add(name, waited_s=nap.passed)

    # -- the cache ---------------------------------------------------------------------------

    def _look(self, resources: Resources, call: PendingCall) -> tuple[Answer | None, Entry | None]:
        """Return an answer that is good enough, and one that is only at hand."""
        if not call.cached or resources.store is None:
            return None, None
        if hit := self._made(resources.store, call, resources.state.time()):
            return hit, None
        entry = resources.store.get(call.key)
        if entry is None or not self._is_answer(call, entry):
            return None, None
        if not call.accepts(entry, resources.state.time()):
            return None, entry
        self._traffic.add(call.endpoint.name, cache_hits=1)
        return kept_answer(call, entry), entry

    def _made(self, store: Store, call: PendingCall, now: float) -> Answer | None:
        """Return what was made of the answer that is kept, if that is fresh."""
        if call.made is None:
            return None
        entry = store.made(call.key, made_key(call.key, call.made))
        if entry is None or not call.accepts(entry, now):
            return None
        self._traffic.add(call.endpoint.name, cache_hits=1)
        return replace(kept_answer(call, entry), body=b"", made=entry.body)

    def _is_answer(self, call: PendingCall, entry: Entry) -> bool:
        """Say whether a kept body is what the table promises; looked at once.

        Whoever can write to the cache's file can put anything there.
        """
        if self._sound.get(call.key) != entry.created_at:
            try:
                wrong = misshapen(call.endpoint, decode(entry.body))
            except ValueError:
                wrong = "no JSON"
            if wrong:
                log.debug("%s: the cached answer is %s", call.endpoint.name, wrong)
                return False
            if len(self._sound) > MOST_ENTRIES:
                self._sound.clear()
            self._sound[call.key] = entry.created_at
        return True

    def _hit(self, resources: Resources, call: PendingCall) -> Answer | None:
        return self._look(resources, call)[0]

    def _keep(
        self, resources: Resources, call: PendingCall, reply: Response, good: Good, now: float
    ) -> Answer:
        rows = good.data.get("offers") if isinstance(good.data, dict) else None
        if call.endpoint.counts_rows and isinstance(rows, list):
            add_rows(resources.state, resources.identity, now, len(rows))
        if call.cached and resources.store is not None and reply.status == 200:
            kept = {name: "1" for name in KEPT_HEADERS if name in reply.headers}
            self._sound[call.key] = now
            resources.store.put(call.key, Entry(reply.body, kept, now))
        return Answer(
            status=reply.status,
            body=reply.body,
            fetched_at=utc(now),
            simulated=SIMULATED in reply.headers,
            key=call.key,
        ).decoded(good.data)

    def _settle(self, call: PendingCall, given_up: GiveUp, older: Entry | None) -> Answer:
        if older is not None and given_up.stale_ok:
            return self._older(call, older, given_up.reason)
        raise given_up.error

    def _older(self, call: PendingCall, entry: Entry, reason: str) -> Answer:
        self._traffic.add(call.endpoint.name, stale=1)
        log.debug("%s: an older answer, because: %s", call.endpoint.name, reason)
        return kept_answer(call, entry, reason)

    # -- small things ------------------------------------------------------------------------

    def _endpoint(self, name: str) -> Endpoint:
        try:
            return self._settings.endpoints[name]
        except KeyError:
            raise InvalidRequest(
                f"There is no endpoint called {name!r}. Nothing was sent."
            ) from None

    def _resources(self) -> Resources:
        self._check_open()
        if self._opened.pid != os.getpid():
            _left_behind.append(self._opened)
            self._opened = open_resources(self._settings)
        return self._opened

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest(
                "This client is closed. Nothing was sent; create a new one.", code="closed"
            )
