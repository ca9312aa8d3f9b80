"""Offers in order of a formula, and the reasons: ``df.vast.rank(by="dph_total / dlperf")``.

A ranking is a formula of columns (`formula`), or one of the named ones in the table below. Only
what is `credible` takes part: an offer whose score needs a benchmark that was never run is left
out, counted, and named in the explanation, instead of coming first because it divides by almost
nothing.

Whether small or large scores are good comes from what the formula measures: it is asked what
becomes of it when every price in it rises (a more expensive offer must not rank higher), or, where
prices say nothing, when every performance in it rises (a faster one must not rank lower). The
explanation says which, and ``ascending=`` decides otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market.frames.credible import Believed, believed, unknown
from vastnb.market.money.formula import Formula, parse
from vastnb.market.tables.schema import UNITS


@dataclass(frozen=True)
class Named:
    """A ranking with a name.

    Parameters
    ----------
    formula : str
        Of columns.
    unit, meaning : str
        Of its score, in words.
    """

    formula: str
    unit: str
    meaning: str


RANKINGS: Final[dict[str, Named]] = {
    "price": Named("dph_total / num_gpus", "$/h per GPU", "price of one GPU for an hour"),
    "offer": Named("dph_total", "$/h", "price of the whole offer for an hour"),
    "dlperf": Named("dph_total / dlperf", "$/h per DLPerf", "price of deep learning speed"),
    "tflops": Named("dph_total / total_flops", "$/h per TFLOPS", "price of arithmetic"),
    "vram": Named("dph_total / (num_gpus * gpu_ram_gb)", "$/h per GB", "price of GPU memory"),
    "job": Named("total_usd", "$ for the job", "cost of a whole job: GPU, disk and traffic"),
}
"""Rankings by name. ``job`` uses the columns of `cost.cost`, worked out for the job at hand."""

_MORE_IS_BETTER: Final = """
    dlperf total_flops dlperf_per_dphtotal flops_per_dphtotal score reliability reliability2
    gpu_ram gpu_ram_gb gpu_total_ram gpu_mem_bw bw_nvlink compute_cap cuda_max_good
    cpu_cores cpu_cores_effective cpu_ghz cpu_ram cpu_ram_gb disk_space disk_bw inet_down inet_up
    pci_gen pcie_bw direct_port_count duration duration_days end_date discount_rate
"""
PERFORMANCE: Final = frozenset(_MORE_IS_BETTER.split())
"""Columns of which more is better."""

_SERVICE_SCORE: Final = "service_score"


def rank(
    frame: pd.DataFrame,
    by: str = "price",
    *,
    ascending: bool | None = None,
    keep: bool = False,
    job: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Sort offers by a formula, best first, and say how.

    Parameters
    ----------
    frame : DataFrame
        Offers; not changed.
    by : str
        A name from `RANKINGS`, or a formula of columns such as ``"dph_total / dlperf"``.
    ascending : bool, optional
        Whether small scores are good. By default it comes from what the formula measures: a more
        expensive offer must not rank higher, a faster one not lower.
    keep : bool
        Keep offers without a score, at the end and without a rank.
    job : DataFrame, optional
        The terms of a job on each offer (from `cost.cost`), on the index of `frame`. A formula
        may use its columns.

    Returns
    -------
    DataFrame
        The rows in their new order, each with its own index label, and two columns in front:
        ``rank`` (Int64, 1 is the best, equal scores share
        one) and ``score`` (Float64); then the columns of `job`, if any, and those of `frame`. The
        service's own ``score`` is called ``service_score``. ``attrs["vastnb"]["ranking"]`` says
        in words what was done: ``formula``, ``unit``, ``best``, ``why`` (what decided the
        direction), ``left_out``, ``text``.

    Raises
    ------
    QueryError
        If the formula cannot be understood, or names a column that is not there.
    """
    named = RANKINGS.get(by) if isinstance(by, str) else None
    formula = parse(named.formula if named else by)
    source = frame.drop(columns="rank", errors="ignore")
    if _SERVICE_SCORE in source.columns:  # it was ranked before: that score is out of date
        source = source.drop(columns="score", errors="ignore")
        source = source.rename(columns={_SERVICE_SCORE: "score"})
    if job is not None:
        source = pd.concat([job, source.drop(columns=list(job), errors="ignore")], axis=1)
    if by == "job":
        _require_job(source)
    for name in formula.columns:
        if name not in source.columns:
            known = [str(column) for column in source.columns]
            raise unknown("column or ranking", name, [*RANKINGS, *known])
    columns = {name: believed(source, name) for name in formula.columns}
    values = {name: column.values for name, column in columns.items()}
    score = formula.of(values)
    small_first, why = _direction(formula, values, ascending)
    order = np.argsort(score if small_first else -score, kind="stable")  # NaN goes last
    if not keep:
        order = order[~np.isnan(score[order])]
    sorted_score = pd.Series(score[order])
    out = source.iloc[order]
    if "score" in out.columns:
        out = out.rename(columns={"score": _SERVICE_SCORE})
    sorted_score.index = out.index
    ranks = sorted_score.rank(method="min", ascending=small_first)
    front = pd.DataFrame({"rank": ranks.astype("Int64"), "score": sorted_score.astype("Float64")})
    out = pd.concat([front, out], axis=1)
    told = _explained(by, named, formula, (small_first, why), columns, score, keep)
    if frame.attrs.get("vastnb", {}).get("truncated"):
        told["text"] += " Vast.ai may have more offers than these: narrow the search."
    out.attrs["vastnb"] = {**frame.attrs.get("vastnb", {}), "ranking": told}
    return out


def _require_job(source: pd.DataFrame) -> None:
    if "total_usd" not in source.columns:
        raise QueryError(
            'Ranking by "job" needs the job: df.vast.rank("job", hours=12, disk=100, '
            "download_gb=80). Nothing was calculated or rented."
        )


def _direction(
    formula: Formula, values: Mapping[str, np.ndarray], ascending: bool | None
) -> tuple[bool, str]:
    """Return whether small scores are good, and what says so."""
    if ascending is not None:
        return bool(ascending), "as requested"
    prices = [name for name in formula.columns if _is_price(name)]
    performances = [name for name in formula.columns if name in PERFORMANCE]
    # Together first; of a ratio of two prices, or of two performances, the first one decides.
    for names in (prices, performances, *([name] for name in formula.columns)):
        change = _change(formula, values, names)
        if change and names[0] in {*prices, *performances}:
            price_like = names[0] in prices
            what = "a higher price" if price_like else "better performance"
            way = "raises" if change > 0 else "lowers"
            return (change > 0) == price_like, f"{what} {way} the score"
    if prices:  # no offer has a score
        return True, "it is a price"
    return False, "it holds neither a price nor a known performance"


def _change(formula: Formula, values: Mapping[str, np.ndarray], names: Sequence[str]) -> int:
    """Return whether the formula rises (1), falls (-1) or stays when these columns rise by 1 %."""
    if not names:
        return 0
    moved = {name: column * 1.01 if name in names else column for name, column in values.items()}
    before = formula.of(values)
    change = formula.of(moved) - before
    known = ~np.isnan(change)
    rises = np.where(np.abs(change) > 1e-9 * np.abs(before), np.sign(change), 0.0)[known]
    return int(np.sign(np.median(rises))) if len(rises) else 0


def _is_price(name: str) -> bool:
    return name.endswith("_usd") or UNITS.get(name, "").startswith("$")


def _explained(
    by: str,
    named: Named | None,
    formula: Formula,
    direction: tuple[bool, str],
    columns: dict[str, Believed],
    score: np.ndarray,
    keep: bool,
) -> dict[str, Any]:
    out = np.isnan(score)
    left_out: dict[str, int] = {}
    told = np.zeros(len(score), dtype=bool)
    for name, column in columns.items():
        for mask, why in ((column.missing, "missing"), (column.nonsense, "not credible")):
            count = int((mask & out & ~told).sum())
            if count:
                left_out[f"{name} {why}"] = count
            told |= mask
    if rest := int((out & ~told).sum()):
        left_out["no result (a division by zero)"] = rest
    unit = named.unit if named else formula.unit
    small_first, why = direction
    best = "smallest first" if small_first else "largest first"
    ranked = len(score) - int(out.sum())
    parts = [f"{ranked:,} offers ranked by {formula.text} [{unit}], {best}: {why}."]
    if named:
        parts.insert(0, f"{by}: {named.meaning}.")
    if left_out:
        reasons = ", ".join(f"{why}: {count:,}" for why, count in left_out.items())
        where = "at the end without a rank" if keep else "left out"
        parts.append(f"{int(out.sum()):,} offers are {where} ({reasons}).")
    parts.append("Values that are missing or not credible are never filled in.")
    return {
        "by": by,
        "formula": formula.text,
        "unit": unit,
        "best": best,
        "why": why,
        "ranked": ranked,
        "left_out": left_out,
        "text": " ".join(parts),
    }
