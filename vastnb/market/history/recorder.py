"""What a search leaves behind for the price history.

A `Recorder` is called with every frame that was built from an answer that was really sent. It must
never cost a search its result: whatever goes wrong is told once and then stays in the log. The
history itself is imported when it is first needed.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from vastnb.clock import Clock
from vastnb.market.history.keep import Keep

if TYPE_CHECKING:
    import pandas as pd

    from vastnb.api.answers import Answer
    from vastnb.api.transport import Transport
    from vastnb.market.history.columns import Sample
    from vastnb.market.history.history import History

log = logging.getLogger("vastnb.history")

REMEMBERED: Final = 64

PRICED: Final = frozenset(
    {
        "dph", "dph_total", "dph_base", "discounted_dph_total", "discounted_hourly",
        "dph_total_adj", "min_bid", "score", "dlperf_per_dphtotal", "dlperf_usd",
        "flops_per_dphtotal", "flops_usd", "vram_costperhour",
    }
)  # fmt: skip
"""Fields that hold a price, or what one gets for it."""

NAMED: Final = frozenset({"id", "ask_contract_id", "bundle_id", "machine_id"})
"""Fields that name offers: whoever asks for these has chosen them, and likely for their price."""

NEEDED: Final = ("gpu_name", "machine_id", "num_gpus", "gpu_ram", "dph_base", "min_bid")
"""Columns without which an offer counts in no figure."""


def restricts(body: Mapping[str, Any], rows: int, *, truncated: bool) -> bool:
    """Say whether a search shows a part of the prices only.

    It does if it filters by price or by what one gets for it, if it names offers (as the last
    look before a rental does), and if a limit cut it short: then its order chose. An answer that
    the service cut is a random sample, as far as is known.

    Parameters
    ----------
    body : dict
        The request.
    rows : int
        Offers in the answer.
    truncated : bool
        Whether it may have been cut short.
    """
    limit = body.get("limit")
    return bool((PRICED | NAMED) & body.keys()) or (
        truncated and limit is not None and rows >= limit
    )


class Recorder:
    """Hands answers over to the history.

    Parameters
    ----------
    transport : Transport
        The way to the service.
    keep : Keep or None
        How much is kept; None records nothing.
    base_url : str
        The server.
    clock : Clock
        The time.
    """

    def __init__(
        self, transport: Transport, keep: Keep | None, base_url: str, clock: Clock
    ) -> None:
        self._transport = transport
        self._keep = keep
        self._base_url = base_url
        self._clock = clock
        self._lock = threading.Lock()
        self._history: History | None = None
        self._able: bool | None = None
        self._done: OrderedDict[tuple[str, Any], None] = OrderedDict()
        self._told = False
        self._closed = False

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._clock.time()

    def mark_simulated(self) -> None:
        """Take note that the market is a simulated one, before an answer has said so."""
        self._transport.simulated = True

    @property
    def history(self) -> History:
        """The history; made when it is first asked for."""
        with self._lock:
            if self._history is None:
                from vastnb.api.files import data_dir
                from vastnb.market.history import History

                self._history = History(
                    data_dir() / "history",
                    self._base_url,
                    self._clock,
                    self._transport,
                    keep=self._keep or Keep.usual(),
                )
            return self._history

    def __call__(
        self, frame: pd.DataFrame, body: Mapping[str, Any], answers: Sequence[Answer]
    ) -> None:
        """Keep a frame, if it is news, and look through it for alerts. Raises nothing.

        Parameters
        ----------
        frame : DataFrame
            Offers, with their provenance.
        body : dict
            The request.
        answers : sequence of Answer
            Those that it was built from.
        """
        try:
            if not self._closed and self._is_news(answers):
                sample = _sample(frame, body, answers)
                history = self.history
                if self._keep is not None and self._is_able():
                    history.add(frame, sample)
                    self._check(frame)
                history.look_for_alerts(frame, sample)
        except Exception as error:  # noqa: BLE001  (the search has succeeded, whatever this is)
            if not self._closed:  # else its client was closed meanwhile, and a simulated past ended
                self._tell(error)

    def _is_news(self, answers: Sequence[Answer]) -> bool:
        if all(one.from_cache for one in answers) or any(one.stale for one in answers):
            return False
        first = (answers[0].key, answers[0].fetched_at)
        with self._lock:
            if first in self._done:  # two threads shared one answer
                return False
            self._done[first] = None
            if len(self._done) > REMEMBERED:
                self._done.popitem(last=False)
        return True

    def _is_able(self) -> bool:
        if self._able is None:
            from vastnb.market.history.sql import able

            self._able = able()
        return self._able

    def _check(self, frame: pd.DataFrame) -> None:
        """Say so if the service sends a price, or what it is a price of, in another type."""
        unfit = frame.attrs["vastnb"].get("unfit") or {}
        lost = [name for name in NEEDED if 2 * unfit.get(name, 0) > len(frame)]
        if lost:
            self._warn(
                f"Vast.ai sent {', '.join(lost)} in an unknown type in most of {len(frame)} "
                "offers: they are missing from the price history from now on. Update vastnb."
            )

    def _tell(self, error: Exception) -> None:
        log.debug("A search was not recorded.", exc_info=error)
        self._warn(
            f"The price history cannot be written ({type(error).__name__}: {error}). Searches are "
            "not affected. history=False turns the price history off."
        )

    def _warn(self, text: str) -> None:
        """Warn, once; then only the log is told."""
        with self._lock:
            first, self._told = not self._told, True
        if not first:
            log.debug(text)
            return
        try:
            warnings.warn(f"{text} This is shown once.", UserWarning, stacklevel=8)
        except UserWarning:  # somebody made errors of warnings
            log.warning(text)

    def close(self) -> None:
        """Close the history, if there is one."""
        with self._lock:
            self._closed = True
            history, self._history = self._history, None
        if history is not None:
            history.close()


def _sample(frame: pd.DataFrame, body: Mapping[str, Any], answers: Sequence[Answer]) -> Sample:
    from vastnb.market.history.columns import Sample

    about = frame.attrs["vastnb"]
    truncated = bool(about["truncated"])
    return Sample(
        seen_at=min(answer.fetched_at for answer in answers),
        type=body["type"],
        query=about["query"],
        restricted=restricts(body, len(frame), truncated=truncated),
        truncated=truncated,
        simulated=any(answer.simulated for answer in answers),
    )


__all__ = ["NAMED", "PRICED", "Recorder", "restricts"]
