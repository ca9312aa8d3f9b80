"""Renting: the client's verbs that begin to cost money.

`InstanceVerbs` is a part of `vastnb.Client`. What is behind a verb is imported when it is first
used, so that importing the package stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vastnb.api.secret import veil
from vastnb.fleet.handling import FleetBase
from vastnb.fleet.spending import Spending

if TYPE_CHECKING:
    from vastnb.fleet.instance import Fleet, Instance
    from vastnb.fleet.rent.events import Listener
    from vastnb.market.query.query import QueryLike


class InstanceVerbs(Spending):
    """What can be done with machines. A part of `Client`."""

    def create_instance(
        self,
        offer: Any,
        *,
        image: str | None = None,
        disk: float | None = None,
        label: str | None = None,
        env: Mapping[str, str] | str | None = None,
        onstart: str | None = None,
        runtype: str | None = None,
        price: float | None = None,
        template_hash: str | None = None,
        args: Sequence[str] | None = None,
        cancel_unavail: bool | None = None,
        max_hours: float | None = None,
        budget_usd: float | None = None,
        deadline_on_machine: bool = False,
        check_ssh_key: bool = True,
        on_event: Listener | None = None,
        **more: Any,
    ) -> Instance:
        """Rent one offer, once or not at all.

        Parameters
        ----------
        offer : int, row of a frame, or dict
            The offer.
        image : str, optional
            Docker image; needed unless a template names it.
        disk : float, optional
            GB, from 8; by default what the offer was searched with, at least 10.
        label : str, optional
            At most 256 characters.
        env : dict or str, optional
            ``{"KEY": "value", "-p 8000:8000": "1"}``, or docker's flags as one text.
        onstart : str, optional
            Shell commands for every start, at most 16,384 characters together with `args`.
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
        max_hours, budget_usd, deadline_on_machine, check_ssh_key, on_event
            As for `rent`.
        **more
            Further fields: ``user``, ``image_login``, ``extra``, ``python_utf8``, ``lang_utf8``,
            ``use_jupyter_lab``, ``jupyter_dir``, ``force``, ``volume_info``, ``vm``.

        Returns
        -------
        Instance
            The machine; it bills from now on. As a context manager it is destroyed at the end.

        Raises
        ------
        OfferGone, NoCredit, InvalidRequest, AuthError, RateLimited
            Nothing was rented. `SpendLimit` is a `NoCredit`; `NoSSHKey` and `BadTemplate` are
            `InvalidRequest`s.
        InstanceFailed
            The service made a stopped machine; it was destroyed.
        ServerError
            Nothing was rented: it was never sent, or was proved not to have arrived.
        OutcomeUnknown
            A machine may exist; `reconcile` finds it.
        JournalError
            It could not be written down, so nothing was sent.
        """
        env, onstart, args, more = map(veil, (env, onstart, args, more))
        from vastnb.fleet.rent.deadline import Bounds
        from vastnb.fleet.rent.offer import disk_for, offer_of
        from vastnb.fleet.rent.renter import Terms, one_instance
        from vastnb.fleet.rent.spec import Order

        disk = disk_for([offer_of(offer)], disk)
        order = Order(image, disk, label, env, onstart, runtype, price, template_hash, args,
                      cancel_unavail, more)  # fmt: skip
        bounds = Bounds(max_hours, budget_usd, 1, deadline_on_machine)
        return one_instance(self, order, offer, Terms(bounds, check_ssh_key, on_event))

    def rent(
        self,
        offers: QueryLike | Any = None,
        *,
        count: int = 1,
        max_dph: float | None = None,
        bid: float | str | None = None,
        max_hours: float | None = None,
        budget_usd: float | None = None,
        deadline_on_machine: bool = False,
        check_ssh_key: bool = True,
        on_event: Listener | None = None,
        image: str | None = None,
        disk: float | None = None,
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
            for at the last moment. Without it, an offer is passed over if its price has risen by
            more than a fifth since you have seen it.
        bid : float or str, optional
            Rent interruptible machines: a bid in $/h for the GPUs, or ``"min"``, ``"min+10%"``,
            ``"min+0.05"``. Needed for offers of a bid search; those are never rented on demand.
        max_hours : float, optional
            Hours after which each machine is destroyed.
        budget_usd : float, optional
            Dollars that all machines together may cost: they are destroyed when so much is spent
            by their agreed prices, disks included, as if they ran all the time. **Traffic is not
            in it**, for nobody knows beforehand what is transferred; and a bid that is raised
            later does not move the deadline.
        deadline_on_machine : bool
            Let each machine end itself as well, with a line before its start script, in case this
            computer is off then. It uses the instance's own key, and some 700 of the 16,384
            characters of `onstart`. With a budget each machine has an equal share of it.
        check_ssh_key : bool
            See that the account has an SSH key before anything is rented that needs one.
        on_event : callable, optional
            Called with a `RentEvent` (``kind``, ``offer_id``, ``instance_id``, ``dph``, ``text``)
            at every step, in this thread.
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
            Nothing was rented. `SpendLimit` is a `NoCredit`; `NoSSHKey` and `BadTemplate` are
            `InvalidRequest`s.
        OutcomeUnknown
            A machine may exist; nothing more was sent. A note names those that run.
        JournalError
            It could not be written down, so nothing was sent.

        Notes
        -----
        Deadlines are enforced as long as this kernel and this client live. They are kept on disk:
        a kernel that starts later destroys what is overdue at its first use of a client, and
        guards the rest.
        """
        env, onstart, args, more = map(veil, (env, onstart, args, more))
        from vastnb.fleet.rent.deadline import Bounds
        from vastnb.fleet.rent.offer import as_given, disk_for, is_query, offers_of
        from vastnb.fleet.rent.renter import Terms, prepare, result_of
        from vastnb.fleet.rent.spec import Order

        offers = as_given(offers)
        disk = disk_for([] if is_query(offers) else offers_of(offers), disk)
        order = Order(image, disk, label, env, onstart, runtype, None, template_hash, args,
                      None, more)  # fmt: skip
        bounds = Bounds(max_hours, budget_usd, count, deadline_on_machine)
        terms = Terms(bounds, check_ssh_key, on_event)
        rental = prepare(self, order, offers, count=count, max_dph=max_dph, bid=bid, terms=terms)
        return result_of(self, rental)


__all__ = ["FleetBase", "InstanceVerbs"]
