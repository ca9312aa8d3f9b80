"""Kernels for the tests of the history: ``python -m tests.market.history_kernel WHAT FOLDER ...``.

``add FOLDER COUNT FIRST`` writes `COUNT` snapshots, whose ``machine_id`` begins with `FIRST`, and
says the number of each when it has been written. ``churn FOLDER FIRST`` does so until it is killed,
and puts files together all the time.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from tests.market.histories import ROWS, offers
from vastnb.market.history import compaction
from vastnb.market.history.columns import Sample, table_of
from vastnb.market.history.dataset import Dataset

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def add(dataset: Dataset, number: int) -> None:
    moment = NOON + timedelta(seconds=number % 1000)
    sample = Sample(moment, "on-demand", "", False, False, False)
    dataset.add(table_of(offers(ROWS, machine_id=number), sample), moment)
    # One write, so that the lines of two kernels do not mix.
    os.write(1, f"{number}\n".encode())


def main() -> None:
    what, folder, *rest = sys.argv[1:]
    dataset = Dataset(Path(folder))
    if what == "add":
        for number in range(int(rest[1]), int(rest[1]) + int(rest[0])):
            add(dataset, number)
        return
    for number in count(int(rest[0])):
        add(dataset, number)
        if number % 3 == 0:
            with compaction.sole(dataset.folder) as alone:
                if alone:
                    compaction.compact(dataset.day(NOON.date()), datetime.now(UTC))


if __name__ == "__main__":
    main()
