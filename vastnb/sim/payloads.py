"""Mischief in every text that comes from strangers.

Hosts choose the names of their hardware, their place, their host name; what they choose must
never run. With payloads planted, every such text carries something that would run if it were
shown as HTML, as Markdown or in a terminal: scripts that set ``window.__pwned``, pictures that
are fetched from a port where nobody listens, links, terminal escapes. Half of the machines keep
their GPU name, so that searching by name still finds something.

Beside them stand values that JSON readers stumble over: NaN, columns that nobody has announced,
columns that are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vastnb.sim.market.drawn import DrawnMarket
from vastnb.sim.market.recorded import RecordedMarket
from vastnb.sim.payload_texts import BEACON, PAYLOADS, payload
from vastnb.sim.templates import public

if TYPE_CHECKING:
    from vastnb.sim.world import World

HOST_TEXTS = (
    "cpu_name",
    "mobo_name",
    "disk_name",
    "hostname",
    "webpage",
    "geolocation",
    "logo",
    "os_version",
    "driver_version",
    "public_ipaddr",
)
"""Columns whose text a host controls, or might."""


def plant(world: World) -> None:
    """Plant payloads in every offer, and have them in status messages and templates too."""
    world.payloads = True
    world.fleet.payloads = True
    world.templates[:] = public(world.start, payloads=True)
    market = world.market
    if isinstance(market, DrawnMarket):
        for machine in market.own():
            _spoil(machine.columns, machine.index)
    elif isinstance(market, RecordedMarket):
        for number, listing in enumerate(market.listings()):
            _spoil(listing.own, number)


def _spoil(columns: dict[str, object], number: int) -> None:
    for offset, name in enumerate(HOST_TEXTS):
        columns[name] = payload(number + offset)
    if number % 2:
        columns["gpu_name"] = f"{columns['gpu_name']} {payload(number // 2)}"
    if number % 9 == 0:
        columns["geolocation"] = f"{payload(number)}, US"
    if number % 7 == 3:
        columns["gpu_mem_bw"] = float("nan")
    if number % 7 == 4:
        columns["a_column_of_tomorrow"] = {"nested": [payload(number)]}
        columns[f"{payload(number)}"] = payload(number + 1)
    if number % 7 == 5:
        columns.pop("credit_discount_max", None)


__all__ = ["BEACON", "HOST_TEXTS", "PAYLOADS", "payload", "plant"]
