"""From what somebody wrote, in text or in Python, to one comparison as it is sent.

A `Condition` holds its value twice: `wire`, exactly the JSON that the official client sends for
the same comparison (it sends ``num_gpus>=2`` as the text ``"2"``, and ``gpu_ram>=24`` as the number
``24000.0``), and `value`, the plain value in the unit of the column, for everything that is worked
out here. Text and keywords go through the same functions, so they cannot come to differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vastnb.errors import QueryError
from vastnb.market.query.extent import FLAGS, NUMBER, ORDERING, Plain, Value, number, plain
from vastnb.market.query.language import WILDCARDS, Clause, Word
from vastnb.market.tables import gpus, vram
from vastnb.market.tables.fields import (
    ALIASES,
    ARGUMENTS,
    DEFAULTS,
    FIELDS,
    GEOREGION,
    MULTIPLIER,
    NO_FILTERS,
    NOMINAL_VRAM,
    OPERATORS,
    RENAMED,
    SYMBOLS,
    Kind,
    canonical,
)
from vastnb.market.tables.schema import COLUMNS
from vastnb.wording import nearest, refusal

_CONSTANTS: dict[str, bool | None] = {
    "true": True, "True": True, "false": False, "False": False, "None": None, "null": None,
}  # fmt: skip
_RAW_OPS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "notin")


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of one field.

    Parameters
    ----------
    field : str
        The field's own name (no alias).
    op : str
        One of ``eq neq gt gte lt lte in notin``.
    value : plain value, or tuple of them
        In the unit of the column (MB, seconds); a tuple for ``in`` and ``notin``.
    wire : JSON value
        What is sent.
    written : str
        How it was given, for messages.
    """

    field: str
    op: str
    value: Value
    wire: Any
    written: str

    def __hash__(self) -> int:
        return hash((self.field, self.op, self.value))


class Drop(NamedTuple):
    """``field=any``: the field's default filter does not apply."""

    field: str
    written: str


class Place(NamedTuple):
    """Where something was written, and what is known there."""

    written: str
    gpus: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    text: str | None = None
    at: int | None = None

    def refusal(self, what: str, suggestions: Sequence[str] = ()) -> QueryError:
        """Word an error about this place."""
        return refusal(what, suggestions=suggestions, text=self.text, at=self.at)


def field_of(name: str, place: Place) -> tuple[str, Kind]:
    """Return a field's own name and kind, or refuse the name with the nearest ones."""
    field = canonical(name)
    if field in FIELDS:
        return field, FIELDS[field]
    if field == NOMINAL_VRAM:
        return field, "number"
    if field in place.fields:
        return field, "text"
    if field == GEOREGION:
        return field, "flag"
    if name in ARGUMENTS:
        raise place.refusal(f"{name!r} is an argument, not a filter: give {ARGUMENTS[name]}.")
    if name in RENAMED:
        raise place.refusal(f"There is no field {name!r} to search by.", [RENAMED[name]])
    if name in NO_FILTERS:
        raise place.refusal(f"{name!r} is not a filter. {NO_FILTERS[name]}")
    if field in COLUMNS:
        raise place.refusal(
            f"{name!r} is a column of the result, but Vast.ai cannot search by it. "
            f'Search without it, then filter the frame: df.vast.where("{place.written}").'
        )
    every = [*FIELDS, *ALIASES, NOMINAL_VRAM, *place.fields]
    raise place.refusal(f"There is no field {name!r} to search by.", nearest(name, every))


def from_clause(clause: Clause, text: str, place: Place) -> list[Condition | Drop]:
    """Give one comparison of a query text its meaning.

    Raises
    ------
    QueryError
        For an unknown field, or a value that the field cannot have.
    """
    here = Place(text[clause.at :].split()[0], place.gpus, place.fields, text, clause.at)
    field, kind = field_of(clause.field, here)
    first = clause.words[0]
    written = _as_written(clause)
    value_at = Place(written, place.gpus, place.fields, text, first.at)
    if len(clause.words) == 1 and not first.quoted and first.text in WILDCARDS:
        if clause.op == "eq":
            return [Drop(_sent_field(field), written)]
        if clause.op not in ("in", "notin"):
            raise value_at.refusal(
                f"{first.text!r} stands for every value; it works only with '='."
            )
    return _build(field, kind, clause.op, list(clause.words), value_at)


def from_python(name: str, given: Any, place: Place) -> list[Condition | Drop]:
    """Give a keyword, or an entry of a dict, its meaning.

    Parameters
    ----------
    name : str
        Field or alias.
    given : object
        A scalar (equal), a tuple of two (a closed range, `None` for an open end), a list or set
        (any of them), ``None`` or ``"any"`` (no filter, and no default), or a dict of operators:
        the raw JSON, sent as it is.
    place : Place
        For messages.

    Returns
    -------
    list of Condition or Drop
    """
    field, kind = field_of(name, place)
    if hasattr(given, "tolist"):  # numpy and pandas: arrays, Series and their scalars
        given = given.tolist()
    if given is None and field not in DEFAULTS:
        return []
    if given is None or (isinstance(given, str) and given in WILDCARDS):
        return [Drop(_sent_field(field), place.written)]
    if isinstance(given, Mapping):
        return _from_raw(field, kind, given, place)
    if isinstance(given, tuple):
        if len(given) != 2:
            raise place.refusal(
                f"{place.written}: a tuple is a range of two ends, such as (2, None). "
                "Several values go into a list."
            )
        if kind in ("gpu", "country", "flag", "text"):
            raise place.refusal(
                f"{place.written}: {name} cannot be a range. Use a list for several values."
            )
        return [
            condition
            for op, end in zip(("gte", "lte"), given, strict=True)
            if end is not None
            for condition in _build(field, kind, op, [_word(end, kind, place)], place)
        ]
    if isinstance(given, (list, set, frozenset)):
        several = sorted(given, key=str) if isinstance(given, (set, frozenset)) else given
        if not several:
            raise place.refusal(f"{place.written}: an empty list matches no offer.")
        return _build(field, kind, "in", [_word(v, kind, place) for v in several], place)
    return _build(field, kind, "eq", [_word(given, kind, place)], place)


def _sent_field(field: str) -> str:
    return "gpu_ram" if field == NOMINAL_VRAM else field


def _word(value: Any, kind: Kind, place: Place) -> Word:
    if isinstance(value, str):
        return Word(value, True, kind == "text", 0)
    if isinstance(value, bool):
        if kind in ("number", "version"):
            raise place.refusal(f"{place.written}: a number is needed, not {value}.")
        return Word(str(value).lower(), True, False, 0)
    if isinstance(value, int):
        return Word(str(value), True, False, 0)
    if isinstance(value, float) and math.isfinite(value):
        return Word(repr(value), True, False, 0)
    raise place.refusal(f"{place.written}: {value!r} cannot be compared with an offer.")


def _build(
    field: str, kind: Kind, op: str, words: list[Word], place: Place
) -> list[Condition | Drop]:
    listed = op in ("in", "notin")
    if field == NOMINAL_VRAM:
        return _nominal_vram(op, words, place)
    if op in ORDERING and kind in ("gpu", "country", "flag"):
        raise place.refusal(f"{field!r} can be equal or not, but not greater or less.")
    if kind == "gpu":
        return _gpus(op, words, place)
    pairs = [_convert(field, kind, op, word, place) for word in words]
    if any(value is None for value, _ in pairs) and op not in ("eq", "neq"):
        raise place.refusal("A missing value can only be tested with '=' and '!='.")
    value: Value = tuple(v for v, _ in pairs) if listed else pairs[0][0]
    wire = [w for _, w in pairs] if listed else pairs[0][1]
    return [Condition(field, op, value, wire, place.written)]


def _convert(field: str, kind: Kind, op: str, word: Word, place: Place) -> tuple[Plain, Any]:
    """Return the plain value and what is sent for it."""
    text = word.text
    listed = op in ("in", "notin")
    if kind != "text" and text in ("None", "null") and not listed and field not in MULTIPLIER:
        return None, None
    if kind == "number":
        if NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
            raise place.refusal(f"{field!r} needs a number, not {text!r}.")
        if field in MULTIPLIER:
            sent = float(text) * MULTIPLIER[field]
            if not math.isfinite(sent):
                raise place.refusal(f"{text!r} is too large a number.")
            return sent, sent
        return number(text), text
    if kind == "flag":
        if text not in FLAGS:
            raise place.refusal(f"{field!r} is true or false, not {text!r}.", ["true", "false"])
        sent_flag = text if listed or text in "01" else FLAGS[text]
        return FLAGS[text], sent_flag
    if kind == "version":
        return _version(field, text, place)
    if kind == "country":
        return _country(text, place)
    if not word.literal and not listed and text in _CONSTANTS:
        return _CONSTANTS[text], _CONSTANTS[text]
    return text, text


def _version(field: str, text: str, place: Place) -> tuple[Plain, Any]:
    parts = text.split(".")
    if text.isdecimal() and len(text) == 9:  # packed already
        parts = [text[:3], text[3:6].lstrip("0").zfill(2), text[6:].lstrip("0").zfill(2)]
        raise place.refusal(f"{field!r} needs three parts, not {text!r}.", [".".join(parts)])
    if len(parts) != 3 or not all(p.isdecimal() and len(p) <= 3 for p in parts):
        whole = [p for p in parts[:3] if p.isdecimal() and len(p) <= 3]
        near = [".".join([*whole, "00", "00"][:3])] if whole else []
        raise place.refusal(
            f"{field!r} needs all three parts, such as 535.86.05, not {text!r}.", near
        )
    packed = int("".join(part.zfill(3) for part in parts))
    return packed, packed


def in_regions(parts: list[Condition | Drop]) -> list[Condition | Drop]:
    """Replace regions of the world by their countries, where ``georegion=true`` is among `parts`.

    Without it, a code is a country. The directive itself is not sent.
    """
    said = [part for part in parts if isinstance(part, Condition) and part.field == GEOREGION]
    rest = [part for part in parts if part.field != GEOREGION]
    if not any(part.op == "eq" and part.value is True for part in said):
        return rest
    return [_regions(part) if isinstance(part, Condition) else part for part in rest]


def _regions(part: Condition) -> Condition:
    from vastnb.market.tables.regions import REGIONS

    values = part.value if isinstance(part.value, tuple) else (part.value,)
    if part.field != "geolocation" or not any(value in REGIONS for value in values):
        return part
    countries = [c for value in values for c in REGIONS.get(str(value), (str(value),))]
    countries = list(dict.fromkeys(countries))
    op = {"eq": "in", "neq": "notin"}.get(part.op, part.op)
    return Condition(part.field, op, tuple(countries), countries, part.written)


def _country(text: str, place: Place) -> tuple[Plain, Any]:
    if len(text) == 2 and text.isalpha() and text.isascii():
        return text.upper(), text.upper()
    if "," in text:
        return text, text  # "Region, CC" as the column has it
    raise place.refusal(
        f"A country is a two-letter code, such as US, SE or DE, not {text!r} (the frame's column "
        "'geolocation' shows them last)."
    )


def _gpus(op: str, words: list[Word], place: Place) -> list[Condition | Drop]:
    names: list[str] = []
    for word in words:
        if not word.literal and word.text in ("None", "null") and op in ("eq", "neq"):
            return [Condition("gpu_name", op, None, None, place.written)]
        if word.literal:
            names.append(word.text)
        else:
            at = word.at if place.text is not None else None
            names += gpus.resolve(word.text, place.gpus, text=place.text, at=at)
    if len(names) > len(words):  # a family may hold what is also named
        names = list(dict.fromkeys(names))
    if op in ("eq", "neq") and len(names) > 1:
        op = "in" if op == "eq" else "notin"
    if op in ("in", "notin"):
        return [Condition("gpu_name", op, tuple(names), names, place.written)]
    return [Condition("gpu_name", op, names[0], names[0], place.written)]


def _nominal_vram(op: str, words: list[Word], place: Place) -> list[Condition | Drop]:
    if op not in ("eq", *ORDERING):
        raise place.refusal(f"{NOMINAL_VRAM!r} takes one size or a range, such as (24, 48).")
    text = words[0].text
    if NUMBER.fullmatch(text) is None or not 0 < float(text) <= 100_000:
        raise place.refusal(f"{NOMINAL_VRAM!r} needs a size in GB, not {text!r}.")
    gb = float(text)
    ends: list[tuple[str, float]] = []
    if op == "eq":
        if gb not in vram.SIZES:
            near = sorted(vram.SIZES, key=lambda size: abs(size - gb))[:2]
            raise place.refusal(
                f"No card is sold with {text} GB. For other sizes give a range: "
                f"{NOMINAL_VRAM}=({gb - 1:g}, {gb + 1:g}).",
                [f"{NOMINAL_VRAM}={size}" for size in sorted(near)],
            )
        low, high = vram.band(int(gb))
        ends = [("gte", low), ("lte", high)]
    elif op == "gte":
        ends = [("gte", vram.at_least(gb))]
    elif op == "lte":
        ends = [("lte", vram.at_most(gb))]
    elif op == "gt":
        ends = [("gt", vram.at_most(gb))]
    else:
        ends = [("lt", vram.at_least(gb))]
    return [
        Condition("gpu_ram", name, end * 1000.0, end * 1000.0, place.written) for name, end in ends
    ]


def _from_raw(
    field: str, kind: Kind, given: Mapping[str, Any], place: Place
) -> list[Condition | Drop]:
    """Take ``{"op": value}`` as it is; only its shape is checked."""
    if not given:
        raise place.refusal(f"{place.written}: it has no operator.")
    built: list[Condition | Drop] = []
    for op, wire in given.items():
        if op not in _RAW_OPS:
            alike = [OPERATORS[op]] if op in OPERATORS else nearest(str(op), _RAW_OPS, 1)
            raise place.refusal(
                f"{place.written}: there is no operator {op!r}. Use one of {' '.join(_RAW_OPS)}.",
                alike,
            )
        if field == NOMINAL_VRAM:
            built += _build(field, kind, op, [_word(wire, kind, place)], place)
            continue
        listed = op in ("in", "notin")
        if listed and isinstance(wire, (tuple, set, frozenset)):
            wire = list(wire)
        if listed != isinstance(wire, list):
            raise place.refusal(
                f"{place.written}: {op!r} needs {'a list' if listed else 'one value'}."
            )
        sent = [_scalar(v, place) for v in wire] if listed else _scalar(wire, place)
        if listed and not sent:
            raise place.refusal(f"{place.written}: an empty list matches no offer.")
        value = plain(kind, sent)
        for one in value if isinstance(value, tuple) else (value,):
            if not _comparable(kind, op, one):
                raise place.refusal(f"{place.written}: {field!r} cannot be compared with {one!r}.")
        built.append(Condition(field, op, value, sent, place.written))
    return built


def _comparable(kind: Kind, op: str, value: Plain) -> bool:
    if value is None:
        return op in ("eq", "neq")
    if kind in ("number", "version"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "flag":
        return isinstance(value, bool) and op not in ORDERING
    return True


def _scalar(value: Any, place: Place) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise place.refusal(f"{place.written}: {value!r} cannot be sent as JSON.")


def _as_written(clause: Clause) -> str:
    values = ",".join(word.text for word in clause.words)
    return f"{clause.field}{SYMBOLS[clause.op]}{values}"
