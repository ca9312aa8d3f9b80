"""What users do to instances: rent, start, stop, reboot, bid, destroy."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from vastnb.sim.accounts import Account
from vastnb.sim.instances.events import Living
from vastnb.sim.instances.instance import Instance
from vastnb.sim.instances.lifecycle import FATES, REFUSALS, Step, choose
from vastnb.sim.instances.orders import Order
from vastnb.sim.market.listing import Listing, Market
from vastnb.sim.noise import mix
from vastnb.sim.refusal import Failure

FIRST_CONTRACT = 46_000_000


def no_longer(offer_id: int) -> Failure:
    """Return the refusal for an offer that somebody else has taken."""
    return Failure(
        410,
        "no_such_ask",
        f"error 410/3907: no_such_ask Instance type {offer_id} is no longer available.",
        ask_id=offer_id,
    )


class Fleet(Living):
    """The instances of all accounts.

    Parameters
    ----------
    market, seed, start
        See `vastnb.sim.instances.events.Living`.
    trouble : float
        Share of instances that come to grief.

    Attributes
    ----------
    refuse_starts : int
        How many of the next starts are refused and queued, although the GPUs are free.
    listed_after : float
        World seconds until a new machine is shown, by lists and by its id.
    lists_behind : float
        World seconds by which lists are from the past: without what was made since, and with what
        was destroyed.
    lists_empty : bool
        Whether lists say that there is nothing (``total_instances: 0``).
    env_shape : str
        How ``extra_env`` comes back: ``"pairs"``, ``"null"``, ``"texts"``, ``"object"``,
        ``"json"``.
    refuse_destroys : str
        Why no machine is destroyed, in the service's words; empty if they are.
    """

    def __init__(self, market: Market, *, seed: int, start: float, trouble: float = 0.0) -> None:
        super().__init__(market, seed=seed, start=start)
        self.trouble = trouble
        self.refuse_starts = 0
        self.listed_after = 0.0
        self.lists_behind = 0.0
        self.lists_empty = False
        self.env_shape = "pairs"
        self.refuse_destroys = ""
        self._planned: deque[str] = deque()

    def expect(self, *fates: str) -> None:
        """Settle beforehand what becomes of the next creates, one after the other.

        Parameters
        ----------
        *fates : str
            Names of `vastnb.sim.instances.lifecycle.FATES`, or of its `REFUSALS`.
        """
        for fate in fates:
            if fate not in FATES and fate not in REFUSALS:
                raise ValueError(f"no such fate: {fate!r}; use {', '.join(FATES + REFUSALS)}")
        self._planned.extend(fates)

    def of(self, account: Account) -> list[Instance]:
        """Return the instances that an account is shown, oldest first."""
        if self.lists_empty:
            return []
        at = self._elapsed - self.lists_behind
        some = self.instances if self.lists_behind else self._existing
        return [
            i
            for i in some.values()
            if i.owner == account.key
            and i.id not in self._hidden
            and i.created + self.listed_after <= at
            and (i.destroyed is None or i.destroyed > at)
        ]

    def get(self, account: Account, instance_id: int) -> Instance | None:
        """Return an account's instance, if it is shown one with this id."""
        instance = self._existing.get(instance_id)
        if instance is None or instance.owner != account.key or instance_id in self._hidden:
            return None
        return None if instance.created + self.listed_after > self._elapsed else instance

    def with_key(self, key: str) -> Instance | None:
        """Return the instance whose own key this is, if it still exists."""
        return next((i for i in self._existing.values() if i.api_key == key), None)

    # -- renting

    def rent(self, account: Account, offer_id: int, order: Order, elapsed: float) -> dict[str, Any]:
        """Create an instance; return the service's answer.

        Parameters
        ----------
        account : Account
            Who pays.
        offer_id : int
            What is rented.
        order : Order
            What it is rented for.
        elapsed : float
            World seconds.

        Raises
        ------
        Failure
            If nothing was created.
        """
        planned = self._planned.popleft() if self._planned else None
        self._refuse(account, offer_id, order, planned)
        listing = None if planned == "gone" else self.market.find(offer_id)
        if listing is None:
            raise Failure(
                404,
                "invalid_args",
                f"error 404/3603: no_such_ask Instance type by id {offer_id} is not available.",
                ask_id=offer_id,
            )
        if not listing.available:
            raise no_longer(offer_id)
        starts = planned != "created-stopped" and order.target_state == "running"
        if order.price is not None:
            spot = self.market.spot(listing.machine, listing.num_gpus, elapsed)
            starts = starts and order.price >= spot
        elif planned == "created-stopped" and order.cancel_unavail:
            raise no_longer(offer_id)
        instance = self._create(account, listing, order, elapsed, planned)
        if starts:
            self._hold(instance, elapsed)
            self._boot(instance, elapsed, again=False)
        else:
            instance.intended = instance.cur_state = instance.next_state = "stopped"
            if order.target_state == "running":
                return {"success": False, "new_contract": instance.id}
        return {
            "success": True,
            "new_contract": instance.id,
            "instance_api_key": instance.api_key,
        }

    def _refuse(self, account: Account, offer_id: int, order: Order, planned: str | None) -> None:
        if planned == "forbidden":
            raise Failure(
                403,
                "invalid_args",
                f"error 403/3586: Offer {offer_id} is not your own. Hosts can only rent their "
                "own machines.",
                ask_id=offer_id,
            )
        if order.vm and not account.ssh_keys:
            raise Failure(
                400,
                "no_ssh_key_for_vm",
                "error 400/3501: A VM needs an ssh key in your account.",
                ask_id=offer_id,
            )
        if planned == "spend-limit":
            raise Failure(
                400,
                "spend_limit_exceeded",
                "The spend limit of this account is reached.",
                ask_id=offer_id,
            )
        if account.credit <= 0 or planned == "no-credit":
            raise Failure(
                400,
                "insufficient_credit",
                "You lack credit, see the billing page. (simulated)",
                ask_id=offer_id,
            )

    def _create(
        self,
        account: Account,
        listing: Listing,
        order: Order,
        elapsed: float,
        planned: str | None,
    ) -> Instance:
        number = len(self.instances)
        offer = listing.row("on-demand", order.disk, self.start + elapsed)
        rng = random.Random(mix(self.seed, number, 73))
        fate = choose(rng, order.image, trouble=self.trouble, planned=[planned] if planned else [])
        instance = Instance(
            id=FIRST_CONTRACT + 12 * number + mix(self.seed, number) % 12,
            owner=account.key,
            offer=offer,
            machine=listing.machine,
            mask=listing.mask,
            num_gpus=listing.num_gpus,
            is_bid=order.price is not None,
            bid=order.price,
            on_demand=float(offer.get("dph_base") or 0.0),
            # More than there is, is cut without a word.
            disk=min(order.disk, float(offer.get("disk_space") or order.disk)),
            image=order.image,
            created=elapsed,
            fate=fate,
            env=list(order.env),
            label=order.label,
            runtype=order.runtype,
            onstart=order.onstart,
            args=list(order.args),
            template=order.template,
        )
        self.instances[instance.id] = self._existing[instance.id] = instance
        self._changed.add(account.key)
        return instance

    # -- what can be done to one

    def stop(self, instance: Instance, elapsed: float) -> None:
        """Stop an instance, or take it out of the queue."""
        self._halt(instance, elapsed, waiting=False)
        instance.outbid = False

    def begin(self, account: Account, instance: Instance, elapsed: float) -> dict[str, Any]:
        """Start a stopped instance; return the service's answer.

        Raises
        ------
        Failure
            If the account cannot pay.
        """
        if account.credit <= 0:
            raise Failure(400, "missing_billing", "You lack credit, see the billing page.")
        if instance.holds:
            return {"success": True}
        if self.refuse_starts > 0:
            self.refuse_starts -= 1
        elif self._can_run(instance, elapsed):
            self._hold(instance, elapsed)
            self._boot(instance, elapsed, again=instance.running_since is not None)
            return {"success": True}
        self._forget_plans(instance)
        self._change(instance, elapsed, intended="running", next_state="running", waiting=True)
        self._watch(instance, elapsed)
        return {
            "success": False,
            "error": "resources_unavailable",
            "msg": "Required resources are currently unavailable, state change queued.",
        }

    def reboot(self, instance: Instance, elapsed: float) -> None:
        """Stop and start the container without giving its GPUs back."""
        if instance.container_up:
            self._forget_plans(instance)
            instance.actual = "rebooting"
            instance.ends += 1
            back = 8.0 + mix(instance.id, int(elapsed)) % 12
            self._plan(instance, elapsed, [Step(back, {"actual": "running"})])

    def recycle(self, instance: Instance, elapsed: float) -> None:
        """Destroy the container and make a new one, without giving its GPUs back."""
        if instance.holds:
            instance.containers += 1
            self._change(instance, elapsed, container_up=False, actual="loading")
            self._boot(instance, elapsed, again=True)

    def rebid(self, instance: Instance, price: float, elapsed: float) -> None:
        """Change the bid of an interruptible instance; it may start or be stopped for it."""
        self._change(instance, elapsed, bid=price, is_bid=True)
        self._look_around(instance, elapsed)

    def destroy(self, instance: Instance, elapsed: float) -> None:
        """Destroy an instance. One whose fate it is comes back, once."""
        if instance.fate == "resurrects" and not instance.resurrections:
            # Gone from every list for now, and billing all the while.
            instance.resurrections = 1
            self._hidden.add(instance.id)
            self._push(elapsed + 35.0, instance, -1, Step(0.0, event="resurrect"))
            return
        self._forget_plans(instance)
        self._change(instance, elapsed, container_up=False, pull_rate=0.0, waiting=False)
        self._release(instance, elapsed)
        instance.destroyed = elapsed
        del self._existing[instance.id]


__all__ = ["FIRST_CONTRACT", "Fleet", "no_longer"]
