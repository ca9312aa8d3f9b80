"""Regions of the world and their countries, by the standard of the United Nations (M49).

The codes of the regions are those of the official client; two letters of a region may also be a
country's (``NA`` is Namibia), so they are regions only where a query says ``georegion=true``.
Taiwan, which M49 does not list, is put with Eastern Asia.
"""

from __future__ import annotations

from typing import Final

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
    "LC": """
        AG AI AW BB BL BQ BS CU CW DM DO GD GP HT JM KN KY LC MF MQ MS PR SX TC TT VC VG VI
        BZ CR GT HN MX NI PA SV  AR BO BR BV CL CO EC FK GF GS GY PE PY SR UY VE""",
    "NA": "BM CA GL PM US",
    "OC": """
        AU CC CX HM NF NZ  FJ NC PG SB VU  FM GU KI MH MP NR PW UM
        AS CK NU PF PN TK TO TV WF WS""",
}

REGIONS: Final[dict[str, tuple[str, ...]]] = {
    code: tuple(sorted(countries.split())) for code, countries in _M49.items()
}
"""Countries of Africa, Asia, Europe, Latin America and the Caribbean, Northern America, Oceania."""
