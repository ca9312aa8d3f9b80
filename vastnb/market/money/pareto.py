"""The offers that nothing beats: none is both cheaper and faster."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vastnb.market.money.formula import measured


def unbeaten(price: np.ndarray, performance: np.ndarray) -> np.ndarray:
    """Return which points no other beats.

    A point beats another if it is as cheap and as fast, and cheaper or faster. Two equal
    points do not beat each other.

    Parameters
    ----------
    price, performance : ndarray of float64
        Of one length; a point with NaN takes no part.

    Returns
    -------
    ndarray of bool
    """
    front = np.zeros(len(price), dtype=bool)
    rows = np.flatnonzero(~(np.isnan(price) | np.isnan(performance)))
    if len(rows) == 0:
        return front
    order = rows[np.lexsort((-performance[rows], price[rows]))]
    fastest = np.maximum.accumulate(performance[order])
    before = np.concatenate([[-np.inf], fastest[:-1]])
    better = performance[order] > before
    # Equal twins of a point on the front stand right behind it.
    twin = np.zeros(len(order), dtype=bool)
    for at in range(1, len(order)):
        same = (
            price[order[at]] == price[order[at - 1]]
            and performance[order[at]] == performance[order[at - 1]]
        )
        twin[at] = same and (better[at - 1] or twin[at - 1])
    front[order[better | twin]] = True
    return front


def pareto(
    frame: pd.DataFrame, price: str = "dph_total", performance: str = "dlperf"
) -> pd.DataFrame:
    """Return the offers that no other beats in price and performance, cheapest first.

    Parameters
    ----------
    frame : DataFrame
        Offers; not changed.
    price, performance : str
        Columns or formulas of columns: small prices and large performances are good.

    Returns
    -------
    DataFrame
        The same columns, each row with its own index label. Offers whose price or performance is
        missing or not credible take no part.

    Raises
    ------
    QueryError
        If a formula cannot be understood or names a column that is not there.
    """
    x, y = (measured(frame, text) for text in (price, performance))
    rows = np.flatnonzero(unbeaten(x, y))
    rows = rows[np.argsort(x[rows], kind="stable")]
    return frame.iloc[rows]
