"""Frames of things that are not offers: of templates and GPU models, and of tables of our own.

Nobody has a complete table of the service's columns, so the dtypes are worked out from the values;
they are nullable, and none is ``object``. What may hold a secret is left out. Our own tables name
their columns, and have all of them whatever is in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from vastnb.market.frames.arrays import array_of, dtype_for
from vastnb.market.frames.offers import times_of
from vastnb.market.tables.schema import Dtype

SECRETIVE: Final = frozenset({"onstart", "env", "extra_env", "docker_login_pass", "jupyter_token"})
"""Fields in which people keep passwords and keys."""


def frame_of_records(rows: Sequence[Any]) -> pd.DataFrame:
    """Build a frame of JSON objects.

    Parameters
    ----------
    rows : sequence of dict
        As the service gives them; nested values arrive as JSON text.

    Returns
    -------
    DataFrame
        One row per object, one column per field that any of them has, in order of appearance;
        without the fields in which secrets are kept.
    """
    objects = [row for row in rows if isinstance(row, Mapping)]
    names: dict[str, None] = {}
    for row in objects:
        names.update((str(name), None) for name in row if name not in SECRETIVE)
    out: dict[str, Any] = {}
    for name in names:
        cells = [row.get(name) for row in objects]
        out[name] = array_of(cells, dtype_for(cells))[0]
    return pd.DataFrame(out, index=pd.RangeIndex(len(objects)), copy=False)


def frame_of_columns(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Dtype]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Build a frame of fixed columns.

    Parameters
    ----------
    rows : sequence of mapping
        By column; times are seconds since 1970.
    columns : dict of str to str
        Dtypes by name, in order; the same in every frame.

    Returns
    -------
    frame : DataFrame
        One row each; what is missing is missing.
    unfit : dict of str to int
        How many values a column could not hold; they are missing.
    """
    arrays: dict[str, Any] = {}
    unfit: dict[str, int] = {}
    for name, dtype in columns.items():
        cells = [row.get(name) for row in rows]
        if dtype == "datetime":
            arrays[name] = times_of(array_of(cells, "Float64")[0])
            continue
        arrays[name], odd = array_of(cells, dtype)
        if odd:
            unfit[name] = len(odd)
    return pd.DataFrame(arrays, index=pd.RangeIndex(len(rows)), copy=False), unfit
