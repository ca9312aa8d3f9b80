"""Renting: the client's verbs that begin to cost money.

`InstanceVerbs` is a part of `vastnb.Client`. What is behind a verb is imported when it is first
used, so that importing the package stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vastnb.errors import InvalidRequest
from vastnb.fleet.handling import FleetBase, Handling

if TYPE_CHECKING:
    from vastnb.fleet.instance import Fleet, Instance
    from vastnb.market.query import QueryLike


class InstanceVerbs(Handling):
    """What can be done with machines. A part of `Client`."""

    def create_instance(
        self,
        offer: Any,
        *,
        image: str | None = None,
        disk: float = 10,
        label: str | None = None,
        env: Mapping[str, str] | str | None = None,
        onstart: str | None = None,
        runtype: str | None = None,
        price: float | None = None,
        template_hash: str | None = None,
        args: Sequence[str] | None = None,
        cancel_unavail: bool | None = None,
        **more: Any,
    ) -> Instance:
        """Rent one offer, once or not at all.

        Parameters
        ----------
        offer : int, row of a frame, or dict
            The offer.
        image : str, optional
            Docker image; needed unless a template names it.
        disk : float
            GB, from 8.
        label : str, optional
            At most 256 characters.
        env : dict or str, optional
            ``{"KEY": "value", "-p 8000:8000": "1"}``, or docker's flags as one text.
        onstart : str, optional
            Shell commands for every start, at most 4,096 characters.
        runtype : str, optional
            ``"ssh"``, ``"ssh_direct"``, ``"jupyter"``, ``"jupyter_direct"``, ``"args"``.
        price : float, optional
            A bid in $/h: the machine is interruptible then. Without it, it is on demand.
        template_hash : str, optional
            A template.
        args : list of str, optional
            Arguments of the image's own entry point.
        cancel_unavail : bool, optional
            Create nothing if the GPUs are taken; by default yes on demand.
        **more
            Further fields: ``user``, ``image_login``, ``extra``, ``python_utf8``, ``lang_utf8``,
            ``use_jupyter_lab``, ``jupyter_dir``, ``force``, ``volume_info``.

        Returns
        -------
        Instance
            The machine; it bills from now on. As a context manager it is destroyed at the end.

        Raises
        ------
        OfferGone, NoCredit, InvalidRequest, AuthError, RateLimited
            Nothing was rented.
        InstanceFailed
            The service made a stopped machine; it was destroyed.
        ServerError
            Nothing was rented: it was never sent, or was proved not to have arrived.
        OutcomeUnknown
            A machine may exist; `reconcile` finds it.
        JournalError
            It could not be written down, so nothing was sent.
        """
        from vastnb.fleet.desk import Attempt
        from vastnb.fleet.offer import offer_of
        from vastnb.fleet.order import Order
        from vastnb.fleet.rent import Rental
        from vastnb.fleet.renting import one_instance

        chosen = offer_of(offer)
        order = Order(image, disk, label, env, onstart, runtype, price, template_hash, args,
                      cancel_unavail, more)  # fmt: skip
        if chosen.is_bid and price is None:
            raise _bid_without_price()
        desk = self._fleet(acting=True)
        rental = Rental(desk, order, [chosen], checked_at=desk.clock.time())
        return one_instance(self, rental, desk, chosen, Attempt(chosen))

    def rent(
        self,
        offers: QueryLike | Any = None,
        *,
        count: int = 1,
        max_dph: float | None = None,
        bid: float | str | None = None,
        image: str | None = None,
        disk: float = 10,
        label: str | None = None,
        env: Mapping[str, str] | str | None = None,
        onstart: str | None = None,
        runtype: str | None = None,
        template_hash: str | None = None,
        args: Sequence[str] | None = None,
        **more: Any,
    ) -> Instance | Fleet:
        """Rent machines: the offers are tried in the order given until there are enough.

        Parameters
        ----------
        offers : DataFrame, ids, or query
            Candidates, best first; or a query, whose offers are tried cheapest first.
        count : int
            How many machines; each is another one.
        max_dph : float, optional
            The most that one may cost, $/h with its disk. Checked against prices that are asked
            for at the last moment.
        bid : float or str, optional
            Rent interruptible machines: a bid in $/h for the GPUs, or ``"min"``, ``"min+10%"``,
            ``"min+0.05"``. Needed for offers of a bid search; those are never rented on demand.
        image, disk, label, env, onstart, runtype, template_hash, args, **more
            As for `create_instance`.

        Returns
        -------
        Instance or Fleet
            One machine for ``count=1``, otherwise a sequence of them. Both have ``attempts``, a
            frame that says what happened to each offer, and destroy at the end of a ``with``
            block. A fleet that fell short is returned with a warning.

        Raises
        ------
        OfferGone, NoCredit, InvalidRequest, AuthError, RateLimited, ServerError, InstanceFailed
            Nothing was rented.
        OutcomeUnknown
            A machine may exist; nothing more was sent. A note names those that run.
        JournalError
            It could not be written down, so nothing was sent.
        """
        from vastnb.fleet.order import Order
        from vastnb.fleet.renting import prepare, result_of

        order = Order(image, disk, label, env, onstart, runtype, None, template_hash, args,
                      None, more)  # fmt: skip
        rental = prepare(self, order, offers, count=count, max_dph=max_dph, bid=bid)
        return result_of(self, rental)


def _bid_without_price() -> InvalidRequest:
    return InvalidRequest(
        "This offer comes from a search for interruptible machines, and no price is given: the "
        "service would rent it on demand, at a higher price. Nothing was sent. Give price= (a bid "
        'in $/h), use rent(..., bid="min+10%"), or search with type="on-demand".',
        code="bid_without_price",
    )


__all__ = ["FleetBase", "InstanceVerbs"]
