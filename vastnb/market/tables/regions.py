"""Regions of the world and their countries, by the standard of the United Nations (M49).

The codes of the regions are those of the official client; two letters of a region may also be a
country's (``NA`` is Namibia), so they are regions only where a query says ``georegion=true``.
Taiwan, which M49 does not list, is put with Eastern Asia.
"""

from __future__ import annotations

from typing import Final

_CARIBBEAN: Final = """
    AG AI AW BB BL BQ BS CU CW DM DO GD GP HT JM KN KY LC MF MQ MS PR SX TC TT VC VG VI"""
_CENTRAL_AMERICA: Final = "BZ CR GT HN MX NI PA SV"
_NORTHERN_AMERICA: Final = "BM CA GL PM US"
_SOUTH_AMERICA: Final = "AR BO BR BV CL CO EC FK GF GS GY PE PY SR UY VE"
_M49: Final = {
    "AF": """
        DZ EG EH LY MA SD TN  BI DJ ER ET IO KE KM MG MU MW MZ RE RW SC SO SS TF TZ UG YT ZM ZW
        AO CD CF CG CM GA GQ ST TD  BW LS NA SZ ZA
        BF BJ CI CV GH GM GN GW LR ML MR NE NG SH SL SN TG""",
    "AS": """
        KG KZ TJ TM UZ  CN HK JP KP KR MN MO TW  BN ID KH LA MM MY PH SG TH TL VN
        AF BD BT IN IR LK MV NP PK  AE AM AZ BH CY GE IL IQ JO KW LB OM PS QA SA SY TR YE""",
    "EU": """
        BG BY CZ HU MD PL RO RU SK UA  AX DK EE FI FO GB GG IE IM IS JE LT LV NO SE SJ
        AD AL BA ES GI GR HR IT ME MK MT PT RS SI SM VA  AT BE CH DE FR LI LU MC NL""",
    "LC": f"{_CARIBBEAN} {_CENTRAL_AMERICA} {_SOUTH_AMERICA}",
    "NA": _NORTHERN_AMERICA,
    "OC": """
        AU CC CX HM NF NZ  FJ NC PG SB VU  FM GU KI MH MP NR PW UM
        AS CK NU PF PN TK TO TV WF WS""",
}

REGIONS: Final[dict[str, tuple[str, ...]]] = {
    code: tuple(sorted(countries.split())) for code, countries in _M49.items()
}
"""Countries of Africa, Asia, Europe, Latin America and the Caribbean, Northern America, Oceania."""

_UNION: Final = """
    AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"""

AREAS: Final[dict[str, tuple[str, ...]]] = {
    "European Union": tuple(_UNION.split()),
    "Europe": REGIONS["EU"],
    "North America": tuple(sorted(f"{_NORTHERN_AMERICA} {_CENTRAL_AMERICA} {_CARIBBEAN}".split())),
    "South America": tuple(_SOUTH_AMERICA.split()),
    "Asia": REGIONS["AS"],
    "Africa": REGIONS["AF"],
    "Oceania": REGIONS["OC"],
}
"""What people pick: the continents of M49, and the European Union. ``EU`` as a region of a query is
all of Europe, as in the official client."""
