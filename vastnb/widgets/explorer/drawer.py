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
    """Holds the explorer's rent form.

    Parameters
    ----------
    client : Client
        Who rents.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._form: RentForm | None = None
        self._given: list[int] = []

    @property
    def form(self) -> RentForm | None:
        """The form, if there is one."""
        return self._form

    def open(self, offers: pd.DataFrame, *, type: str, disk: float) -> RentForm:
        """Return the form, with these offers unless it rents just now.

        Parameters
        ----------
        offers : DataFrame
            Candidates. If there are none, or the same as last time, the form stays as it is.
        type : str
            Kind of rental that the explorer shows.
        disk : float
            GB that the explorer's prices include.

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
        if self._form is None:
            # A disk that somebody has chosen is part of every price that was shown.
            given: dict[str, Any] = {"count": count}
            if disk != DEFAULT_DISK_GB:
                given["disk"] = disk
            plan = RentPlan(disk=disk).changed({**remembered(self._client, given), **given})
            self._form = RentForm(self._client, offers, plan, type=type)
            self._given = ids
            self._form.take_up()
        elif ids and ids != self._given and self._form.phase != "renting":
            self._form.take_offers(offers, disk=disk, count=count)
            self._given = ids
        return self._form

    def left_open(self) -> bool:
        """Say whether there is a rent whose form was closed before anybody saw it end."""
        from vastnb.widgets.rent.run import RUNS

        return RUNS.of_interest(self._client.transport.account) is not None

    def close(self) -> None:
        """End the form. A rent that is under way goes on."""
        if self._form is not None:
            self._form.close()
