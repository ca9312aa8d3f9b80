"""Everything that the page shows of a rent form, as one JSON value.

A pure function of what the form holds. Values of the environment and the start script are not in
it: only names, and whether there is something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import mul
from typing import Any, Final

import pandas as pd

from vastnb.html import block, escape
from vastnb.widgets.rent import words
from vastnb.widgets.rent.model import RentModel
from vastnb.widgets.rent.outcome import EVENT_LEVELS
from vastnb.widgets.rent.price import guard_text, number_of, priced
from vastnb.widgets.rent.run import RentRun
from vastnb.widgets.rent.warnings import LEVELS
from vastnb.widgets.table.saved import static_table

OFFERS_MOST: Final = 24
"""Candidates that the page lists; there may be more."""


def view_of(
    model: RentModel,
    machines: Sequence[Mapping[str, Any]],
    *,
    now: float,
    clock: float,
    simulated: bool,
    has_key: bool,
) -> dict[str, Any]:
    """Return the page's picture of a form.

    Parameters
    ----------
    model : RentModel
        The form.
    machines : sequence of mapping
        What was rented, as the monitor shows it.
    now : float
        Kernel's time, epoch seconds: the page's own clock may differ.
    clock : float
        Time by the clock of the deadlines.
    simulated, has_key : bool
        What the client is.
    """
    price = model.price
    confirmation = model.confirmation
    return {
        "type": "state",
        "now": now,
        "phase": model.phase,
        "simulated": simulated,
        "has_key": has_key,
        "note": model.note,
        "offers": _offers(model),
        "offers_count": len(model.offers),
        "of_bid_search": model.of_bid_search,
        "values": _values(model),
        "errors": dict(model.errors),
        "price": asdict(price),
        "bill": bill_of(machines, clock),
        "guard": guard_text(price, model.plan),
        "warnings": [asdict(one) for one in model.warnings()],
        "account": asdict(model.account),
        "hints": model.hints(),
        "templates": None
        if model.templates is None
        else [[one.hash_id, one.name, one.image, one.disk] for one in model.templates],
        "code": model.code() if len(model.offers) else "",
        "confirm": None
        if confirmation is None
        else {
            "token": confirmation.token,
            "offers": list(confirmation.offer_ids),
            "count": confirmation.count,
            "max_dph": confirmation.max_dph,
        },
        "run": _run(model.run),
        "outcome": None if model.outcome is None else model.outcome.page(),
        "finding": model.finding,
        "found": asdict(model.found),
        "machines": [{name: one[name] for name in _OF_MACHINE} for one in machines],
    }


_OF_MACHINE: Final = ("id", "state", "gpu", "dph", "dph_run", "deadline", "receipt")


def bill_of(machines: Sequence[Mapping[str, Any]], now: float) -> dict[str, Any] | None:
    """Return what the machines that are there cost: now, when all run, and until they end.

    Parameters
    ----------
    machines : sequence of mapping
        As the monitor shows them.
    now : float
        Epoch seconds, by the clock of the deadlines.

    Returns
    -------
    dict or None
        ``now`` and ``full`` ($/h); ``until`` ($ until every deadline, None if one has none) and
        ``hours`` (until the last one). None without a machine whose price is known.
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
        _offer(row, price, [one.level for one in model.warnings(place)])
        for place, (row, price) in enumerate(zip(rows, prices, strict=True))
    ]


def _offer(row: Mapping[Any, Any], price: Any, levels: Sequence[str]) -> dict[str, Any]:
    trust, vram = number_of(row, "reliability"), number_of(row, "gpu_ram_gb")
    worst = next((one for one in LEVELS if one in levels and one != "info"), "")
    return {
        "id": int(row["id"]),
        "gpu": name_of(row),
        "vram": None if vram is None else f"{vram:.0f} GB",
        "where": _text(row.get("geolocation")),
        "trust": trust,
        "verification": _text(row.get("verification")),
        "dph": None if pd.isna(price) else float(price),
        "least_bid": number_of(row, "min_bid"),
        "level": worst,
        "warnings": sum(one != "info" for one in levels),
    }


def name_of(row: Mapping[Any, Any]) -> str:
    """Return an offer's GPUs in words: ``2x RTX 4090``."""
    count, name = number_of(row, "num_gpus"), _text(row.get("gpu_name"))
    return (
        f"{count:.0f}\N{MULTIPLICATION SIGN} {name}"
        if count and name
        else name or f"offer {row.get('id')}"
    )


def _values(model: RentModel) -> dict[str, Any]:
    plan = model.plan
    script = plan.onstart
    return {
        "image": plan.image,
        "template_hash": plan.template_hash,
        "template": plan.template,
        "disk": plan.disk,
        "runtype": plan.runtype,
        "label": plan.label,
        "count": plan.count,
        "bid": plan.bid,
        "max_dph": plan.max_dph,
        "hours": plan.hours,
        "download_gb": plan.download_gb,
        "upload_gb": plan.upload_gb,
        "max_hours": plan.max_hours,
        "budget_usd": plan.budget_usd,
        "env": [{"name": name, "set": bool(value)} for name, value in plan.env.items()],
        "onstart_lines": len(script.splitlines()) if script else 0,
    }


def _run(run: RentRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "began": run.began,
        "ended": run.ended,
        "waits_until": run.waits_until,
        "count": run.count,
        "rented": len(run.instances),
        "steps": [
            {
                "at": one.at,
                "kind": one.kind,
                "text": one.text,
                "level": EVENT_LEVELS.get(one.kind, "plain"),
            }
            for one in run.steps
        ],
    }


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


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
    shown = model.offers.copy(deep=False)
    shown["dph_total"] = priced(model.offers, model.plan)
    return static_table(
        shown,
        caption=f"{made_up}{what}: {most}{total}",
        note=words.COPY_NOTE.format(when=_when(model)),
        code=model.code(),
        columns=_COPIED,
        rows=OFFERS_MOST,
        css_class=css_class,
    )


def _when(model: RentModel) -> str:
    fetched = str(model.offers.attrs.get("vastnb", {}).get("fetched_at", ""))[:16]
    return f", {fetched.replace('T', ' ')} UTC" if fetched else ""


_COPIED: Final = (
    "gpu_name", "num_gpus", "gpu_ram_gb", "dph_total", "reliability", "verification",
    "geolocation", "id",
)  # fmt: skip
