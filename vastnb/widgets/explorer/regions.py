"""Names of places for the country filter: regions and countries to two-letter codes.

The regions are `vastnb.market.tables.regions.AREAS`; ``EU`` is the European Union here. Countries
are those in which machines are offered or may well be; every other is named by its code.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from vastnb.market.tables.regions import AREAS

_COUNTRIES: Final = """\
AE United Arab Emirates|AL Albania|AM Armenia|AR Argentina|AT Austria|AU Australia|AZ Azerbaijan|\
BA Bosnia and Herzegovina|BD Bangladesh|BE Belgium|BG Bulgaria|BH Bahrain|BR Brazil|BY Belarus|\
CA Canada|CH Switzerland|CL Chile|CN China|CO Colombia|CR Costa Rica|CY Cyprus|CZ Czechia|\
DE Germany|DK Denmark|DO Dominican Republic|DZ Algeria|EC Ecuador|EE Estonia|EG Egypt|ES Spain|\
FI Finland|FR France|GB United Kingdom|GE Georgia|GR Greece|GT Guatemala|HK Hong Kong|HR Croatia|\
HU Hungary|ID Indonesia|IE Ireland|IL Israel|IN India|IQ Iraq|IR Iran|IS Iceland|IT Italy|\
JO Jordan|JP Japan|KE Kenya|KG Kyrgyzstan|KH Cambodia|KR South Korea|KW Kuwait|KZ Kazakhstan|\
LB Lebanon|LK Sri Lanka|LT Lithuania|LU Luxembourg|LV Latvia|MA Morocco|MD Moldova|ME Montenegro|\
MK North Macedonia|MN Mongolia|MO Macao|MT Malta|MX Mexico|MY Malaysia|NG Nigeria|NL Netherlands|\
NO Norway|NP Nepal|NZ New Zealand|OM Oman|PA Panama|PE Peru|PH Philippines|PK Pakistan|PL Poland|\
PR Puerto Rico|PT Portugal|PY Paraguay|QA Qatar|RO Romania|RS Serbia|RU Russia|SA Saudi Arabia|\
SE Sweden|SG Singapore|SI Slovenia|SK Slovakia|TH Thailand|TN Tunisia|TR Turkey|TW Taiwan|\
UA Ukraine|US United States|UY Uruguay|UZ Uzbekistan|VE Venezuela|VN Vietnam|XK Kosovo|\
ZA South Africa"""


@cache
def regions() -> dict[str, tuple[str, frozenset[str]]]:
    """Return regions: their key, their name, and their countries' codes."""
    keys = {"European Union": "EU"}
    return {keys.get(name, name): (name, frozenset(codes)) for name, codes in AREAS.items()}


@cache
def names() -> dict[str, str]:
    """Return the names of countries by code."""
    return {one[:2]: one[3:] for one in _COUNTRIES.split("|")}


def codes_of(places: Iterable[str]) -> list[str]:
    """Return the codes of regions, countries and codes, in any spelling; what is unknown stays."""
    found: dict[str, None] = {}
    for place in places:
        for code in _codes(place.strip()):
            found[code] = None
    return list(found)


def region_of(codes: Iterable[str]) -> str | None:
    """Return the region that has exactly these countries."""
    wanted = frozenset(codes)
    return next((key for key, (_, have) in regions().items() if have == wanted), None)


@cache
def _codes(place: str) -> tuple[str, ...]:
    low = place.lower()
    for key, (name, codes) in regions().items():
        if low in (key.lower(), name.lower()):
            return tuple(sorted(codes))
    for code, name in names().items():
        if low == name.lower():
            return (code,)
    return (place.upper() if len(place) == 2 else place,)
