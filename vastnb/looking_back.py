"""What the market is and was like: the client's verbs about GPU models rather than offers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from vastnb.api.transport import Call
from vastnb.market.search import dated

if TYPE_CHECKING:
    from vastnb.market.history import History
    from vastnb.market.history.recorder import Recorder
    from vastnb.market.service_figures import Hosting, Verified
    from vastnb.sim import Server


class MarketBase(NamedTuple):
    """What a client hands to its verbs about GPU models.

    Parameters
    ----------
    call : callable
        Asks the service.
    base_url : str
        The server.
    recorder : Recorder
        What keeps its searches.
    """

    call: Call
    base_url: str
    recorder: Recorder


class MarketVerbs:
    """What can be learned of GPU models. A part of `Client`."""

    server: Server | None
    _market_base: MarketBase

    @property
    def history(self) -> History:
        """The market's past, as your own searches have seen it; needs the extra ``history``."""
        recorder = self._market_base.recorder
        if self.server is None:
            return recorder.history
        recorder.mark_simulated()  # known before it has said so
        from vastnb.sim.past import past

        history = recorder.history
        history.past = partial(past, self.server.world)
        return history

    def gpu_metrics(
        self,
        *,
        verified: Verified = "yes",
        hosting_type: Hosting = "all",
        num_gpus: int | str = "all",
    ) -> pd.DataFrame:
        """Return supply, demand and prices of each GPU model now, as the service reckons them.

        Parameters
        ----------
        verified : {"yes", "no", "all"}
            Which machines are counted.
        hosting_type : {"all", "secure_cloud", "community"}
            Where they stand: in datacenters, or with private hosts.
        num_gpus : int or "all"
            Only machines or slices with so many GPUs (1, 2, 4 or 8).

        Returns
        -------
        DataFrame
            One row per model: ``gpu_name``; ``total``, ``available``, ``rented_verified``,
            ``avail_verified``, ``rented_unverified``, ``avail_unverified`` (machines); ``usage``
            and ``usage_30d`` (%); ``dlperf``, ``tflops`` (of one GPU); ``price_p10`` to
            ``price_p90`` ($/h of one GPU); ``tflops_per_dollar``, ``dlperf_per_dollar``.

        Raises
        ------
        InvalidRequest
            If an argument is none of the above.
        AuthError
            Without a key, or if this account may not see them.
        """
        from vastnb.market.service_figures import current_frame, population

        asked = population(verified, hosting_type, num_gpus)
        base = self._market_base
        answer = base.call("gpu_metrics", params=asked)
        return dated(current_frame(answer.data), {"source": base.base_url, **asked}, [answer])

    def gpu_trends(
        self,
        gpu: str | Sequence[str] = ("RTX 5090", "RTX 4090", "RTX 3090"),
        *,
        days: float = 1,
        every: str | None = None,
        verified: Verified = "yes",
        hosting_type: Hosting = "all",
        num_gpus: int | str = "all",
    ) -> pd.DataFrame:
        """Return supply, demand and prices of GPU models over time, as the service reckons them.

        Parameters
        ----------
        gpu : str or list of str
            GPU models in any spelling, or ``"all"``.
        days : float
            How far back.
        every : str, optional
            Time between two points, such as ``"6h"``; by default the service gives about 20.
        verified, hosting_type, num_gpus
            As for `gpu_metrics`.

        Returns
        -------
        DataFrame
            One row per model and moment: ``at`` (UTC), ``gpu_name``; ``rented_verified``,
            ``avail_verified``, ``rented_unverified``, ``avail_unverified``, ``total`` (machines);
            ``rented_p10``, ``rented_median``, ``rented_p90``, ``avail_p10``, ``avail_median``,
            ``avail_p90`` ($/h of one GPU).

        Raises
        ------
        InvalidRequest
            If an argument is none of the above.
        AuthError
            Without a key, or if this account may not see them.
        """
        from vastnb.market.service_figures import history_frame, over_time, population

        base = self._market_base
        whom = population(verified, hosting_type, num_gpus)
        asked = over_time(gpu, days, every, whom, base.recorder.now())
        answer = base.call("gpu_metrics_history", params=asked)
        return dated(history_frame(answer.data), {"source": base.base_url, **asked}, [answer])


__all__ = ["MarketBase", "MarketVerbs"]
