"""The list of instances, whole or not at all.

A page that is missing or a total that does not add up would make a machine look absent that is
there. Either is an error; only a list that is complete can prove that something does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vastnb.api.answers import Call
from vastnb.clock import Clock
from vastnb.errors import ServerError
from vastnb.fleet.records import LIST_COLUMNS

PAGE: Final = 25
MOST_PAGES: Final = 400


@dataclass(frozen=True, slots=True)
class Listing:
    """All instances of the account at one moment.

    Parameters
    ----------
    records : tuple of mapping
        As the service gives them.
    asked_at : float
        When the first page was asked for, seconds since the epoch: what was created before is in
        it.
    """

    records: tuple[Mapping[str, Any], ...]
    asked_at: float

    def record(self, instance_id: int) -> Mapping[str, Any] | None:
        """Return the record of one machine."""
        return next((one for one in self.records if one["id"] == instance_id), None)


def list_instances(
    call: Call,
    clock: Clock,
    *,
    columns: Sequence[str] = LIST_COLUMNS,
    within: float | None = None,
) -> Listing:
    """Ask for all instances, page by page.

    Parameters
    ----------
    call : callable
        ``call(endpoint, params=..., max_wait=...)``.
    clock : Clock
        The time.
    columns : sequence of str
        ``["*"]`` for all.
    within : float, optional
        Seconds that all pages may take together.

    Raises
    ------
    ServerError
        If the list is not whole.
    VastError
        As the call raises.
    """
    asked_at = clock.time()
    records: dict[int, Mapping[str, Any]] = {}
    token: str | None = None
    for _ in range(MOST_PAGES):
        left = None if within is None else max(0.0, asked_at + within - clock.time())
        answer = call(
            "show_instances",
            params={
                "select_cols": list(columns),
                "order_by": [{"col": "id", "dir": "asc"}],
                "limit": PAGE,
                "after_token": token,
            },
            max_wait=left,
        )
        before = len(records)
        for record in _page(answer.data):
            records[record["id"]] = record
        token = answer.data.get("next_token")
        if token is None or token == "":
            total = answer.data.get("total_instances")
            if isinstance(total, int) and len(records) < total:
                raise _broken(f"it has {len(records)} of {total} instances")
            return Listing(tuple(records.values()), asked_at)
        if len(records) == before:
            raise _broken("its pages never end")
    raise _broken("its pages never end")


def _page(data: Any) -> Sequence[Mapping[str, Any]]:
    page = data.get("instances") if isinstance(data, Mapping) else None
    if not isinstance(page, list):
        raise _broken("it has no 'instances'")
    for record in page:
        number = record.get("id") if isinstance(record, Mapping) else None
        if not isinstance(number, int) or isinstance(number, bool):
            raise _broken("it has an instance without an id")
    return page


def _broken(what: str) -> ServerError:
    return ServerError(
        f"Vast.ai returned an incomplete list of instances: {what}. Nothing was changed; do not "
        "rely on this list. Try again in a minute.",
        code="incomplete_list",
    )


def record_of(call: Call, id: int, max_wait: float | None = None) -> dict[str, Any] | None:
    """Return the service's record of one instance; None if there is no such instance."""
    record = call("show_instance", path={"id": id}, max_wait=max_wait).data["instances"]
    return dict(record) if isinstance(record, Mapping) and record else None
