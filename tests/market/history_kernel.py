"""Kernels for the tests of the history: ``python -m tests.market.history_kernel WHAT FOLDER ...``.

``add FOLDER COUNT FIRST`` records `COUNT` searches, whose ``machine_id`` begins with `FIRST`, and
says the number of each when it is recorded. ``churn FOLDER FIRST`` does so until it is killed, and
writes the file of the day anew all the time.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from tests.market.histories import NOW, ROWS, history, offers
from vastnb.market.history import History
from vastnb.market.history.columns import Sample
from vastnb.market.history.days import sole

NOON = datetime.fromtimestamp(NOW, UTC)


def add(past: History, number: int) -> None:
    moment = NOON + timedelta(seconds=number % 1000, microseconds=number)
    sample = Sample(moment, "on-demand", "", False, False, False)
    past._store().add(offers(ROWS, machine_id=number), sample)
    # One write, so that the lines of two kernels do not mix.
    os.write(1, f"{number}\n".encode())


def main() -> None:
    what, folder, *rest = sys.argv[1:]
    past = history(Path(folder))
    if what == "add":
        for number in range(int(rest[1]), int(rest[1]) + int(rest[0])):
            add(past, number)
        return
    for number in count(int(rest[0])):
        add(past, number)
        if number % 3 == 0:
            with sole(past.path) as alone:
                if alone:
                    past._parts()[0].fold(NOON.date())


if __name__ == "__main__":
    main()
