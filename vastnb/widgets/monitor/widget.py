"""`monitor`: all machines of an account in one widget, with what they cost and what can be done.

`Monitor` is a thin shell around `MonitorModel`. The page sets the pace (`poller`): while somebody
can see the monitor it asks, and one list call answers all monitors of a client; otherwise nothing
is sent. Clicks are checked by the model and carried out in a thread of their own each.

Everything is written from one thread, the kernel's main one; workers only hand over. What is shown
goes to the page as messages and not as synced traits, so that a saved notebook holds the static
copy and nothing else. An address that holds a token is sent once, to whoever has clicked for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from vastnb.fleet.records import frame_of_instances
from vastnb.widgets.kit.bundle import bundle, styles
from vastnb.widgets.kit.pace import Poller
from vastnb.widgets.kit.search import unexpected
from vastnb.widgets.kit.widget import LiveWidget, one_a_place
from vastnb.widgets.kit.work import Work
from vastnb.widgets.monitor import words
from vastnb.widgets.monitor.actions import QUIET, Click, Outcome, carry_out
from vastnb.widgets.monitor.load import FIRST
from vastnb.widgets.monitor.model import model_of
from vastnb.widgets.monitor.view import static_copy

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.watch.changes import Change
    from vastnb.fleet.watch.state import Snapshot

_log = logging.getLogger("vastnb.widgets")


def monitor(
    client: Client,
    *,
    on_notice: Callable[[Change], object] | None = None,
    key: str | None = None,
) -> Monitor:
    """Watch all instances of the account: their state, their cost, and what you can do.

    It lists the instances once at the start. Then the page sets the pace: one request every 5 to 30
    seconds while the monitor is visible, shared by all monitors of a client, and none while it is
    hidden. Watching ends with the widget; machines stay as they are.

    Parameters
    ----------
    client : Client
        The client whose instances to watch.
    on_notice : callable, optional
        ``on_notice(change)`` is called in the kernel's main thread with every notice of wasted
        money (outbid, stuck, failed, unreachable, low credit, past its deadline). See
        `vastnb.fleet.watch.changes.Change`.
    key : str, optional
        A newer monitor with the same key replaces this one. By default the notebook cell is the
        key, so running a cell again leaves nothing behind.

    Returns
    -------
    Monitor
        With ``.df``, ``.events`` and ``.history``, always up to date.

    Examples
    --------
    >>> import vastnb
    >>> watching = vastnb.monitor(vastnb.demo())  # doctest: +SKIP
    >>> watching.events  # doctest: +SKIP
    """
    made = Monitor(client, on_notice=on_notice)
    one_a_place(made, key)
    return made


class Monitor(LiveWidget):
    """Machines, money and actions in one widget; made by `monitor`.

    Parameters
    ----------
    client : Client
        The client whose instances to watch.
    on_notice : callable, optional
        Called with every notice.
    ids : sequence of int, optional
        Only these instances, even after they have ended; `follow` adds one. By default all.
    look : bool
        Whether to update at once; otherwise the page does.
    on_show : callable, optional
        Called in the kernel's main thread whenever there may be something new to show.
    """

    _esm = bundle("monitor/view")
    _css = styles("kit/theme", "kit/status", "monitor/view", "monitor/machines", "kit/dialog")

    def __init__(
        self,
        client: Client,
        *,
        on_notice: Callable[[Change], object] | None = None,
        ids: Sequence[int] | None = None,
        look: bool = True,
        on_show: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self._client = client
        self._on_notice = on_notice
        self._on_show = on_show
        self._ids = None if ids is None else list(ids)
        self._notice_trouble = ""
        # The model outlives this monitor: what comes of a click is taken when it is closed, too.
        self._work = Work(
            self._main, lambda: self._guarded(self._take_results, always=True), name="act"
        )
        self._model = model_of(client)
        self._loads = self._model.loads
        self._poller = Poller(client.watcher, self._main, self._on_look, self._tell)
        with self._closed_on_error():
            if look:
                self._poller.look_now()
                self._ask_loads(wait=FIRST)

    # -- for the user -----------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """The instances as of the last update, like `Client.show_instances`. Sends no request.

        Columns that the monitor does not need are missing values.
        """
        self.drain()
        snapshot = self._client.watcher.snapshot
        listed = [one for one in snapshot.instances if one.verdict.state != "gone"]
        there = [one for one in listed if self._shows(one.id)]
        return frame_of_instances(
            [one.record for one in there],
            now=snapshot.asked_at or self._now(),
            verdicts={one.id: one.verdict for one in there},
            provenance={"source": self._client.base_url, "simulated": self._client.simulated},
        )

    @property
    def events(self) -> pd.DataFrame:
        """What has changed since the client started watching: see `Watcher.events`."""
        return self._client.watcher.events()

    @property
    def history(self) -> pd.DataFrame:
        """Load, temperature and price of each instance at each update: `Watcher.history`."""
        return self._client.watcher.history()

    @property
    def spent(self) -> pd.DataFrame:
        """What each machine that is there has cost so far, estimated: ``usd``, by instance.

        ``assumed`` says what was assumed about the time before the first look. What counts is the
        invoice in the Vast.ai console.
        """
        self.drain()
        ledger = self._model.ledger
        ids = sorted(id for id in ledger.known() if self._shows(id))
        rows = [(id, spent.usd, spent.how) for id in ids if (spent := ledger.spent(id))]
        frame = pd.DataFrame(rows, columns=["id", "usd", "assumed"])
        return frame.astype({"id": "Int64", "usd": "Float64", "assumed": "string"}).set_index("id")

    @property
    def notices(self) -> list[str]:
        """The notices that were not dismissed yet, in words, newest last."""
        self.drain()
        return [
            f"{one.change.id}: {one.change.text}" if one.change.id else one.change.text
            for one in self._model.notices
            if self._shows(one.change.id)
        ]

    @property
    def paused(self) -> bool:
        """Whether updates are paused. Can be set."""
        return self._poller.paused

    @paused.setter
    def paused(self, value: bool) -> None:
        self._poller.paused = value

    @property
    def ids(self) -> list[int] | None:
        """The instances that are shown; None means all."""
        return None if self._ids is None else list(self._ids)

    def follow(self, id: int) -> None:
        """Also show this instance, in a monitor that shows only some; even before it is listed."""
        if self._ids is not None and id not in self._ids:
            self._ids.append(id)
            account = self._client.transport.account
            known = self._client.renter.journal.of_contract(account, id) is not None
            self._model.expect(id, self._now(), ours=known)
            self._show()

    def rows(self) -> list[dict[str, Any]]:
        """Return what is shown of each machine, as plain values."""
        rows: list[dict[str, Any]] = self._picture()["rows"]
        return rows

    def refresh(self) -> Self:
        """Update now, and wait for the result."""
        self.drain()
        self._poller.look_now(at_once=True)
        self._ask_loads(at_once=True, wait=FIRST)
        self._show()
        return self

    def _end(self) -> None:
        """End its looks. Machines stay as they are; an action that is under way goes on."""
        if "_poller" in self.__dict__:
            self._poller.close()

    def __repr__(self) -> str:
        figures = self._model.figures(self._now(), self._ids)
        there = sum(count for state, count in figures["counts"].items() if state != "gone")
        made_up = ", simulated" if self._client.simulated else ""
        return f"<Monitor: {there} instances, ${figures['per_hour']:.4f}/h{made_up}>"

    # -- from the page ----------------------------------------------------------------------------

    def _heard(self, content: Mapping[str, Any]) -> None:
        super()._heard(content)
        kind = content.get("type")
        if kind == "ask":
            at_once = bool(content.get("at_once"))
            self._poller.asked(at_once=at_once, needed=self._has_some())
            if at_once or not self._poller.paused:
                self._ask_loads(at_once=at_once)
        elif kind == "pause":
            self._on_main(lambda: setattr(self, "paused", bool(content.get("on"))))
        elif kind == "act":
            self._on_main(lambda: self._take_click(content))
        elif kind == "dismiss":
            self._on_main(lambda: self._dismiss(content))

    def _ask_loads(self, *, at_once: bool = False, wait: float = 0.0) -> None:
        there = [one.id for one in self._model.machines(self._ids)]
        self._loads.ask(there, lambda: self._on_main(self._show), at_once=at_once, wait=wait)

    def _show_error(self, error: Exception) -> None:
        self._notice_trouble = unexpected(error)
        self._show()

    def _dismiss(self, content: Mapping[str, Any]) -> None:
        if "id" in content:
            self._model.hush(content["id"])
        elif content.get("key") == "callback":
            self._notice_trouble = ""
        else:  # only what this page shows: others share the model
            self._model.dismiss(content.get("key"), self._ids)
        self._show()

    def _take_click(self, content: Mapping[str, Any]) -> None:
        self.drain()
        if self._ids is not None and content.get("id") not in self._ids:
            return  # no button of this page
        click = self._model.take(content, self._now())
        if isinstance(click, str):
            self._tell({"type": "answer", "key": content.get("key"), "failed": click})
        elif click is not None:
            watched = self._client.watcher.snapshot.of(click.id)
            record = watched.record if watched else {}
            self._work.do(
                partial(carry_out, self._client, click, record),
                partial(self._acted, click),
                lambda error: None,  # `carry_out` raises nothing
            )
        self._show()

    # -- on the main thread -----------------------------------------------------------------------

    def _now(self) -> float:
        return self._client.transport.clock.time()

    def drain(self) -> None:
        """Take what other threads have brought, where no loop does it."""
        if self._main.here:
            self._poller.drain()
            self._take_results()

    def _take_results(self) -> None:
        if self._work.take() and not self._closed:
            self._show()

    def _acted(self, click: Click, outcome: Outcome) -> None:
        """Take what came of a click."""
        self._model.done(click, outcome, self._now())
        if outcome.rented is not None:
            self.follow(outcome.rented)
        if outcome.level == "bad":
            _log.warning("%s of instance %s: %s", click.verb, click.id, outcome.text)
        if click.verb in QUIET:
            answer = outcome.answer or {"failed": outcome.text}
            self._tell({"type": "answer", "key": click.key, "id": click.id, **answer})
        elif not self._closed:
            self._poller.asked(at_once=True)

    def _on_look(self, snapshot: Snapshot, changes: Sequence[Change]) -> None:
        self._model.see(snapshot, changes)
        for change in changes:
            if self._on_notice is None or change.kind != "notice" or not self._shows(change.id):
                continue
            try:
                self._on_notice(change)
            except Exception as error:  # noqa: BLE001  (the user's own code; the monitor goes on)
                _log.exception("on_notice failed")
                kind = error.__class__.__name__
                self._notice_trouble = words.ON_NOTICE_FAILED.format(kind=kind, error=error)
        self._show()

    def _tell(self, message: dict[str, Any]) -> None:
        """Send a page something, if one has said that it listens."""
        if self._listening and not self._closed:
            self.send(message)

    def _show(self) -> None:
        self._tell(self._picture())
        if not self._closed:
            self._on_show()

    def _shows(self, id: int | None) -> bool:
        return self._ids is None or id in self._ids

    def _has_some(self) -> bool:
        """Say whether a look may show something: not of machines that have all ended."""
        return self._ids is None or not self._model.ended.keys() >= set(self._ids)

    def _picture(self) -> dict[str, Any]:
        return {
            **self._model.picture(self._now(), client=self._client, ids=self._ids),
            "simulated": self._client.simulated,
            "trouble": self._notice_trouble,
        }

    def _send_everything(self) -> int:
        def everything() -> None:
            self._show()
            self._tell(self._poller.pace)

        self._on_main(everything)
        return 0

    def _copy(self, **options: Any) -> str:
        now = self._now()
        snapshot = self._client.watcher.snapshot
        return static_copy(
            self._model.rows(now, self._ids),
            self._model.figures(now, self._ids),
            asked_at=snapshot.asked_at,
            trouble=snapshot.error or snapshot.doubted,
            simulated=self._client.simulated,
            **{"css_class": self.copy_class, **options},
        )
