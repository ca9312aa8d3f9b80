"""Price alerts of a widget: what it has set, and what they have found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from vastnb.errors import InvalidRequest
from vastnb.market.query.query import Query
from vastnb.widgets.kit import words

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.market.history.alerts import Alert


class Bells:
    """The alerts that were set in one widget. They outlive it: other kernels keep them, too.

    Parameters
    ----------
    client : Client
        Whose ``history`` keeps them.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._alerts: dict[int, Alert] = {}

    def take(
        self,
        content: Mapping[str, Any],
        query: Query,
        *,
        per: Literal["gpu", "offer"],
        type: Any,
        storage: float,
    ) -> None:
        """Do what a page asks for: set an alert (``below``), or end one (``stop``).

        Raises
        ------
        VastError
            If it cannot be set.
        """
        number = content.get("stop")
        if isinstance(number, int):
            alert = self._alerts.pop(number, None)
            if alert is not None:
                alert.stop()
            return
        below = content.get("below")
        if isinstance(below, bool) or not isinstance(below, int | float) or not below > 0:
            raise InvalidRequest(words.ENTER_A_PRICE)
        try:
            history = self._client.history
        except ImportError as error:
            raise InvalidRequest(words.NO_ALERT_BECAUSE.format(error=error)) from None
        alert = history.watch(query, below=float(below), per=per, type=type, storage=storage)
        self._alerts[alert.number] = alert

    def page(self) -> list[dict[str, Any]]:
        """Return what the page shows of them."""
        shown = []
        for number, alert in self._alerts.items():
            hits = alert.hits
            last = None
            if len(hits):
                row = hits.iloc[-1]
                last = f"{row['num_gpus']}\N{MULTIPLICATION SIGN} {row['gpu_name']}"
                last += words.LAST_HIT_AT.format(price=float(row["price"]))
            watch = alert.watch
            price = f"${watch.below:g}/h{' per GPU' if watch.per == 'gpu' else ''}"
            shown.append({"number": number, "text": str(watch), "price": price,
                          "hits": len(hits), "last": last})  # fmt: skip
        return shown
