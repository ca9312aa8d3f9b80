"""GPU names: the spelling that the service knows, found from the ones that people write.

The service compares names exactly (``RTX 4090``, ``Tesla V100``, ``RTX 6000Ada``). A spelling is
found by its *key*: lower case, without blanks, signs and maker's names, ``super`` shortened
to ``s``. A key may drop the series (``4090``) where one name alone is left. A few words name a
family of cards that one wants together (``H100``); a name that exists is never a family, so that
a query written for the official client keeps its meaning.

New cards appear all the time. Names learned elsewhere (from the service's list of GPU types,
from answers) are passed in as `known`; and a dict with an operator is always sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from vastnb.wording import nearest, refusal

_SERIES: Final[dict[str, str]] = {
    "A": "10|16|30|40|100 PCIE|100 SXM4|100X|800 PCIE",
    "B": "200|300 SXM6",
    "CMP ": "50HX|170HX",
    "GH200": "| SXM",
    "GTX ": "750|750 Ti|950|960|970|980|980 Ti|1050|1050 Ti|1060|1070|1070 Ti|1080|1080 Ti|1650"
    "|1650 S|1660|1660 S|1660 Ti",
    "H100 ": "SXM|NVL|PCIE",
    "H200": "| NVL",
    "Instinct": "MI50|MI60|MI100|MI210|MI250X|MI300X|MI325X",
    "L": "4|40|40S",
    "Q RTX ": "4000|5000|6000|8000",
    "Quadro ": "GP100|GV100|K2200|K620|M4000|M6000|P1000|P2000|P4000|P5000|P6000",
    "Radeon ": "VII",
    "RTX ": "2060|2060S|2070|2070S|2080|2080S|2080 Ti|3050|3060|3060 Ti|3060 laptop|3070|3070 Ti"
    "|3070 laptop|3080|3080 Ti|3080 laptop|3090|3090 Ti|4060|4060 Ti|4060 laptop|4070|4070S|4070 Ti"
    "|4070S Ti|4070 laptop|4080|4080S|4080 laptop|4090|4090D|4090 laptop|5050|5060|5060 Ti"
    "|5060 laptop|5070|5070 Ti|5070 laptop|5080|5080 laptop|5090|5090 laptop"
    "|2000Ada|4000Ada|4500Ada|5000Ada|5880Ada|6000Ada"
    "|A2000|A4000|A4500|A5000|A5500|A6000"
    "|PRO 2000|PRO 4000|PRO 4500|PRO 5000|PRO 6000 Max-Q|PRO 6000 S|PRO 6000 WS",
    "RX ": "6600 XT|6700 XT|6800|6800 XT|6900 XT|6950 XT|7600 XT|7700 XT|7800 XT|7900 XT|7900 XTX"
    "|9070|9070 XT",
    "Tesla ": "K40|K80|M40|M60|P4|P40|P100|T4|V100",
    "Titan ": "RTX|V|X|Xp",
}

GPU_NAMES: Final = tuple(
    series + model for series, models in _SERIES.items() for model in models.split("|")
)
"""Names in the service's spelling."""

FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "h100": ("H100 SXM", "H100 NVL", "H100 PCIE"),
    "a100": ("A100 SXM4", "A100 PCIE"),
    "rtxpro6000": ("RTX PRO 6000 WS", "RTX PRO 6000 S", "RTX PRO 6000 Max-Q"),
}
"""Keys of families, and the cards that each stands for."""

_MAKERS: Final = ("nvidia", "geforce", "amd")
_OPTIONAL: Final = ("rtx", "gtx", "tesla", "quadro", "instinct", "rx", "cmp")
_OTHER_KEYS: Final[dict[str, str]] = {
    "a100sxm": "A100 SXM4",
    "b300": "B300 SXM6",
    "gh200": "GH200",
    "rtxpro6000server": "RTX PRO 6000 S",
    "rtxpro6000serveredition": "RTX PRO 6000 S",
    "rtxpro6000workstation": "RTX PRO 6000 WS",
    "rtxpro6000workstationedition": "RTX PRO 6000 WS",
}


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """Reduce a spelling to what identifies it."""
    key = name.lower()
    for maker in _MAKERS:
        key = key.replace(maker, " ")
    key = re.sub(r"super", "s", key)
    key = re.sub(r"quadro(?=[\s_-]*rtx)", "q", key)
    key = re.sub(r"ada[\s_-]*generation", "ada", key)
    key = re.sub(r"[^a-z0-9]", "", key)
    return re.sub(r"ti(s)$", r"sti", key)


def _short(key: str) -> str:
    for series in _OPTIONAL:
        if key.startswith(series) and len(key) > len(series):
            return key.removeprefix(series)
    return key


@lru_cache(maxsize=64)
def _index(known: tuple[str, ...]) -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    full: dict[str, str] = dict(_OTHER_KEYS)
    short: dict[str, set[str]] = {}
    for name in (*GPU_NAMES, *known):
        full.setdefault(key_of(name), name)
        short.setdefault(_short(key_of(name)), set()).add(name)
    return full, {key: frozenset(names) for key, names in short.items()}


def all_names(known: Iterable[str] = ()) -> list[str]:
    """Return every name there is, sorted; `known` adds names that this package was not told of."""
    return sorted({*GPU_NAMES, *known}, key=str.lower)


def resolve(
    spelling: str,
    known: Iterable[str] = (),
    *,
    text: str | None = None,
    at: int | None = None,
) -> tuple[str, ...]:
    """Find the names that a spelling stands for.

    Parameters
    ----------
    spelling : str
        ``"4090"``, ``"rtx4090"``, ``"RTX_4090"``, ``"H100"``; any case.
    known : iterable of str
        Further names, in the service's spelling.
    text, at : optional
        The query and the place in it, for the message.

    Returns
    -------
    tuple of str
        One name, or those of a family.

    Raises
    ------
    QueryError
        If nothing fits, or several names fit equally; its ``suggestions`` name the nearest.
    """
    extra = tuple(dict.fromkeys(known))
    if spelling in GPU_NAMES or spelling in extra:
        return (spelling,)
    full, short = _index(extra)
    key = key_of(spelling)
    if key in full:
        return (full[key],)
    for family in (key, key.removeprefix("tesla"), f"rtx{key}"):
        if family in FAMILIES:
            return FAMILIES[family]
    candidates = short.get(key)
    if candidates and len(candidates) == 1:
        return tuple(candidates)
    suggestions = sorted(candidates) if candidates else _nearest(spelling, key, extra)
    if candidates:
        raise refusal(
            f"{spelling!r} is the name of several GPUs.",
            suggestions=suggestions,
            text=text,
            at=at,
        )
    raise refusal(
        f"No GPU is known as {spelling!r}. (If it is new, send the name as it is: "
        f'{{"gpu_name": {{"eq": {_quoted(spelling)}}}}}.)',
        suggestions=suggestions,
        text=text,
        at=at,
    )


def complete(prefix: str, known: Iterable[str] = ()) -> list[str]:
    """Return the names that a half-typed spelling may become, the likeliest first."""
    key = key_of(prefix)
    names = all_names(known)
    if not key:
        return names
    starts, holds = [], []
    for name in names:
        full = key_of(name)
        if full.startswith(key) or _short(full).startswith(key):
            starts.append(name)
        elif key in full:
            holds.append(name)
    return starts + holds


def _nearest(spelling: str, key: str, known: Sequence[str]) -> list[str]:
    names = all_names(known)
    inside = [name for name in names if len(key) > 2 and key in key_of(name)]
    ends = [name for name in names if _short(key) and _short(key) in key_of(name)]
    by_key = {key_of(name): name for name in names}
    by_short = {_short(key_of(name)): name for name in names}
    stems = [name for k, name in by_key.items() if len(k) > 3 and key.startswith(k)]
    near = [by_key[k] for k in nearest(key, by_key)]
    near += [by_short[k] for k in nearest(_short(key), by_short)]
    return list(dict.fromkeys([*inside, *stems, *near, *(ends if len(_short(key)) > 2 else [])]))[
        :4
    ]


def _quoted(spelling: str) -> str:
    return '"' + spelling.replace('"', '\\"') + '"'
