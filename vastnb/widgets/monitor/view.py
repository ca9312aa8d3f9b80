"""What the monitor shows of a machine, and of all of them together: plain values.

Pure functions of what the watcher saw. Nothing that comes out of them is secret: the watcher's
records hold no token, no start script and no value of an environment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.api.text import plain, seconds
from vastnb.fleet.connect import ssh_command, ssh_config
from vastnb.fleet.ledger import Spent, rates_of
from vastnb.fleet.rent.replacement import DEARER
from vastnb.fleet.status import MEANINGS, TO_DO
from vastnb.market.tables.vram import nominal
from vastnb.values import number
from vastnb.widgets.monitor import words
from vastnb.widgets.monitor.load import in_words, rounded
from vastnb.widgets.table.saved import static_table

if TYPE_CHECKING:
    from vastnb.fleet.watch.picture import Watched


def verbs_of(watched: Watched) -> list[str]:
    """Return what can be done with a machine now, most useful first."""
    state, record = watched.verdict.state, watched.record
    if state == "gone":
        return []
    meant = record.get("intended_status")
    verbs = []
    if state in ("running", "unreachable"):
        verbs.append("connect")
    verbs.append("logs")
    if "try the next offer" in watched.verdict.advice:
        verbs.append("next")
    if state == "outbid" or record.get("is_bid") is True:
        verbs.append("bid")
    if meant == "running":
        verbs.append("stop")
    if meant != "running" or watched.verdict.advice == "start again":
        verbs.append("start")
    if state in ("running", "unreachable", "failed") and meant == "running":
        verbs.append("reboot")
    return [*verbs, "label", "destroy"]


def row_of(watched: Watched, spent: Spent | None, trend: Sequence[float | None]) -> dict[str, Any]:
    """Return what is shown of one machine.

    Parameters
    ----------
    watched : Watched
        What was seen.
    spent : Spent or None
        What it has cost, estimated.
    trend : sequence of float or None
        How busy its GPUs were at the last looks, %, oldest first.

    Returns
    -------
    dict
        JSON-able. Times are epoch seconds, prices $/h, sizes GB, temperatures °C.
    """
    record, verdict = watched.record, watched.verdict
    rates = rates_of(record, verdict.state)
    shown = {} if verdict.state == "gone" else record
    interruptible = record.get("is_bid") is True
    return {
        "id": watched.id,
        "ours": watched.ours,
        "state": verdict.state,
        "tone": MEANINGS[verdict.state].tone,
        "rank": MEANINGS[verdict.state].rank,
        "reason": plain(verdict.reason, 300),
        "advice": verdict.advice,
        "advice_text": TO_DO[verdict.advice],
        "settled": verdict.settled,
        "since": watched.since,
        "label": _text(record.get("label")),
        "gpu": gpu_of(record),
        "vram": _vram(record),
        "image": _text(record.get("image_uuid")),
        "place": _text(record.get("geolocation"), 60),
        "started": number(record.get("start_date")),
        "util": _load(shown, "gpu_util"),
        "temp": _load(shown, "gpu_temp"),
        "trend": [None if value is None else round(value) for value in trend],
        "dph": round(rates.total, 6),
        "dph_run": round(number(record.get("dph_total")) or 0.0, 6),
        "dph_disk": round(number(record.get("storage_total_cost")) or rates.disk, 6),
        "disk": number(record.get("disk_space")),
        "spent": None if spent is None else round(spent.usd, 4),
        "spent_how": "" if spent is None else spent.how,
        "is_bid": interruptible,
        "bid": rounded(number(record.get("dph_base")), 6) if interruptible else None,
        "min_bid": rounded(number(record.get("min_bid")), 6) if interruptible else None,
        "ssh": ssh_command(record),
        "config": ssh_config(record),
        "jupyter": "jupyter" in str(record.get("image_runtype")),
        "verbs": verbs_of(watched),
    }


def gpu_of(record: Mapping[str, Any]) -> str:
    """Return ``"2x RTX 4090"``, with a proper sign for times."""
    name = _text(record.get("gpu_name"), 60) or words.GPU_NOT_KNOWN
    count = number(record.get("num_gpus"))
    return f"{count:.0f}\N{MULTIPLICATION SIGN} {name}" if count and count != 1 else name


def code_of(record: Mapping[str, Any]) -> str:
    """Return the line that rents a machine like this one, as far as its record tells."""
    query = {"gpu_name": record.get("gpu_name"), "num_gpus": record.get("num_gpus")}
    parts = [repr(query), f"image={_text(record.get('image_uuid'))!r}"]
    disk = number(record.get("disk_space"))
    if disk:
        parts.append(f"disk={disk:g}")
    for name in ("label", "image_runtype"):
        text = _text(record.get(name))
        if text:
            parts.append(f"{name.removeprefix('image_')}={text!r}")
    bid = number(record.get("dph_base")) if record.get("is_bid") is True else None
    if bid:
        parts.append(f"bid={bid:.4g}")
    price = number(record.get("dph_total"))
    if price:
        parts.append(f"max_dph={price * DEARER:.4g}")
    return f"client.rent({', '.join(parts)})"


def figures_of(
    machines: Sequence[Watched], credit: float | None, today: float | None
) -> dict[str, Any]:
    """Return the headline numbers.

    Parameters
    ----------
    machines : sequence of Watched
        What was seen.
    credit : float or None
        What is left on the account, $.
    today : float or None
        Spent since midnight (UTC), $, estimated.

    Returns
    -------
    dict
        ``per_hour``: what is charged now; and the part of it that machines cost which are not
        meant to run: ``idle_per_hour``, of ``idle`` machines. ``full_per_hour``: what it is when
        all that are meant to run do so, as in `Client.burn`; ``runway_hours`` is how long the
        ``credit`` lasts then. ``today``; ``counts`` of states.
    """
    per_hour = full = 0.0
    idle = []
    for one in machines:
        if one.verdict.state == "gone":
            continue
        total = rates_of(one.record, one.verdict.state).total
        per_hour += total
        meant, price = one.record.get("intended_status"), number(one.record.get("dph_total"))
        full += total if meant == "stopped" or price is None else price
        if meant != "running" and total > 0:
            idle.append(total)
    lasts = max(0.0, credit) / full if credit is not None and full > 0 else None
    return {
        "per_hour": round(per_hour, 6),
        "full_per_hour": round(full, 6),
        "idle_per_hour": round(sum(idle, 0.0), 6),
        "idle": len(idle),
        "today": rounded(today, 4),
        "credit": rounded(credit, 2),
        "runway_hours": rounded(lasts, 2),
        "counts": dict(Counter(one.verdict.state for one in machines)),
    }


def static_copy(
    rows: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Any],
    *,
    asked_at: float | None,
    trouble: str,
    simulated: bool,
    css_class: str,
    note: str = words.COPY_NOTE,
) -> str:
    """Return the HTML that is left of the monitor without a kernel: what was seen last."""
    loads = [in_words(row.get("live")) for row in rows]
    frame = pd.DataFrame(
        {
            "instance": [str(row["id"]) for row in rows],
            "label": [row["label"] or "" for row in rows],
            "state": [row["state"] for row in rows],
            "why": [row["reason"] for row in rows],
            "GPU": [row["gpu"] for row in rows],
            "$/h now": [f"{row['dph']:.4f}" for row in rows],
            "$ so far (estimate)": [
                "" if row["spent"] is None else f"{row['spent']:.2f}" for row in rows
            ],
            **({"load": loads} if any(loads) else {}),
        },
        dtype="object",
    )
    made_up = "SIMULATED: " if simulated else ""
    count = f"{len(rows)} machine{'s' * (len(rows) != 1)}"
    when = f", {pd.Timestamp(asked_at, unit='s'):%Y-%m-%d %H:%M:%S} UTC" if asked_at else ""
    caption = f"{made_up}{count}, ${figures['per_hour']:.4f}/h{when}"
    if figures["idle"]:
        caption += words.OF_IT_IDLE.format(price=figures["idle_per_hour"], idle=figures["idle"])
    if figures["runway_hours"] is not None:
        lasts = seconds(figures["runway_hours"] * 3600)
        caption += words.CREDIT_LASTS.format(credit=figures["credit"], lasts=lasts)
    return static_table(
        frame,
        caption=caption,
        note=f"{trouble} {note}".strip(),
        columns=list(frame.columns),
        rows=60,
        css_class=css_class,
    )


def _text(value: Any, limit: int = 120) -> str | None:
    return (plain(value, limit) or None) if isinstance(value, str) else None


def _load(record: Mapping[str, Any], name: str) -> float | None:
    """Return a reading of the GPUs, of a machine that is shown as running."""
    return rounded(number(record.get(name))) if record.get("actual_status") == "running" else None


def _vram(record: Mapping[str, Any]) -> str | None:
    megabytes = number(record.get("gpu_ram"))
    return f"{nominal(megabytes)} GB" if megabytes and megabytes > 0 else None
