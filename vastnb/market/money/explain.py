"""One offer in words and numbers: what it costs, and what is unusual about it.

`explain` compares like with like: with other machines in the frame that offer as many GPUs of the
same model and memory for the same kind of rental, each counted once; with other numbers of GPUs
only where these are too few. It states facts with the figures they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.html import block, escape, table
from vastnb.market.frames.credible import believed, codes, machine_numbers, once_a_machine
from vastnb.market.frames.terms import rental_types
from vastnb.market.money.cost import HOURS_PER_MONTH, Amount, cost, each
from vastnb.market.money.formula import measured
from vastnb.market.money.remarks import (
    FEW,
    Among,
    Level,
    Remark,
    on_bids,
    on_history,
    on_parts,
    on_prices,
    on_the_job,
    on_trust,
)
from vastnb.values import number, text, whole
from vastnb.wording import usd

_MARK: Final[dict[Level, str]] = {"good": "+", "note": "-", "warn": "!"}


@dataclass(frozen=True)
class Term:
    """One part of the cost of a job.

    Parameters
    ----------
    name : str
        What is paid for.
    usd : float or None
        $, `None` if the price is unknown.
    how : str
        The sum in figures.
    """

    name: str
    usd: float | None
    how: str


@dataclass(frozen=True)
class Explanation:
    """What `explain` says of an offer; prints well as text and as HTML.

    Parameters
    ----------
    offer_id : int or None
        The offer.
    title : str
        GPUs, memory and place.
    per_hour : float or None
        $/h of the whole offer, with the job's disk.
    job : str
        The job that was priced, in words.
    total : float or None
        $ for it.
    terms : tuple of Term
        What `total` is made of.
    remarks : tuple of Remark
        What is unusual.
    basis : str
        What it was compared with.
    """

    offer_id: int | None
    title: str
    per_hour: float | None
    job: str
    total: float | None
    terms: tuple[Term, ...]
    remarks: tuple[Remark, ...]
    basis: str

    def __str__(self) -> str:
        width = max(len(term.name) for term in self.terms)
        room = max(len(usd(term.usd)) for term in self.terms)
        lines = [
            self.title,
            f"  {usd(self.per_hour)}/h, {usd(self.total)} for {self.job}",
            *(f"    {t.name:<{width}} {usd(t.usd):>{room}}  {t.how}" for t in self.terms),
            *(f"  {_MARK[remark.level]} {remark.text}" for remark in self.remarks),
            f"  ({self.basis})",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Return a small table and a list; every text is escaped, since hosts wrote some."""
        remarks = "".join(
            f"<li>{'<b>Note: </b>' if r.level == 'warn' else ''}{escape(r.text)}</li>"
            for r in self.remarks
        )
        return block(
            f"<p><b>{escape(self.title)}</b><br>{escape(usd(self.per_hour))}/h, ",
            f"<b>{escape(usd(self.total))}</b> for {escape(self.job)}</p>",
            table((), [(t.name, usd(t.usd), t.how) for t in self.terms], ("left", "right", "left")),
            f"<ul>{remarks}</ul><p>{escape(self.basis)}</p>",
        )


def explain(
    frame: pd.DataFrame,
    offer: int | Mapping[str, Any] | pd.Series[Any],
    *,
    hours: float = 1,
    disk: Amount = 10,
    download_gb: float = 0,
    upload_gb: float = 0,
    history: Any = None,
) -> Explanation:
    """Explain an offer of `frame`; see `VastAccessor.explain` for the parameters.

    Parameters
    ----------
    history : History, optional
        ``client.history``.

    Raises
    ------
    InvalidRequest
        If the offer is not in the frame, or an amount is negative.
    """
    at = _row_of(frame, offer)
    row = frame.iloc[at]
    disk = float(np.broadcast_to(each("disk", disk, frame), len(frame))[at])
    terms = cost(frame, hours, disk, download_gb, upload_gb).iloc[at]
    value = {name: number(terms[name]) for name in terms.index}
    rate = {name: _price(frame, at, name) for name in _PRICES}
    monthly = rate["storage_cost"]
    priced = (
        Term("GPU", value["gpu_usd"], f"{hours:g} h x {usd(rate['dph_base'])}/h"),
        Term(
            "disk",
            value["storage_usd"],
            f"{hours:g} h x {disk:g} GB x {usd(monthly)}/GB/month / 720",
        ),
        Term("download", value["download_usd"],
             f"{download_gb:g} GB x {usd(rate['inet_down_cost'])}/GB"),
        Term("upload", value["upload_usd"], f"{upload_gb:g} GB x {usd(rate['inet_up_cost'])}/GB"),
    )  # fmt: skip
    per_hour = None
    if rate["dph_base"] is not None and monthly is not None:
        per_hour = rate["dph_base"] + monthly * disk / HOURS_PER_MONTH
    peers, what = _peers(frame, at)
    seen = Among(frame, at, row, peers, what)
    remarks = [*on_prices(seen), *on_parts(value), *on_the_job(seen, hours, disk, download_gb)]
    remarks += on_trust(seen)
    if rental_types(frame)[at] in ("on-demand", None):
        remarks += on_bids(rate)
    if history is not None:
        remarks += on_history(history, frame.iloc[[at]])
    traffic = f", {download_gb:g} GB down, {upload_gb:g} GB up" if download_gb or upload_gb else ""
    title = _title(row)
    return Explanation(
        offer_id=whole(row.get("id")),
        title=title,
        per_hour=per_hour,
        job=f"{hours:g} h with {disk:g} GB of disk{traffic}",
        total=value["total_usd"],
        terms=priced,
        remarks=tuple(remarks),
        basis=_basis(frame, what, len(peers)),
    )


_PRICES: Final = ("dph_base", "storage_cost", "inet_down_cost", "inet_up_cost", "min_bid")


def _price(frame: pd.DataFrame, at: int, name: str) -> float | None:
    """Return a price of one row, `None` if it is missing or cannot be true."""
    return number(believed(frame, name).values[at]) if name in frame.columns else None


def _row_of(frame: pd.DataFrame, offer: Any) -> int:
    wanted = offer
    if isinstance(offer, pd.DataFrame):
        if len(offer) != 1:
            raise InvalidRequest(
                f"explain takes one offer; this frame has {len(offer)} rows. Nothing was rented."
            )
        offer = offer.iloc[0]
    if isinstance(offer, (Mapping, pd.Series)):
        wanted = offer.get("id")
    if "id" not in frame.columns:
        raise InvalidRequest(
            "This frame has no column 'id' to find an offer by. Nothing was rented."
        )
    found = whole(wanted)
    rows: Any = [] if found is None else np.flatnonzero(frame["id"].eq(found).fillna(False))
    if len(rows) == 0:
        raise InvalidRequest(
            f"There is no offer {wanted!r} in this frame: ids change when offers are renewed. "
            "Nothing was rented. Give an id or a row of this frame."
        )
    return int(rows[0])


def _peers(frame: pd.DataFrame, at: int) -> tuple[np.ndarray, str]:
    """Return the rows to compare with, each machine once, and what they are in words."""
    model = text(frame["gpu_name"].iloc[at]) if "gpu_name" in frame.columns else ""
    model = model or "its GPU"
    if not {"gpu_name", "num_gpus", "dph_base"} <= set(frame.columns):
        return np.zeros(0, dtype=int), model
    kinds, machines = rental_types(frame), machine_numbers(frame)
    same = (kinds == kinds[at]) & (machines != machines[at])
    for column in ("gpu_name", "gpu_ram_gb"):
        if column in frame.columns:
            mine = codes(frame, column)
            same &= mine == mine[at]
    price = measured(frame, "dph_base / num_gpus")
    price[~same] = np.nan
    sizes = codes(frame, "num_gpus")
    like = once_a_machine(frame, np.where(sizes == sizes[at], price, np.nan))
    if len(like) >= FEW:
        count = number(frame["num_gpus"].iloc[at])
        return like, model if count is None else f"offers of {count:.0f} x {model}"
    return once_a_machine(frame, price), f"machines with {model}, of any number of GPUs,"


def _title(row: pd.Series[Any]) -> str:
    gpus, vram = number(row.get("num_gpus")), number(row.get("gpu_ram_gb"))
    parts = [f"{'?' if gpus is None else f'{gpus:.0f}'} x {text(row.get('gpu_name')) or '?'}"]
    if vram is not None:
        parts.append(f"{vram:.0f} GB each")
    if place := text(row.get("geolocation")).strip():
        parts.append(place)
    if (offer := whole(row.get("id"))) is not None:
        parts.append(f"offer {offer}")
    return ", ".join(parts)


def _basis(frame: pd.DataFrame, what: str, count: int) -> str:
    source = frame.attrs.get("vastnb", {})
    what = what.rstrip(",")
    if count < FEW:
        said = f"Only {count} other {what} are in this frame: too few to compare with"
    else:
        said = f"Compared with {count} other {what} in this frame, each machine counted once"
    if source.get("truncated"):
        said += "; Vast.ai may have more"
    if source.get("simulated"):
        said += ". A simulated market: nothing here is real"
    return said + "."
