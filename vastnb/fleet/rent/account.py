"""What is known of the account that pays: whether it has an SSH key, and its credit.

Both are asked for before money is spent, and neither stands in the way of it: a key that may not
look at the account may still rent.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vastnb.api.answers import Call
from vastnb.clock import Clock
from vastnb.errors import AuthError, NoSSHKey, VastError
from vastnb.fleet.connect import has_ssh_key
from vastnb.fleet.rent.candidates import Offer, bid_for
from vastnb.fleet.rent.deadline import HOUR, LONGEST, Limits
from vastnb.fleet.rent.spec import Spec
from vastnb.values import number

RECENT: Final = 60.0
"""Seconds for which the credit need not be asked for again before renting."""

PATIENCE: Final = 10.0
"""Seconds that renting waits for an answer about the account."""


class Account:
    """Facts about the account.

    Parameters
    ----------
    call : callable
        Asks the service.
    clock : Clock
        The time.
    """

    def __init__(self, call: Call, clock: Clock) -> None:
        self._call = call
        self._clock = clock
        self._has_key = False
        self._credit: tuple[float, float] | None = None

    def has_ssh_key(self) -> bool:
        """Return whether there is an SSH key; asked for until there is one.

        Raises
        ------
        VastError
            If it cannot be asked for.
        """
        if not self._has_key:
            try:
                answer = self._call("show_ssh_keys", max_wait=PATIENCE)
            except NoSSHKey:
                return False
            self._has_key = has_ssh_key(answer.data)
        return self._has_key

    def credit(self, *, recent: float = 0.0) -> float | None:
        """Return what is left to spend, $; None if the service does not tell.

        Parameters
        ----------
        recent : float
            Seconds for which an earlier answer is good enough.

        Raises
        ------
        VastError
            If it cannot be asked for.
        """
        now = self._clock.time()
        if self._credit is not None and 0 <= now - self._credit[1] < recent:
            return self._credit[0]
        answer = self._call("show_user", max_wait=PATIENCE)
        found = credit_in(answer.data)
        self._credit = None if found is None else (found, now)
        return found


def credit_in(user: Any) -> float | None:
    """Return the credit in the service's record of a user, $; None if it is not there."""
    if not isinstance(user, Mapping):
        return None
    found = number(user.get("credit"))
    return number(user.get("balance")) if found is None else found


def needs_ssh_key(spec: Spec) -> bool:
    """Say whether what is asked for will be logged in to with a key, as far as that is known.

    A template may name any run type, so without one of its own it is not known to.
    """
    runtype = spec.wire_runtype
    if runtype is None:
        return spec.template_hash is None  # the service makes it one for SSH
    return "ssh" in runtype


def require_ssh_key(account: Account, spec: Spec) -> None:
    """See that there is an SSH key, if one will be needed. Sends at most one request.

    Raises
    ------
    NoSSHKey
        If there is none. Nothing was rented.
    """
    if not needs_ssh_key(spec):
        return
    found: bool | None
    try:
        found = account.has_ssh_key()
    except AuthError as error:
        if error.code == "no_key":
            raise
        if error.code == "auth_error":
            return  # the create will be refused for it
        found, trouble = None, error.message
    except VastError as error:
        found, trouble = None, error.message
    else:
        trouble = ""
    if found is None:
        warnings.warn(
            f"Could not check whether the account has an SSH key ({trouble}). Renting continues; "
            "without a key you cannot log in to the machine.",
            RuntimeWarning,
            stacklevel=4,
        )
        return
    if not found:
        raise NoSSHKey(
            "The account has no SSH key. Keys are copied to a machine when it is created, so you "
            "could not log in to this one. Nothing was sent or rented. Add a key at "
            'https://cloud.vast.ai/manage-keys/, rent with runtype="args", or skip this check '
            "with check_ssh_key=False.",
            code="no_ssh_key",
        )


def warn_of_credit(
    account: Account, spec: Spec, offers: Sequence[Offer], limits: Limits, bid: float | str | None
) -> None:
    """Warn if the credit does not cover what is about to be rented; never stand in its way.

    Parameters
    ----------
    account : Account
        Who pays.
    spec, offers, limits, bid
        What is rented, from which offers, for how long, at which bid.
    """
    prices = [
        one.dph(spec.disk, None if bid is None else bid_for(one, bid) or one.min_bid)
        for one in offers
    ]
    known = [price for price in prices if price is not None]
    if len(known) < len(prices) or not known:
        return
    hours = min(limits.max_hours or 1.0, LONGEST / HOUR)
    dollars = sum(known) * hours
    if limits.budget_usd is not None:
        dollars = min(dollars, limits.budget_usd) if limits.max_hours else limits.budget_usd
    try:
        credit = account.credit(recent=RECENT)
    except VastError:
        return  # the create itself will tell
    if credit is not None and credit < dollars:
        machines = "one machine" if len(known) == 1 else f"{len(known)} machines"
        warnings.warn(
            f"The account's credit is ${credit:.2f}, and {hours:g} h of {machines} costs "
            f"${dollars:.2f}. When the credit runs out, Vast.ai stops the machines and keeps "
            "billing their disks. Add credit at https://cloud.vast.ai/billing/.",
            RuntimeWarning,
            stacklevel=4,
        )
