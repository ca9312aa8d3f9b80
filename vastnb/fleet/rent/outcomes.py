"""What came of one attempt: an answer that was read, and the words for how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vastnb.api.answers import own_refusal
from vastnb.api.text import plain
from vastnb.errors import InstanceFailed, OutcomeUnknown, ServerError, VastError
from vastnb.fleet.rent.offer import Offer
from vastnb.fleet.rent.plan import LIVE, UNSETTLED, State
from vastnb.fleet.rent.settle import Case


class Read(NamedTuple):
    """What an answer to a create says: where the attempt stands, the machine, and why."""

    state: State
    contract: int | None = None
    why: str = ""


def read_answer(data: Any) -> Read:
    """Say what the answer to a create means.

    A machine that exists is one that the answer names. A refusal is one that says so in words
    that the service is known to use. Anything else is unknown, and is found out.

    Parameters
    ----------
    data : Any
        The decoded JSON.
    """
    if not isinstance(data, Mapping):
        return Read(State.UNKNOWN, None, "an answer that is not understood")
    named = data.get("new_contract")
    contract = _id(named)
    if contract is not None:
        created = data.get("success") is not False
        return Read(State.CREATED if created else State.STILLBORN, contract)
    if named is None and own_refusal(200, data) is not None:
        said = ": ".join(str(data[k]) for k in ("error", "msg") if data.get(k))
        return Read(State.REFUSED, None, plain(said))
    return Read(State.UNKNOWN, None, "an answer without a contract")


@dataclass
class Attempt:
    """What came of one offer.

    Parameters
    ----------
    offer : Offer
        What was asked for.
    price : float or None
        $/h with the disk, as known when it was sent.
    case : Case or None
        Where it stands; None if it was passed over.
    error : VastError or None
        Why there is no machine.
    passed_over : str
        Why it was not tried, in words.
    """

    offer: Offer
    price: float | None = None
    case: Case | None = None
    error: VastError | None = None
    passed_over: str = ""

    @property
    def state(self) -> State | None:
        """Where it stands."""
        return self.case.state if self.case else None

    @property
    def instance_id(self) -> int | None:
        """The machine that came of it, be it destroyed by now."""
        return self.case.contract if self.case else None

    @property
    def deadline(self) -> float | None:
        """When the machine is to end, epoch seconds."""
        return self.case.entry.deadline if self.case and self.case.entry else None


def outcome(attempt: Attempt, was: State) -> VastError | None:
    """Return the error that says what came of an attempt that was settled; None for a machine.

    Parameters
    ----------
    attempt : Attempt
        After settling.
    was : State
        Before it.
    """
    case = attempt.case
    if case is None or case.state in LIVE:
        return None
    if case.state in UNSETTLED:
        return unknown(attempt)
    if case.state is State.ABSENT:
        return ServerError(
            f"The answer to renting {attempt.offer} was lost; {case.seen.clean} complete lists of "
            "your instances show that nothing was created. Nothing was rented or charged. You may "
            "try it again.",
            code="proved_absent",
        )
    if case.is_ended and was in (*UNSETTLED, State.STILLBORN, State.DESTROYING):
        return InstanceFailed(
            f"{attempt.offer} gave a stopped machine (instance {case.contract}) that would have "
            "billed its disk: the bid was too low, or its GPUs were just taken. It was destroyed. "
            "Bid more, or try the next offer.",
            code="created_stopped",
        )
    if case.state in (State.DESTROYING, State.STILLBORN):
        return still_there([case])
    return attempt.error


def unknown(attempt: Attempt) -> OutcomeUnknown:
    """Return the error for an attempt that may have made a machine, with what it may cost."""
    case = attempt.case
    assert case is not None
    assert case.entry is not None
    return OutcomeUnknown(
        f"A create for {attempt.offer} was sent and its answer was lost. {_may_exist(case)} "
        "Nothing else was sent for it. Run client.reconcile() to find it or to prove that it does "
        f"not exist, or check https://cloud.vast.ai/instances/.{_last(case)}",
        code="unsettled",
    )


def blocked(case: Case) -> OutcomeUnknown:
    """Return the error for a create that was not sent, because an earlier one is open."""
    assert case.entry is not None
    return OutcomeUnknown(
        f"What became of an earlier create, for offer {case.entry.offer_id}, is still not known, "
        f"so this call sent nothing and rented nothing. {_may_exist(case)} Run client.reconcile() "
        f"until it is found or proved absent, then rent again.{_last(case)}",
        code="unsettled",
    )


def _may_exist(case: Case) -> str:
    entry = case.entry
    assert entry is not None
    cost = "an unknown price" if entry.price is None else f"${entry.price:.4f}/h"
    text = (
        f"One machine with a disk of {entry.disk:g} GB may exist and bill {cost}; it carries "
        f"VASTNB_ATTEMPT={entry.marker} in its environment."
    )
    if case.seen.maybe:
        named = ", ".join(map(str, case.seen.maybe))
        text += (
            f" It may be instance {named}, which shows no marker and began after the request. If "
            "it is yours, client.destroy_instance(id) ends it. If somebody else rented it, or you "
            f"did by other means, client.reconcile(not_mine=[{named}]) says so, and creates go on."
        )
    return text


def _last(case: Case) -> str:
    return f" Last trouble: {case.error}" if case.error else ""


def still_there(cases: Sequence[Case]) -> OutcomeUnknown:
    """Return the error for machines that should be gone, and are not known to be."""
    ids = ", ".join(str(one.contract) for one in cases)
    what = f"Instance {ids} was" if len(cases) == 1 else f"Instances {ids} were"
    refused = next((one.refusal for one in cases if one.refusal is not None), None)
    if refused is not None:
        # Without the advice of a refusal: it is about a request that the user has made.
        why = refused.message.partition("Nothing was")[0].strip()
        return OutcomeUnknown(
            f"{what} not destroyed: {why} It may still bill. While this kernel lives, it is tried "
            "again in the background, as it is by the next one. Or destroy it at "
            "https://cloud.vast.ai/instances/.",
            status=refused.status,
            code=refused.code or "destroy_refused",
        )
    return OutcomeUnknown(
        f"{what} asked to be destroyed, which is not confirmed yet: it may still bill. While this "
        "kernel lives, it is tried again in the background, as it is by the next one. "
        "client.reconcile() tells how it stands; or check https://cloud.vast.ai/instances/."
        f"{_last(cases[0])}",
        code="not_seen_gone",
    )


def _id(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


__all__ = ["Attempt", "Read", "blocked", "outcome", "read_answer", "still_there", "unknown"]
