"""What the rent form is filled in with: every value that a rental needs, read and checked.

`RentPlan` is immutable; `read` turns what somebody typed into one field of it, or says what is
wrong with it. The limits are those of `vastnb.fleet.rent.spec`, by which the rental itself is
checked. Values of the environment and the start script are kept here, shown by nothing, and in no
repr.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from vastnb.errors import InvalidRequest
from vastnb.fleet.rent.candidates import Offer, bid_for
from vastnb.fleet.rent.spec import DISK_MIN, IMAGE_MAX, LABEL_MAX, SCRIPT_MAX, Spec, environment
from vastnb.values import number
from vastnb.widgets.rent import words
from vastnb.wording import nearest

COUNT_MAX: Final = 64
"""Machines of one form. The service takes more; whoever wants them writes the line."""

RUNTYPES: Final = ("ssh", "ssh_direct", "jupyter", "jupyter_direct", "args")


@dataclass(frozen=True, slots=True)
class RentPlan:
    """What to rent a machine for, for how long, and at what price at most.

    What no repr shows is a secret.

    Parameters
    ----------
    image, template_hash, disk, runtype, label, env, onstart, count, bid, max_hours, budget_usd
        As for `vastnb.Client.rent`; `disk` in GB, `max_hours` in hours, `budget_usd` in $.
    template : str
        The template's name, for people.
    max_dph : float or None
        $/h that one machine may cost at most, with its disk; None is a little above the offers
        that are to be rented.
    hours : float
        Hours of use that the price is worked out for.
    download_gb, upload_gb : float
        Traffic that the price is worked out for, GB for each machine.
    """

    image: str | None = None
    template_hash: str | None = None
    template: str = ""
    disk: float = 10.0
    runtype: str | None = "ssh_direct"
    label: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    onstart: str | None = field(default=None, repr=False)
    count: int = 1
    bid: float | str | None = None
    max_dph: float | None = None
    hours: float = 8.0
    download_gb: float = 0.0
    upload_gb: float = 0.0
    max_hours: float | None = None
    budget_usd: float | None = None

    def changed(self, changes: Mapping[str, Any]) -> RentPlan:
        """Return the plan with other values, as a user of Python gives them or a page sends them.

        Raises
        ------
        InvalidRequest
            For a field that does not exist, naming the nearest, or a value that it cannot have.
        """
        plan = self
        for name, value in changes.items():
            plan = replace(plan, **{name: read(name, value)})
        if plan.max_hours is not None and "max_hours" in changes and "hours" not in changes:
            plan = replace(plan, hours=plan.max_hours)  # what is ended then is priced until then
        return plan

    def spec(self) -> Spec:
        """Return what is asked of one machine, checked as a rental checks it.

        Raises
        ------
        InvalidRequest
            If it cannot be rented like this: no image, too long a script.
        """
        return Spec(**{name: getattr(self, name) for name in _OF_SPEC}, env=dict(self.env) or None)

    def arguments(self) -> dict[str, Any]:
        """Return the keywords for ``client.rent``, without those that say nothing."""
        names = (*_OF_SPEC, "env", "bid", "max_hours", "budget_usd")
        given = {name: getattr(self, name) for name in names} | {"env": dict(self.env) or None}
        if self.count != 1:
            given["count"] = self.count
        return {name: value for name, value in given.items() if value is not None}


_OF_SPEC: Final = ("image", "template_hash", "disk", "runtype", "label", "onstart")


def read(name: str, value: Any) -> Any:
    """Return a value of a field of `RentPlan` from what was typed or given.

    Raises
    ------
    InvalidRequest
        In words that can stand beside the field.
    """
    if name not in _FIELDS:
        near = nearest(name, list(_FIELDS))
        hint = words.DID_YOU_MEAN.format(names=", ".join(near)) if near else ""
        raise InvalidRequest(words.NO_SUCH_FIELD.format(name=name, hint=hint))
    if name == "env":
        return environment(value)
    if name == "bid":
        return _bid(value)
    if name in _TEXTS:
        return _text(name, value)
    return _number(name, value)


_FIELDS: Final = tuple(one.name for one in fields(RentPlan))
_TEXTS: Final[dict[str, int]] = {
    "image": IMAGE_MAX,
    "template_hash": 128,
    "template": 200,
    "runtype": 64,
    "label": LABEL_MAX,
    "onstart": SCRIPT_MAX,
}
_NUMBERS: Final[dict[str, tuple[float, float, str, bool]]] = {
    "disk": (DISK_MIN, 65_536, "GB", False),
    "count": (1, COUNT_MAX, "", False),
    "max_dph": (0.0001, 10_000, "$/h", True),
    "hours": (0, 87_600, "hours", False),
    "download_gb": (0, 1_000_000, "GB", False),
    "upload_gb": (0, 1_000_000, "GB", False),
    "max_hours": (0.01, 87_600, "hours", True),
    "budget_usd": (0.01, 1_000_000, "$", True),
}


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return "" if name == "template" else None
    if not isinstance(value, str):
        raise InvalidRequest(words.MUST_BE_TEXT.format(name=name))
    kept = value if name == "onstart" else value.strip()
    if len(kept) > _TEXTS[name]:
        raise InvalidRequest(words.TOO_LONG.format(name=_TEXTS[name]))
    if name == "image" and any(sign.isspace() for sign in kept):
        raise InvalidRequest(words.SPACES_IN_AN_IMAGE)
    return kept if kept.strip() or name == "template" else None


def _bid(value: Any) -> float | str | None:
    if isinstance(value, str):
        value = value.strip() or None
    if value is None:
        return None
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value.removeprefix("$").removesuffix("/h"))
    try:
        bid_for(Offer(0, min_bid=1.0), value)
        if not isinstance(value, str):
            Spec(image="any", price=value)
    except InvalidRequest:
        raise InvalidRequest(words.BAD_BID) from None
    return value if isinstance(value, str) else float(value)


def _number(name: str, value: Any) -> float | int | None:
    low, high, unit, optional = _NUMBERS[name]
    integral = name == "count"
    if isinstance(value, str):
        text = value.lower().replace(",", "").replace("$", "").strip()
        for tail in ("gb", "hours", "h", "/"):
            text = text.removesuffix(tail).strip()
        value = text or None
        with suppress(ValueError):
            value = float(text)
    if value is None and optional:
        return None
    known = number(value)
    if known is None or not low <= known <= high or (integral and not known.is_integer()):
        between = f"from {low:g} to {high:,.0f}{f' {unit}' if unit else ''}"
        whole = "whole " if integral else ""
        raise InvalidRequest(words.ENTER_A_NUMBER.format(whole=whole, between=between))
    return int(known) if integral else known
