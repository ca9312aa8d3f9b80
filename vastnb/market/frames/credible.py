"""Which numbers of an offer can be believed, for everything that compares offers.

Hosts report what their machines say, and some say nonsense: -1.8e12 Mbit/s, a clock of 25 GHz, a
benchmark of 0 that was never run. Frames keep such values as they came. Whatever ranks, sums up
or draws reads columns through `believed`, which tells apart what is there, what is missing and
what cannot be true (`limits`); a column without limits is believed if finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market.tables.fields import RENAMED, canonical
from vastnb.market.tables.limits import LIMITS
from vastnb.market.tables.schema import COLUMNS, UNITS
from vastnb.wording import nearest


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
            f"Vast.ai sent something other than numbers in {name!r} (perhaps text), so nothing can "
            f'be calculated from it. Search with columns="all" to see the values in '
            f"{name + '_text'!r}. Nothing was rented."
        )
    if not nothing and not pd.api.types.is_numeric_dtype(column.dtype):
        raise QueryError(
            f"The column {name!r} holds no numbers ({column.dtype}), so nothing can be calculated "
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
    there = [one for one in known if one != name]
    right = canonical(RENAMED.get(str(name), str(name)))
    near = [right] if right in there else nearest(str(name), there)
    hint = f" Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
    if name in COLUMNS:  # a right name, but the frame lacks it
        near, hint = (
            [],
            (' Searches return it (some columns only with columns="all"); keep it in the frame.'),
        )
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
