"""Filters that the service accepts and that cannot be meant: a wrong unit, or no effect at all.

A column has a range in which its values can be true (`limits`). A filter whose value lies
outside fits every offer or none. Most often the number was written in another unit, so the reading
that lies inside is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vastnb.market.query.conditions import Condition
from vastnb.market.tables.fields import FIELDS, MULTIPLIER, SYMBOLS
from vastnb.market.tables.limits import LIMITS

_UNITS: Final[dict[str, tuple[str, tuple[float, ...]]]] = {
    "compute_cap": ("counts 100 for 1.0 (890 is 8.9)", (100, 10)),
    "cuda_max_good": ("is a version such as 12.4", (0.1, 0.01, 0.001)),
    "gpu_ram": ("is written in GB", (1e-3,)),
    "gpu_total_ram": ("is written in GB", (1e-3,)),
    "cpu_ram": ("is written in GB", (1e-3,)),
    "duration": ("is written in days", (1 / 86_400, 1 / 24)),
    "reliability": ("goes from 0 to 1", (0.01,)),
    "gpu_frac": ("goes from 0 to 1", (0.01,)),
    "cpu_ghz": ("is in GHz", (1e-3,)),
    "disk_space": ("is in GB", (1e-3,)),
    "disk_bw": ("is in MB/s", (1e-3, 1e-6)),
    "gpu_mem_bw": ("is in GB/s", (1e-3,)),
    "pcie_bw": ("is in GB/s", (1e-3,)),
    "inet_down": ("is in Mbit/s", (1e-3, 1e-6)),
    "inet_up": ("is in Mbit/s", (1e-3, 1e-6)),
}
"""For a field, how it is written, and the factors from units that people use instead."""

_RAISES: Final = ("gt", "gte")
_LOWERS: Final = ("lt", "lte")


def doubts_of(conditions: Sequence[Condition]) -> list[str]:
    """Return a sentence for each comparison that cannot be meant as it stands.

    Parameters
    ----------
    conditions : sequence of Condition
        Those of one query.
    """
    found = [_outside(condition) for condition in conditions]
    if any(condition.field == "rented" for condition in conditions):
        found.append(
            "rented has no effect: for Vast.ai it means 'rented by you'. For machines that others "
            "have rented, filter by rentable=false."
        )
    return [doubt for doubt in found if doubt is not None]


def _outside(condition: Condition) -> str | None:
    op, field = condition.op, condition.field
    if field not in LIMITS or FIELDS.get(field) != "number" or op in ("neq", "notin"):
        return None
    values: Any = condition.value
    listed = isinstance(values, tuple)
    values = values if listed else (values,)
    low, high = LIMITS[field]
    odd = [value for value in values if _is_odd(value, low, high)]
    if not odd:
        return None
    scale = MULTIPLIER.get(field, 1)
    fits_all = op in (_RAISES if odd[0] < low else _LOWERS)
    effect = "matches every offer" if fits_all else "matches no offer"
    if len(odd) < len(values):  # of a list
        effect = f"{effect} by {', '.join(_number(value / scale) for value in odd)}"
    how, factors = _UNITS.get(field, ("", ()))
    raw = isinstance(condition.wire, (int, float, list)) and "{" in condition.written
    said = f"{condition.written} {effect}"
    if raw:
        # A dict of operators is in the column's own unit.
        return f"{said}: in a dict of operators, {field} is in the unit of the column."
    for factor in factors:
        if all(low <= value * factor <= high for value in odd):
            meant = [_number(v * (factor if v in odd else 1) / scale) for v in values]
            text = f" in [{','.join(meant)}]" if listed else f"{SYMBOLS[op]}{meant[0]}"
            return f"{said}: {field} {how}. Did you mean {field}{text}?"
    return f"{said}: {field} {how or 'has no such values'}."


def _is_odd(value: Any, low: float, high: float) -> bool:
    """Say whether no offer can have a value near to this; 0 is how one says "any"."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
        return False
    return value > high or (value < low and low >= 1e-6)


def _number(value: float) -> str:
    return f"{round(value, 6):g}"


__all__ = ["doubts_of"]
