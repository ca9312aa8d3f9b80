"""Mishaps on demand: which call goes wrong, and how.

A plan is plain Python::

    Server(faults=[Fault("create_instance", nth=1, kind="drop-after")])

and may be changed while the server runs (``server.faults.add(...)``, or the admin route). Deciding
is here; what a dropped or truncated answer looks like on the wire is in `vastnb.sim.http.app`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from vastnb.sim.limits import FORMS, RefusalForm

Kind = Literal[
    "drop-before",
    "drop-after",
    "reset-before",
    "reset-after",
    "delay",
    "delay-after",
    "truncate",
    "html",
    "empty",
    "garbage",
    "hollow",
    "null",
    "rows",
    "bomb",
    "drip",
    "500",
    "502",
    "503",
    "504",
    "429",
    "quota",
    "answer",
    "echo",
]
"""What may go wrong.

``drop-before`` and ``drop-after`` close the connection without an answer, before or after the
call took effect; ``reset-*`` do so with a TCP reset. ``delay`` lets real seconds pass before the
call takes effect, ``delay-after`` afterwards. ``truncate`` sends half of the answer, ``html`` an
error page, ``empty`` no body, ``garbage`` no JSON, ``hollow`` JSON
without the field that was asked for, ``null`` with null in it, ``rows`` with a list of things that
are no rows. ``bomb`` is a small answer that unpacks to 64 MB, ``drip`` one that sends a byte every
`seconds`, for half a minute. The numbers are statuses; ``429`` has a `form`,
and ``quota`` is the 429 of a spent daily quota. ``answer`` sends `status`, `body` and `headers` as
they are given; ``echo`` is a refusal with `status` that repeats the key and all that was sent.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)
RANDOM_KINDS: tuple[Kind, ...] = (
    "drop-before",
    "drop-after",
    "reset-after",
    "truncate",
    "html",
    "500",
    "502",
    "503",
    "504",
    "429",
)
_ALWAYS = {"drop-after", "reset-after", "delay", "delay-after", "truncate", "drip"}
_NEVER = {"drop-before", "reset-before"}
HOSTILE: dict[str, tuple[int, Any]] = {
    "a gateway's page": (502, "<html><body>Bad gateway: upstream said no_such_ask</body></html>"),
    "a gateway's limit": (503, "<html><body>API requests too frequent</body></html>"),
    "a gateway's JSON limit": (503, {"msg": "API requests too frequent"}),
    "another's 429": (429, "<html><body>Too many requests</body></html>"),
    "another's JSON 429": (429, {"message": "Too many requests", "retry_after": 1}),
    "a conflict": (409, {"error": "conflict", "msg": "The resource is locked."}),
    "closed by a proxy": (499, ""),
    "a proxy's 400": (400, "<html><body>400 Bad Request: invalid_args</body></html>"),
    "a proxy's 404": (404, "<html><body>404 Not Found: no_such_ask</body></html>"),
    "a proxy's 403": (403, {"message": "Forbidden"}),
    "a redirect": (302, ""),
    "a failure with the service's words": (500, {"error": "no_such_ask", "msg": "no_such_ask"}),
    "a refusal without a known word": (400, {"success": False, "error": "E17", "msg": "try later"}),
    "a 200 without a known word": (200, {"success": False, "error": "E17", "msg": "try later"}),
    "a 400 with a machine": (400, {"success": True, "new_contract": "{contract}"}),
    "a 429 with a machine": (429, {"msg": "requests too frequent", "new_contract": "{contract}"}),
    "a 500 with a machine": (500, {"error": "internal", "new_contract": "{contract}"}),
    "a gone offer with a machine": (410, {"error": "no_such_ask", "new_contract": "{contract}"}),
}
"""Answers to a create that are no refusals: the machine may exist. `Fault.hostile` makes them."""

_SHAPES = {"empty", "garbage", "hollow", "null", "rows", "bomb"}
_BY_DEFAULT = {*_ALWAYS, *_SHAPES}


@dataclass(frozen=True)
class Fault:
    """One mishap.

    Parameters
    ----------
    endpoint : str
        Name of an endpoint (``"create_instance"``), or ``"*"`` for any.
    kind : str
        What goes wrong, one of `KINDS`.
    nth : int, optional
        Which call of the endpoint it befalls, counted from 1 and from when the fault was added.
        Left out, it befalls every call.
    times : int
        How many calls in a row, from the nth on.
    seconds : float
        Length of a delay, in real seconds.
    form : str
        How a 429 looks, one of `vastnb.sim.limits.FORMS`.
    retry_after : float
        Seconds that a 429 asks for.
    effect : bool, optional
        Whether the call takes effect nevertheless. By default it does where the kind says
        ``after``, for ``delay``, ``truncate``, ``empty``, ``garbage`` and ``hollow``; an error
        page or status comes instead of it. Only for the latter, ``empty``, ``garbage`` and
        ``hollow`` is there a choice.
    probability : float
        How likely it befalls a call that it may befall.
    status : int
        Of an ``answer`` or ``echo``.
    body : str, or anything that JSON has
        Of an ``answer``; ``"{contract}"`` in it stands for the id of the machine that was made.
    headers : mapping
        Of an ``answer``.
    """

    endpoint: str = "*"
    kind: Kind = "drop-before"
    nth: int | None = None
    times: int = 1
    seconds: float = 1.0
    form: RefusalForm = "json"
    retry_after: float = 10.0
    effect: bool | None = None
    probability: float = 1.0
    status: int = 400
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such kind of fault: {self.kind!r}; use one of {', '.join(KINDS)}")
        if self.form not in FORMS:
            raise ValueError(f"no such form of a 429: {self.form!r}; use one of {', '.join(FORMS)}")
        if self.effect is not None and self.kind in _ALWAYS | _NEVER:
            raise ValueError(f"{self.kind!r} itself decides whether a call takes effect")
        for name in ("nth", "times", "seconds", "retry_after", "probability"):
            value = getattr(self, name)
            if name == "nth" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ValueError(f"a fault's {name} must be a number, 0 or more: {value!r}")

    @property
    def takes_effect(self) -> bool:
        """Whether the call is carried out although its answer goes wrong."""
        return self.kind in _BY_DEFAULT if self.effect is None else self.effect

    @classmethod
    def hostile(cls, name: str, *, effect: bool = False, nth: int | None = 1) -> Fault:
        """Make one of `HOSTILE`, befalling a create.

        Parameters
        ----------
        name : str
            Its name there.
        effect : bool
            Whether a machine is made.
        nth : int or None
            Which create it befalls.
        """
        status, body = HOSTILE[name]
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        return cls("create_instance", "answer", nth, effect=effect, status=status, body=body,
                   headers=headers)  # fmt: skip

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Fault:
        """Make one from JSON; an unknown field or a wrong value is a `ValueError`."""
        if not isinstance(description, Mapping):
            raise ValueError(f"a fault is an object with fields, not {description!r}")  # noqa: TRY004
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(description) - known)
        if unknown:
            raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(known)}")
        return cls(**description)


class FaultPlan:
    """All mishaps that a server has in store.

    Parameters
    ----------
    faults : iterable of Fault
        Those that are planned.
    rate : float
        Beyond the plan, the share of calls that meet a random mishap.
    seed : int
        For `rate` and for probabilities.
    kinds : sequence of str
        What a random mishap may be.

    Attributes
    ----------
    happened : dict
        How often each kind befell a call.
    """

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        rate: float = 0.0,
        seed: int = 0,
        kinds: tuple[Kind, ...] = RANDOM_KINDS,
    ) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"the share of random faults must be from 0 to 1, not {rate!r}")
        self.rate = rate
        self.kinds = kinds
        self.happened: dict[str, int] = {}
        self._lock = threading.Lock()
        self._rng = random.Random(seed)
        self._planned: list[tuple[Fault, int]] = [(fault, 0) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Plan one more."""
        with self._lock:
            self._planned.append((fault, 0))

    def clear(self) -> None:
        """Forget all, the random ones included."""
        with self._lock:
            self._planned.clear()
            self.rate = 0.0

    def __len__(self) -> int:
        return len(self._planned)

    def decide(self, endpoint: str) -> Fault | None:
        """Count a call and return what befalls it, if anything."""
        with self._lock:
            return self._decide(endpoint)

    def _decide(self, endpoint: str) -> Fault | None:
        chosen: Fault | None = None
        left: list[tuple[Fault, int]] = []
        for fault, seen in self._planned:
            if fault.endpoint not in ("*", endpoint):
                left.append((fault, seen))
                continue
            count = seen + 1
            due = fault.nth is None or fault.nth <= count < fault.nth + fault.times
            if due and chosen is None and self._rng.random() < fault.probability:
                chosen = fault
            if fault.nth is None or count < fault.nth + fault.times - 1:
                left.append((fault, count))
        self._planned = left
        if chosen is None and self.rate and self._rng.random() < self.rate:
            chosen = Fault(endpoint, self._rng.choice(self.kinds), form=self._rng.choice(FORMS))
        if chosen is not None:
            self.happened[chosen.kind] = self.happened.get(chosen.kind, 0) + 1
        return chosen


__all__ = ["HOSTILE", "KINDS", "RANDOM_KINDS", "Fault", "FaultPlan", "Kind"]
