"""What can be done with machines that exist: look, start, stop, name, bid, destroy.

`Handling` is the lower half of the client's verbs about instances; renting stands on it. What is
behind a verb is imported when it is first used, so that importing the package stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import InstanceFailed, InvalidRequest
from vastnb.fleet.base import FleetBase, Footing, id_of

if TYPE_CHECKING:
    from vastnb.fleet.instance import Instance
    from vastnb.fleet.rent.recovery import Report
    from vastnb.fleet.status import Wanted

Ids = int | Sequence[int]


class Handling(Footing):
    """What can be done with machines that exist. A part of `Client`."""

    # -- looking -----------------------------------------------------------------------------

    def show_instances(self) -> pd.DataFrame:
        """Return all instances of the account.

        Returns
        -------
        DataFrame
            One row per instance, the same columns and dtypes in every answer; secrets are left
            out.

        Raises
        ------
        ServerError
            If the list that came is not whole; it is never shown as if it were.
        """
        from vastnb.fleet.listing import list_instances
        from vastnb.fleet.records import frame_of_instances

        desk = self._fleet()
        listing = list_instances(desk.call, desk.clock, columns=["*"])
        seen = self.watcher.feed(listing)
        return frame_of_instances(
            listing.records,
            now=listing.asked_at,
            verdicts={one.id: one.verdict for one in seen.instances},
            provenance={"source": self._fleet_base.base_url},
        )

    def show_instance(self, id: int) -> Instance:
        """Return one instance.

        Raises
        ------
        InvalidRequest
            If the account has no such instance.
        """
        from vastnb.fleet.instance import Instance

        self._fleet()
        record = self._record_of(id)
        if record is None:
            raise InvalidRequest(
                f"There is no instance {id} among yours: it was destroyed, or never existed. "
                "Nothing is billed for it.",
                code="no_such_instance",
            )
        return Instance(self, int(id), record=record)

    def wait(
        self,
        ids: Ids,
        until: Wanted = "running",
        timeout: float = 900,
        *,
        reachable: bool = False,
    ) -> list[Instance]:
        """Wait until instances are running (or stopped, or gone); see `Instance.wait`.

        Parameters
        ----------
        ids : int or sequence of int
            The instances.
        until : {"running", "stopped", "gone"}
            What to wait for.
        timeout : float
            Seconds.
        reachable : bool
            Wait until SSH answers, too.
        """
        from vastnb.fleet.instance import Instance
        from vastnb.fleet.watch.wait import Wait, wait_for

        self._fleet()
        watcher, clock = self.watcher, self._clock_of_fleet()
        numbers = _several(ids)
        wait_for(Wait(watcher, clock, numbers, until, timeout, reachable=reachable), watcher, clock)
        return [Instance(self, one) for one in numbers]

    async def wait_async(
        self,
        ids: Ids,
        until: Wanted = "running",
        timeout: float = 900,
        *,
        reachable: bool = False,
    ) -> list[Instance]:
        """Do the same as `wait`, and leave the kernel free: ``await client.wait_async(...)``.

        It may be cancelled at any moment. Parameters, result and errors are those of `wait`.
        """
        from vastnb.fleet.instance import Instance
        from vastnb.fleet.watch.wait import Wait, wait_for_async

        watcher, clock = self.watcher, self._clock_of_fleet()
        numbers = _several(ids)
        wait = Wait(watcher, clock, numbers, until, timeout, reachable=reachable)
        await wait_for_async(wait, watcher, clock)
        return [Instance(self, one) for one in numbers]

    def logs(
        self,
        id: int,
        tail: int = 1000,
        *,
        daemon: bool = False,
        filter: str | None = None,
        timeout: float = 30,
    ) -> str:
        """Return the last lines of an instance's log.

        Parameters
        ----------
        id : int
            The instance.
        tail : int
            How many lines.
        daemon : bool
            The log of the machine's own daemon instead of the container's.
        filter : str, optional
            Only lines that contain it.
        timeout : float
            Seconds until the log must be there.

        Raises
        ------
        WaitTimeout
            If it is not.
        """
        from vastnb.fleet.logs import fetch_log

        body: dict[str, Any] = {"tail": str(int(tail))}
        if filter:
            body["filter"] = filter
        if daemon:
            body["daemon_logs"] = "true"
        data = self._ask("request_logs", id, body)
        return fetch_log(str(data.get("result_url") or ""), self._clock_of_fleet(), timeout=timeout)

    # -- changing ----------------------------------------------------------------------------

    def start_instance(self, id: Ids) -> None:
        """Start stopped instances.

        Raises
        ------
        InstanceFailed
            If the GPUs are taken. The start is queued then: the machine may start, and bill, by
            itself later; `stop_instance` takes it out of the queue.
        """
        for one in _several(id):
            data = self._ask("manage_instance", one, {"state": "running"}, judge=False)
            self.watcher.expect(one, "running")
            if data.get("success") is False:
                raise InstanceFailed(
                    f"Instance {one} cannot start now ({data.get('error', 'refused')}): its GPUs "
                    "are taken. The start is queued, so it may start and bill by itself later; "
                    f"stop_instance({one}) takes it out of the queue. Its disk is billed anyway.",
                    code=str(data.get("error") or "refused"),
                )

    def stop_instance(self, id: Ids) -> None:
        """Stop instances: their GPUs are given back, their disks are kept and billed."""
        for one in _several(id):
            self._ask("manage_instance", one, {"state": "stopped"})
            self.watcher.expect(one, "stopped")

    def reboot_instance(self, id: int) -> None:
        """Stop and start an instance's container without giving its GPUs back."""
        self._ask("reboot_instance", id, {})
        self.watcher.nudge(id_of(id), "asked to reboot")

    def label_instance(self, id: int, label: str | None) -> None:
        """Give an instance a label of at most 256 characters; None takes it away."""
        if label is not None and (not isinstance(label, str) or len(label) > 256):
            raise InvalidRequest("A label is a text of at most 256 characters. Nothing was sent.")
        self._ask("manage_instance", id, {"label": label or ""})
        self.watcher.relabel(id_of(id), label)

    def change_bid(self, id: int, price: float) -> None:
        """Bid another price for an interruptible instance, $/h from 0.001 to 128.

        A higher bid may start it, a lower one may stop it.
        """
        if isinstance(price, bool) or not (0.001 <= price <= 128):
            raise InvalidRequest(
                f"price={price!r}: a bid from 0.001 to 128 $/h is needed. Nothing was sent.",
                code="invalid_price",
            )
        self._ask("change_bid", id, {"client_id": "me", "price": float(price)})
        guard = self._desk.guard if self._desk is not None else None
        if guard is not None:
            guard.look_at_prices()
        self.watcher.nudge(id_of(id), f"bid changed to ${float(price):.4g}/h")

    def destroy_instance(self, id: Ids, *, verify: bool = True) -> None:
        """Destroy instances, their disks included.

        Some machines come back after half a minute. That these stay gone is confirmed in the
        background, and by the next kernel if this one ends; one that comes back is destroyed
        again, and you are told.

        Parameters
        ----------
        id : int or sequence of int
            The instances.
        verify : bool
            Return when they have been seen gone; without it, as soon as the service has confirmed
            the request.

        Raises
        ------
        OutcomeUnknown
            If it is not confirmed: one may still bill. It is tried again in the background.
        """
        from vastnb.fleet.guarding import guard_of
        from vastnb.fleet.rent.ending import destroy

        ids = _several(id)
        desk = self._fleet(first=False)  # what an earlier kernel left open can wait; this bills
        guard_of(self, desk)
        for one in ids:  # first, for whoever looks meanwhile: whatever comes of it, that is meant
            self.watcher.expect(one, "gone")
        try:
            destroy(desk, ids, verify=verify)
        finally:
            self.watcher.nudge()

    def reconcile(self, *, not_mine: Ids = ()) -> Report:
        """Find out what became of every rental that was left open, and what bills.

        Looks after attempts of this kernel and of kernels that are dead, never after those of
        one that runs, and never after machines that were not rented by vastnb on this computer.
        Machines past their deadline are destroyed; those whose deadline is still to come are
        guarded from now on.

        Parameters
        ----------
        not_mine : int or sequence of int
            Machines that you know to be somebody else's, or to have been rented by other means:
            they are no longer taken for what may have become of a create whose answer was lost.

        Returns
        -------
        Report
            Printing it names each machine: adopted, destroyed, proved absent, billing. Its
            ``findings`` hold the same as values.

        Raises
        ------
        AuthError
            If the key is not accepted.
        InvalidRequest
            If a machine of `not_mine` was rented here.
        JournalError
            If the record of rentals cannot be used.
        """
        from vastnb.fleet.guarding import take_up
        from vastnb.fleet.rent.recovery import disown, reconcile

        desk = self._fleet(first=False)
        disown(desk.journal, desk.rights.base_url, _several(not_mine), desk.clock.time())
        self.__dict__["_begun"] = True
        report = reconcile(desk)
        take_up(self, desk)
        return report


def _several(ids: Ids) -> list[int]:
    if isinstance(ids, Sequence) and not isinstance(ids, str):
        return [id_of(one) for one in ids]
    return [id_of(ids)]


__all__ = ["FleetBase", "Handling", "Ids"]
