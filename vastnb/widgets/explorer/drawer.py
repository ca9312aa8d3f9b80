"""The rent form in the explorer: one for each explorer, made when it is first wanted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.fleet.rent.spec import DISK_MIN
from vastnb.widgets.explorer import words
from vastnb.widgets.explorer.filters import DEFAULT_DISK_GB

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.widgets.rent.widget import RentForm


def makes_no_widget_of_a_click() -> bool:
    """Say whether this is marimo, where a widget can be made only while a cell runs."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


class Drawer:
    """Holds the explorer's rent form, if there is one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.form: RentForm | None = None
        self._given: list[int] = []

    def open(self, offers: pd.DataFrame, *, type: str, disk: float) -> RentForm:
        """Return the form, with these offers unless it rents just now.

        If there are none, or the same as last time, it stays as it is. `type` is the kind of
        rental that the explorer shows, `disk` the GB that its prices include.

        Raises
        ------
        InvalidRequest
            For reserved offers, which are rented in another way.
        """
        from vastnb.widgets.rent.memory import remembered
        from vastnb.widgets.rent.plan import COUNT_MAX, RentPlan
        from vastnb.widgets.rent.widget import RentForm

        if type == "reserved":
            raise InvalidRequest(words.RESERVED_ARE_PREPAID)
        disk = max(DISK_MIN, disk)
        ids = [int(one) for one in offers["id"]] if len(offers) else []
        count = min(max(1, len(ids)), COUNT_MAX)
        if self.form is None:
            # A disk that somebody has chosen is part of every price that was shown.
            given: dict[str, Any] = {"count": count}
            if disk != DEFAULT_DISK_GB:
                given["disk"] = disk
            plan = RentPlan(disk=disk).changed({**remembered(self._client, given), **given})
            self.form = RentForm(self._client, offers, plan, type=type)
            self._given = ids
            self.form.take_up()
        elif ids and ids != self._given and self.form.phase != "renting":
            self.form.take_offers(offers, disk=disk, count=count)
            self._given = ids
        return self.form

    def left_open(self) -> bool:
        """Say whether there is a rent whose form was closed before anybody saw it end."""
        from vastnb.widgets.rent.run import RUNS

        return RUNS.of_interest(self._client.transport.account) is not None

    def close(self) -> None:
        """End the form. A rent that is under way goes on."""
        if self.form is not None:
            self.form.close()
