"""Everything that the page shows of a rent form, as one JSON value.

Values of the environment and the start script are not in it: only names, and whether there is
something.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from operator import mul
from typing import TYPE_CHECKING, Any, Final

from vastnb.html import block, escape
from vastnb.values import number, text
from vastnb.widgets.rent import words
from vastnb.widgets.rent.model import RentModel
from vastnb.widgets.rent.outcome import EVENT_LEVELS
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.price import guard_text, number_of, priced
from vastnb.widgets.rent.run import RentRun
from vastnb.widgets.table.saved import static_table

if TYPE_CHECKING:
    from vastnb.client import Client

OFFERS_MOST: Final = 24
"""Candidates that the page lists; there may be more."""


def view_of(
    model: RentModel, machines: Sequence[Mapping[str, Any]], client: Client
) -> dict[str, Any]:
    """Return the page's picture of a form; `machines` are those that it rented, as rows."""
    price = model.price
    return {
        "type": "state",
        "now": time.time(),  # the page's own clock may differ
        "phase": model.phase,
        "simulated": client.simulated,
        "has_key": client.has_key,
        "note": model.note,
        "offers": _offers(model),
        "offers_count": len(model.offers),
        "of_bid_search": model.of_bid_search,
        "values": _values(model.plan),
        "errors": dict(model.errors),
        "price": asdict(price),
        "bill": bill_of(machines, client.transport.clock.time()),
        "guard": guard_text(price, model.plan),
        "warnings": [asdict(one) for one in model.warnings()],
        "account": asdict(model.account),
        "hints": model.hints(),
        "templates": model.templates,
        "code": model.code() if len(model.offers) else "",
        "confirm": model.confirmation and model.confirmation.shown(),
        "run": None if model.run is None else _run(model.run),
        "outcome": None if model.outcome is None else asdict(model.outcome),
        "finding": model.finding,
        "found": asdict(model.found),
        "machines": [{name: one[name] for name in _OF_MACHINE} for one in machines],
    }


_OF_MACHINE: Final = ("id", "state", "gpu", "dph", "dph_run", "deadline", "receipt")


def bill_of(machines: Sequence[Mapping[str, Any]], now: float) -> dict[str, Any] | None:
    """Return what the machines that are there cost: now, when all run, and until they end.

    None without a machine whose price is known. ``now`` and ``full`` are $/h; ``until`` ($ until
    every deadline) and ``hours`` (until the last one) are None if one has no deadline. `now` is by
    the clock of the deadlines, epoch seconds.
    """
    there = [one for one in machines if one["state"] != "gone" and one["dph_run"]]
    if not there:
        return None
    ends = [max(0.0, one["deadline"] - now) / 3600 for one in there if one["deadline"] is not None]
    known = len(ends) == len(there)
    prices = [one["dph_run"] for one in there]
    return {
        "now": sum(one["dph"] for one in there),
        "full": sum(prices),
        "until": sum(map(mul, prices, ends)) if known else None,
        "hours": max(ends) if known else None,
    }


def _offers(model: RentModel) -> list[dict[str, Any]]:
    if not len(model.offers):
        return []
    prices = priced(model.offers, model.plan).head(OFFERS_MOST)
    rows = model.offers.head(OFFERS_MOST).to_dict("records")
    return [
        _offer(row, price, [one.level for one in model.warnings(place) if one.level != "info"])
        for place, (row, price) in enumerate(zip(rows, prices, strict=True))
    ]


def _offer(row: Mapping[Any, Any], price: Any, levels: Sequence[str]) -> dict[str, Any]:
    vram = number_of(row, "gpu_ram_gb")
    return {
        "id": int(row["id"]),
        "gpu": name_of(row),
        "vram": None if vram is None else f"{vram:.0f} GB",
        "where": _text(row, "geolocation"),
        "trust": number_of(row, "reliability"),
        "verification": _text(row, "verification"),
        "dph": number(price),
        "least_bid": number_of(row, "min_bid"),
        "level": levels[0] if levels else "",
        "warnings": len(levels),
    }


def name_of(row: Mapping[Any, Any]) -> str:
    """Return an offer's GPUs in words: ``2x RTX 4090``."""
    count, name = number_of(row, "num_gpus"), _text(row, "gpu_name")
    if count and name:
        return f"{count:.0f}\N{MULTIPLICATION SIGN} {name}"
    return name or f"offer {row.get('id')}"


def _values(plan: RentPlan) -> dict[str, Any]:
    """Return what is filled in; of what is secret, names, and whether there is something."""
    script = plan.onstart
    return {
        **{one.name: getattr(plan, one.name) for one in fields(plan) if one.repr},
        "env": [{"name": name, "set": bool(value)} for name, value in plan.env.items()],
        "onstart_lines": len(script.splitlines()) if script else 0,
    }


def _run(run: RentRun) -> dict[str, Any]:
    return {
        "began": run.began,
        "ended": run.ended,
        "waits_until": run.waits_until,
        "count": run.plan.count,
        "rented": len(run.instances),
        "steps": [
            asdict(one) | {"level": EVENT_LEVELS.get(one.kind, "plain")} for one in run.steps
        ],
    }


def _text(row: Mapping[Any, Any], name: str) -> str:
    return text(row.get(name)).strip()


def static_form(model: RentModel, *, simulated: bool, css_class: str) -> str:
    """Return the HTML that is left of the form without a kernel: offers, price, code."""
    price = model.price
    made_up = words.SIMULATED_MARKET if simulated else ""
    if not len(model.offers):
        return block(f"<p>{escape(made_up + words.NO_OFFERS_TO_RENT)}</p>", css_class=css_class)
    each = " each" if price.count > 1 else ""
    most = (
        words.PRICE_UNKNOWN
        if price.max_dph is None
        else words.UP_TO.format(max_dph=price.max_dph, each=each)
    )
    total = "" if price.total_all is None else f", ${price.total_all:,.2f} for {price.hours:g} h"
    many = "" if price.count == 1 else f"{price.count} machines: "
    what = words.WHAT_IS_RENTED.format(
        many=many, gpus=name_of(model.offers.iloc[0].to_dict()), disk=model.plan.disk
    )
    fetched = str(model.offers.attrs.get("vastnb", {}).get("fetched_at", ""))[:16]
    when = f", {fetched.replace('T', ' ')} UTC" if fetched else ""
    return static_table(
        model.offers.assign(dph_total=priced(model.offers, model.plan)),
        caption=f"{made_up}{what}: {most}{total}",
        note=words.COPY_NOTE.format(when=when),
        code=model.code(),
        columns=_COPIED,
        rows=OFFERS_MOST,
        css_class=css_class,
    )


_COPIED: Final = (
    "gpu_name", "num_gpus", "gpu_ram_gb", "dph_total", "reliability", "verification",
    "geolocation", "id",
)  # fmt: skip
