"""The rent form without a page: what it holds, what it costs, and which click rents.

The form is filled in (`change`), reviewed (`review`), and confirmed (`accept`). A review makes a
`Confirmation`: what will be rented, and the price at most, under a token. A click in the page names
the token and repeats what the page showed, with the time at which it was made. It rents only if it
is fresh, if it repeats exactly what would be rented now, and if its token was never used: a click
that was made while a cell ran fires later and is refused, and so are a second click, a second page
and a click on a price that has changed since. Whatever changes in the form takes the confirmation
back. Nothing here waits, sends or draws.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.values import number
from vastnb.widgets.rent import words
from vastnb.widgets.rent.code import code_of
from vastnb.widgets.rent.offers import are_interruptible
from vastnb.widgets.rent.outcome import Outcome, fell_short, outcome_of
from vastnb.widgets.rent.plan import RentPlan, read
from vastnb.widgets.rent.price import Price, price_of
from vastnb.widgets.rent.questions import Found, Template
from vastnb.widgets.rent.run import RentRun
from vastnb.widgets.rent.warnings import Account, Warning, warnings_of, worst_first

if TYPE_CHECKING:
    from vastnb.fleet.instance import Instance

STALE: Final = 30.0
"""Seconds after which a click no longer counts."""

AHEAD: Final = 5.0
"""Seconds by which the clocks of page and kernel may disagree."""

Phase = Literal["plan", "confirm", "renting", "rented"]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a click on 'Rent' would do: shown in the page, and checked when the click comes.

    Parameters
    ----------
    token : str
        Good for one click.
    offer_ids : tuple of int
        Candidates, in the order in which they are tried.
    count : int
        Machines.
    max_dph : float
        $/h that one may cost at most, with its disk: what the rental is given.
    made_at : float
        Kernel's time, epoch seconds.
    plan : RentPlan
        Everything else.
    """

    token: str
    offer_ids: tuple[int, ...]
    count: int
    max_dph: float
    made_at: float
    plan: RentPlan

    def shown(self) -> dict[str, Any]:
        """Return what the page shows, and what its click repeats."""
        return {
            "token": self.token,
            "offers": list(self.offer_ids),
            "count": self.count,
            "max_dph": self.max_dph,
        }


class Accepted(NamedTuple):
    """A click that rents: the candidates, and the keywords for ``client.rent``, secrets too."""

    offers: pd.DataFrame
    arguments: dict[str, Any]


class ClickRefused(InvalidRequest):
    """A click that does not rent; the message says why. Nothing was sent."""


class RentModel:
    """State of one rent form.

    Parameters
    ----------
    plan : RentPlan
        What it says at first.
    offers : DataFrame
        Candidates, best first.
    """

    def __init__(self, plan: RentPlan, offers: pd.DataFrame) -> None:
        self.plan = plan
        self.offers = offers
        self.account = Account()
        self.phase: Phase = "plan"
        self.errors: dict[str, str] = {}
        self.confirmation: Confirmation | None = None
        self.note = ""
        self.outcome: Outcome | None = None
        self.finding = False
        self.found = Found()
        self.templates: tuple[Template, ...] | None = None
        self.run: RentRun | None = None
        self.rented: dict[int, Instance] = {}
        self._used: set[str] = set()
        self._price: Price | None = None

    # -- what is shown ------------------------------------------------------------------------

    @property
    def ids(self) -> list[int]:
        """The candidates' ids, in order."""
        return [int(one) for one in self.offers.get("id", ())]

    @property
    def price(self) -> Price:
        """What it costs now."""
        if self._price is None:
            self._price = price_of(self.offers, self.plan)
        return self._price

    @property
    def of_bid_search(self) -> bool:
        """Whether the offers come from a search for interruptible machines."""
        return are_interruptible(self.offers)

    def warnings(self, row: int = 0) -> list[Warning]:
        """Return what to know about one candidate."""
        if not 0 <= row < len(self.offers):
            return []
        found = warnings_of(self.offers.iloc[row].to_dict(), self.plan, self.account)
        price = self.price
        if row == 0 and price.max_dph is not None and price.within < price.count:
            few = f"Only {price.within}" if price.within else "None"
            text = words.TOO_FEW_BELOW_THE_HIGHEST_PRICE.format(
                few=few,
                offers=len(self.offers),
                max_dph=price.max_dph,
                count=price.count,
                s="s" * (price.count > 1),
            )
            found.insert(0, Warning("bad" if not price.within else "warn", text))
        return worst_first(found)

    def code(self) -> str:
        """Return the code that does what the form would do."""
        return code_of(self.plan, self.ids, self.price.max_dph)

    def hints(self) -> dict[str, list[float]]:
        """Return sensible limits to offer: hours, and dollars for all machines."""
        price, hours = self.price, self.plan.hours
        longer = sorted({float(math.ceil(hours * share)) for share in (1, 1.5, 3)} - {0.0})
        dollars: list[float] = []
        if price.max_dph is not None and hours:
            most = price.count * price.max_dph * hours  # traffic is not part of a budget
            dollars = sorted({_round_up(most * share) for share in (1.1, 2.0, 4.0)})
        return {"max_hours": longer, "budget_usd": dollars}

    # -- what happens -------------------------------------------------------------------------

    def change(self, name: str, value: Any) -> None:
        """Take what was typed into a field.

        What cannot be understood is told in `errors`, and the field's last good value stays.
        """
        self.take_back()
        try:
            understood = read(name, value)
        except InvalidRequest as error:
            self.errors[name] = str(error)
            return
        self.errors.pop(name, None)
        if name == "bid" and understood is None and self.of_bid_search:
            self.errors["bid"] = words.ENTER_A_BID
        self._set(self.plan.changed({name: understood}))

    def change_all(self, changes: Mapping[str, Any]) -> None:
        """Take values given in Python.

        Raises
        ------
        InvalidRequest
            For a field that does not exist or a value that it cannot have; nothing is changed.
        """
        plan = self.plan.changed(changes)
        self.take_back()
        for name in changes:
            self.errors.pop(name, None)
        self._set(plan)

    def change_env(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the rows of the environment as a page holds them.

        Parameters
        ----------
        rows : sequence of mapping
            ``name``, ``value`` (None: as it was) and ``was`` (the name that it had).
        """
        env: dict[str, str] = {}
        for row in rows:
            name, value = str(row.get("name") or "").strip(), row.get("value")
            if not name:
                continue
            if name.startswith("-"):
                value = "1"
            elif value is None:
                value = self.plan.env.get(str(row.get("was") or name), "")
            env[name] = str(value)
        self.change("env", env)

    def choose_template(self, hash_id: str | None, name: str = "", disk: float = 0.0) -> None:
        """Take a template (or none); its image, run type and least disk are what it says."""
        self.take_back()
        changes: dict[str, Any] = {"template_hash": hash_id, "template": name if hash_id else ""}
        if hash_id:
            changes |= {"image": None, "runtype": None, "disk": max(self.plan.disk, disk)}
            self.errors.pop("image", None)
        elif self.plan.runtype is None:
            changes["runtype"] = "ssh_direct"
        self._set(self.plan.changed(changes))

    def set_offers(self, offers: pd.DataFrame) -> None:
        """Take other candidates."""
        self.take_back()
        self.offers = offers
        self._price = None
        if self.of_bid_search and self.plan.bid is None:
            self._set(self.plan.changed({"bid": "min+10%"}))

    def first(self, offer_id: int) -> None:
        """Try this candidate before the others."""
        if offer_id in self.ids:
            others_last = (self.offers["id"] != offer_id).argsort(kind="stable")
            self.set_offers(self.offers.iloc[others_last].reset_index(drop=True))

    def drop(self, offer_id: int) -> None:
        """Do not try this candidate; the last one stays."""
        if offer_id in self.ids and len(set(self.ids)) > 1:
            left = self.offers[self.offers["id"] != offer_id]
            self.set_offers(left.reset_index(drop=True))

    def review(self, now: float) -> Confirmation:
        """Return what a click would do, for the page to show and repeat.

        Raises
        ------
        InvalidRequest
            If it cannot be rented like this.
        """
        if self.open_question:
            raise ClickRefused(words.FIRST_FIND_OUT)
        self.note, self.outcome = "", None
        if not len(self.offers):
            raise InvalidRequest(words.NO_OFFER)
        if not self.plan.image and not self.plan.template_hash:
            self.errors["image"] = words.ENTER_AN_IMAGE
        if self.errors:
            raise ClickRefused(words.CORRECT_THE_MARKED_FIELD)
        self.plan.spec()
        if self.of_bid_search and self.plan.bid is None:
            raise InvalidRequest(words.NEEDS_A_BID)
        highest = self.price.max_dph
        if highest is None:
            raise InvalidRequest(words.ONE_WITHOUT_A_PRICE)
        if self.phase in ("renting", "rented"):
            raise InvalidRequest(words.RENTED_ALREADY)
        if not self.price.within:
            raise InvalidRequest(words.ALL_ABOVE_THE_HIGHEST_PRICE.format(highest=highest))
        self.confirmation = Confirmation(
            secrets.token_hex(16), tuple(self.ids), self.plan.count, highest, now, self.plan
        )
        self.phase = "confirm"
        return self.confirmation

    def take_back(self) -> None:
        """Forget what was to be confirmed."""
        self.confirmation = None
        if self.phase == "confirm":
            self.phase = "plan"

    def accept(self, click: Mapping[str, Any], now: float) -> Accepted:
        """Take a click on 'Rent', once; the form is renting as soon as it has begun (`begin`).

        Parameters
        ----------
        click : mapping
            ``token``, ``at`` (when it was made, in the kernel's time), and what the page showed:
            ``offers``, ``count``, ``max_dph``.
        now : float
            Kernel's time.

        Raises
        ------
        ClickRefused
            Nothing is rented by this click. If it came too late the confirmation is taken back,
            so that the price has to be looked at again.
        """
        token, shown = click.get("token"), self.confirmation
        if isinstance(token, str) and token in self._used:
            raise ClickRefused(words.ALREADY_CONFIRMED)
        if shown is None or token != shown.token or self.phase != "confirm":
            self.take_back()
            raise ClickRefused(words.FORM_CHANGED)
        made = number(click.get("at"))
        age = math.inf if made is None else now - made
        if age > STALE:
            self.take_back()
            late = f"{age:.0f} s ago" if math.isfinite(age) else words.AT_AN_UNKNOWN_TIME
            raise ClickRefused(words.OLD_CLICK.format(late=late))
        if age < -AHEAD or now - age < shown.made_at - AHEAD:
            self.take_back()
            raise ClickRefused(words.CLOCKS_DISAGREE)
        same = (
            click.get("offers") == list(shown.offer_ids) == self.ids
            and click.get("count") == shown.count == self.plan.count
            and click.get("max_dph") == shown.max_dph == self.price.max_dph
            and shown.plan == self.plan
        )
        if not same:
            self.take_back()
            raise ClickRefused(words.OFFERS_OR_PRICE_CHANGED)
        self._used.add(shown.token)
        self.take_back()
        arguments = {**self.plan.arguments(), "max_dph": shown.max_dph}
        return Accepted(self.offers, arguments)

    # -- what came of it ----------------------------------------------------------------------

    @property
    def open_question(self) -> bool:
        """Whether a machine may exist that nobody holds."""
        return self.run is not None and not self.run.busy and self.run.unknown

    def begin(self, run: RentRun) -> None:
        """Show a rent that is under way."""
        self.take_back()
        self.run, self.outcome, self.found, self.note = run, None, Found(), ""
        self.phase = "renting"

    def ended(self) -> bool:
        """Take note that the rent has ended; return False if it has not, or was known to have."""
        run = self.run
        if run is None or run.busy or self.phase != "renting":
            return False
        self.phase = "rented"
        if run.error is not None:
            self.outcome = outcome_of(run.error)
        elif len(run.instances) < run.plan.count:
            attempts = getattr(run.result, "attempts", None)
            self.outcome = fell_short(len(run.instances), run.plan.count, attempts)
        if self.note == words.TAKEN_OVER:
            self.note = ""
        return True

    def back(self) -> None:
        """Go back to the fields, unless a rent is under way or has left a question open."""
        self.note = ""
        self.take_back()
        if self.open_question:
            return
        if self.phase == "rented":
            self.phase = "plan"
            self.outcome = None

    def show_machines(self) -> None:
        """Go to the machines that were rented."""
        if self.rented and self.phase in ("plan", "confirm"):
            self.take_back()
            self.phase = "rented"

    def found_out(self, found: Found) -> None:
        """Take what became of a rental that was left open."""
        self.finding, self.found = False, found
        if found.level != "bad":
            self.outcome = None
            if self.run is not None:
                self.run.settled = True
        if not found.ids and not self.rented and self.phase == "rented":
            self.back()

    def failed(self, error: BaseException) -> None:
        """Show what went wrong."""
        self.finding, self.note = False, ""
        self.outcome = outcome_of(error)

    def _set(self, plan: RentPlan) -> None:
        self.plan = plan
        self._price = None


def _round_up(dollars: float) -> float:
    """Return a round sum that is not smaller: 1, 2, 3, 5, 8 or 10 of its power of ten."""
    if not math.isfinite(dollars) or dollars <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(dollars))
    step = next(one for one in (1, 2, 3, 5, 8, 10, 20) if one * size >= dollars * (1 - 1e-9))
    return max(1.0, step * size)
