"""Rows to measure with: recorded ones where there are some, else those of the simulated market."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def recorded_folder() -> Path | None:
    """Return the folder of recorded answers, or None."""
    named = os.environ.get("VASTNB_RECORDED")
    places = [Path(named)] if named else []
    places.append(Path(__file__).resolve().parents[2] / "shared" / "vast-api")
    for place in places:
        for folder in (place / "data", place):
            if (folder / "offers_2024_real.json").is_file():
                return folder
    return None


def _offers_in(data: Any) -> list[Row]:
    if isinstance(data, dict):
        if "id" in data or "ask_contract_id" in data:
            return [data]
        data = list(data.values())
    return [row for part in data for row in _offers_in(part)] if isinstance(data, list) else []


@cache
def _all() -> tuple[list[Row], str]:
    folder = recorded_folder()
    if folder is not None:
        rows = _offers_in(json.loads((folder / "offers_2024_real.json").read_text("utf-8")))
        return rows, f"{len(rows)} recorded rows"
    rows = simulated_rows()
    return rows, f"{len(rows)} simulated rows (no recorded ones found; set VASTNB_RECORDED)"


@cache
def simulated_rows() -> list[Row]:
    """Return every rentable row of the simulated market, as the service would send them."""
    import requests

    from vastnb.sim import Server

    with Server(seed=0, limits=None, quota=None, cap=None) as server:
        answer = requests.post(
            f"{server.url}/api/v0/bundles/",
            json={"limit": 100_000},
            headers={"Authorization": f"Bearer {server.api_key}"},
            timeout=60,
        )
    answer.raise_for_status()
    return list(answer.json()["offers"])


def rows_for(count: int | None = None) -> tuple[list[Row], str]:
    """Return rows and what they are.

    Parameters
    ----------
    count : int, optional
        How many; where there are fewer, they are repeated with new ids. Default: as many as there
        are.
    """
    rows, what = _all()
    if count is None or count == len(rows):
        return rows, what
    made = []
    for number in range(count):
        row = rows[number % len(rows)]
        lap = number // len(rows)
        made.append(row if not lap else {**row, **_fresh_ids(row, lap)})
    return made, f"{count:,} of {what}" if count < len(rows) else f"{count:,} from {what}, repeated"


def _fresh_ids(row: Row, lap: int) -> Row:
    names = ("id", "ask_contract_id")
    return {name: row[name] + lap * 10**8 for name in names if isinstance(row.get(name), int)}
