"""Which numbers of an offer can be believed, for everything that compares offers.

Hosts report what their machines say, and some say nonsense: -1.8e12 Mbit/s, a clock of 25 GHz, a
benchmark of 0 that was never run. Frames keep such values as they came. Whatever ranks, sums up
or draws reads columns through `believed`, which tells apart what is there, what is missing and
what cannot be true. The limits stand in one table; a column without limits is believed if finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market.tables.schema import COLUMNS, UNITS

_TINY: Final = 1e-9
_PRICE: Final = (_TINY, 1e4)
_TRAFFIC: Final = (0.0, 10.0)
_SPEED: Final = (_TINY, 1e6)
_SCORE: Final = (_TINY, 1e9)

LIMITS: Final[dict[str, tuple[float, float]]] = {
    "dph_total": _PRICE,
    "dph_base": _PRICE,
    "dph_gpu": _PRICE,
    "dph_total_adj": _PRICE,
    "discounted_dph_total": _PRICE,
    "min_bid": _PRICE,
    "vram_costperhour": _PRICE,
    "storage_cost": (0.0, 100.0),
    "storage_total_cost": (0.0, 1e4),
    "inet_down_cost": _TRAFFIC,
    "inet_up_cost": _TRAFFIC,
    "internet_down_cost_per_tb": (0.0, 1e4),
    "internet_up_cost_per_tb": (0.0, 1e4),
    "num_gpus": (1.0, 4096.0),
    "gpu_frac": (_TINY, 1.0),
    "gpu_ram": (256.0, 1e6),
    "gpu_ram_gb": (1.0, 1e3),
    "gpu_total_ram": (256.0, 1.6e7),
    "dlperf": _SCORE,
    "dlperf_per_dphtotal": _SCORE,
    "total_flops": _SCORE,
    "flops_per_dphtotal": _SCORE,
    "compute_cap": (100.0, 2000.0),
    "cuda_max_good": (1.0, 100.0),
    "gpu_mem_bw": (_TINY, 1e5),
    "gpu_max_power": (1.0, 1e4),
    "gpu_max_temp": (1.0, 130.0),
    "pci_gen": (1.0, 10.0),
    "pcie_bw": (_TINY, 1e4),
    "bw_nvlink": (0.0, 1e5),
    "disk_bw": (_TINY, 1e6),
    "disk_space": (_TINY, 1e6),
    "inet_down": _SPEED,
    "inet_up": _SPEED,
    "direct_port_count": (0.0, 65_536.0),
    "reliability": (0.0, 1.0),
    "reliability2": (0.0, 1.0),
    "cpu_ghz": (0.1, 8.0),
    "cpu_cores": (1.0, 1e5),
    "cpu_cores_effective": (_TINY, 1e5),
    "cpu_ram": (64.0, 8e6),
    "cpu_ram_gb": (0.064, 8e3),
    "duration": (0.0, 3.2e8),
    "duration_days": (0.0, 3700.0),
    "storage_gb": (0.0, 1e6),
}
"""Least and greatest value of a column that can be true, in the column's own unit."""


class Believed(NamedTuple):
    """One column as numbers.

    Parameters
    ----------
    values : ndarray of float64
        NaN where there is nothing to believe.
    missing, nonsense : ndarray of bool
        Why it is NaN there: no value, or one that cannot be true.
    """

    values: np.ndarray
    missing: np.ndarray
    nonsense: np.ndarray


def believed(frame: pd.DataFrame, name: str) -> Believed:
    """Read a column of numbers.

    Parameters
    ----------
    frame : DataFrame
        Offers.
    name : str
        A column of numbers or flags.

    Returns
    -------
    Believed

    Raises
    ------
    QueryError
        If there is no such column (with the nearest names), or it holds no numbers; also if all
        prices came as something else, such as text.
    """
    require(frame, [name])
    column = frame[name]
    nothing = bool(column.isna().all())
    unfit = frame.attrs.get("vastnb", {}).get("unfit", {}).get(name)
    if nothing and len(column) and unfit and UNITS.get(name, "").startswith("$"):
        raise QueryError(
            f"The service sent no numbers in {name!r}, but values of another type (text, perhaps), "
            f'so nothing can be worked out from it. Search with columns="all": they are in '
            f"{name + '_text'!r}. Nothing was rented."
        )
    if not nothing and not pd.api.types.is_numeric_dtype(column.dtype):
        raise QueryError(
            f"The column {name!r} holds no numbers ({column.dtype}), so nothing can be worked out "
            f"from it. If it holds numbers as text, convert them first: df[{name!r}] = "
            f"pd.to_numeric(df[{name!r}]). Nothing was rented."
        )
    numbers = pd.Series(np.nan, column.index, dtype="Float64") if nothing else column
    values = numbers.astype("Float64").to_numpy(dtype="float64", na_value=np.nan).copy()
    missing = np.isnan(values)
    low, high = LIMITS.get(name, (-np.inf, np.inf))
    nonsense = ~missing & ~((values >= low) & (values <= high) & np.isfinite(values))
    values[nonsense] = np.nan
    return Believed(values, missing, nonsense)


def require(frame: pd.DataFrame, names: Iterable[str], *, what: str = "column") -> None:
    """Refuse names that `frame` does not have, with the nearest ones that it has.

    Raises
    ------
    QueryError
        For the first name that is missing.
    """
    for name in names:
        if name not in frame.columns:
            raise unknown(what, name, [str(column) for column in frame.columns])


def unknown(what: str, name: Any, known: Iterable[str]) -> QueryError:
    """Return the error for a name that is none of `known`."""
    from vastnb.market.tables.fields import RENAMED, canonical
    from vastnb.wording import nearest

    there = [one for one in known if one != name]
    right = canonical(RENAMED.get(str(name), str(name)))
    near = [right] if right in there else nearest(str(name), there)
    hint = f" Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
    if name in COLUMNS:  # a right name, but the frame lacks it
        near, hint = [], ' Searches return it, with columns="all" at least; keep it in the frame.'
    return QueryError(
        f"There is no {what} {name!r} here.{hint} Nothing was calculated or rented.",
        suggestions=near,
    )


def once_a_machine(
    frame: pd.DataFrame, price: np.ndarray, by: Sequence[str] = (), *, unpriced: bool = False
) -> np.ndarray:
    """Return the row that stands for each machine and GPU model: its cheapest per GPU.

    A machine is offered in several overlapping slices (one GPU, two, all eight) at one price per
    GPU. Counting slices would count a large machine many times.

    Parameters
    ----------
    frame : DataFrame
        Offers; ``machine_id`` and ``gpu_name`` are used where there are such columns. A row
        without a machine id stands for itself.
    price : ndarray of float64
        $/h per GPU of each row.
    by : sequence of str
        Columns of groups: a machine stands once in each group in which it has a row.
    unpriced : bool
        Whether a machine without any price is kept (by its first row) or left out.

    Returns
    -------
    ndarray of int
        Row numbers, ascending.
    """
    rows = np.arange(len(frame)) if unpriced else np.flatnonzero(~np.isnan(price))
    if len(rows) == 0 or ("machine_id" not in frame.columns and not unpriced):
        return rows
    machine = machine_numbers(frame)
    keys = {f"by{at}": codes(frame, name)[rows] for at, name in enumerate(by)}
    keys["machine"] = machine[rows]
    if "gpu_name" in frame.columns:
        keys["gpu"] = codes(frame, "gpu_name")[rows]
    order = np.argsort(price[rows], kind="stable")  # NaN goes last
    first = ~pd.DataFrame(keys).iloc[order].duplicated().to_numpy()
    return np.sort(rows[order][first])


def machine_numbers(frame: pd.DataFrame) -> np.ndarray:
    """Return a whole number for each row that is the same for rows of one machine.

    A row without a machine id is a machine of its own. Ids stay exact whatever their size.
    """
    alone = -1 - np.arange(len(frame))
    if "machine_id" not in frame.columns:
        return alone
    found = codes(frame, "machine_id")
    return np.where(found < 0, alone, found)


def codes(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Return a whole number for each row that tells the values of a column apart; -1 if missing."""
    found: np.ndarray = pd.factorize(frame[name].array)[0]
    return found
