"""Frames of things that are not offers: templates, GPU models.

Nobody has a complete table of their columns, so the dtypes are worked out from the values; they
are nullable, and none is ``object``. What may hold a secret is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from vastnb.market.frames.arrays import array_of, dtype_for

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
