"""The files of the price history: nothing lost, counted once, private, open to all."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market import earlier
from tests.market.histories import (
    DAY,
    NOW,
    REAL,
    Line,
    frame,
    history,
    recorded,
    row,
    sample,
    seen,
)
from vastnb.api.answers import Answer
from vastnb.clock import ManualClock
from vastnb.errors import HistoryError, InvalidRequest
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.history import History, Keep
from vastnb.market.history.columns import KEPT
from vastnb.market.history.days import Days, sole
from vastnb.market.history.earlier import migrate
from vastnb.market.history.keep import surplus
from vastnb.market.history.recorder import Recorder
from vastnb.market.history.sql import Engine, Source
from vastnb.market.history.store import NAME
from vastnb.market.history.upkeep import Upkeep

TODAY = date(2026, 11, 24)


def machines(past: History) -> list[int]:
    return sorted(past.frame(columns=["machine_id"])["machine_id"].tolist())


def files(past: History) -> list[Path]:
    return sorted(past.path.rglob("*.parquet"))


def days_of(past: History) -> Days:
    return past._parts()[0]


def fill(past: History, *ids: int, back: int = 0) -> None:
    for number in ids:
        seen(past, NOW - back * DAY + number, [{"machine_id": number}])


def later(past: History, days: float) -> History:
    """Another kernel with the same files, some days later."""
    past._parts()[1].wait()
    return history(past._folder, NOW + days * DAY, keep=past._keep)


# -- what is kept ----------------------------------------------------------------------------------

NONSENSE: dict[str, Any] = {
    "gpu_name": st.one_of(st.none(), st.text(max_size=8), st.just("RTX 4090 "), st.just(7)),
    "geolocation": st.one_of(st.none(), st.just(", US"), st.text(max_size=6)),
    "machine_id": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.just(2.5)),
    "num_gpus": st.one_of(st.none(), st.integers(-5, 10**12)),
    "dph_base": st.one_of(st.none(), st.floats(), st.just(-1.8e12), st.just("n/a")),
    "reliability": st.one_of(st.none(), st.floats()),
    "verification": st.sampled_from([None, "verified", "unverified", "deverified", "?"]),
}  # fmt: skip
rows_of_nonsense = st.lists(
    st.fixed_dictionaries({}, optional=NONSENSE).map(lambda cells: row(**cells)), max_size=5
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(rows=rows_of_nonsense, finished=st.booleans())
def test_whatever_the_service_sends_comes_back_as_it_was(
    rows: list[dict[str, Any]], finished: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    past = history(tmp_path_factory.mktemp("nonsense"))
    offers = frame_of_offers(rows)
    past.add(offers.assign(host_id=range(len(offers))), sample())
    if finished:
        past._parts()[1].wait()
        days_of(past).fold(TODAY)
    back = past.frame().sort_values("host_id", ignore_index=True)
    assert list(back) == list(KEPT)
    assert {name: str(dtype) for name, dtype in back.dtypes.items()} == {
        name: column.dtype for name, column in KEPT.items()
    }
    assert len(back) == len(offers)
    for name, column in KEPT.items():
        if not column.whole and name not in ("verified", "host_id"):
            want = [None if value is None else value for value in _plain(offers[name])]
            if column.dtype == "string":
                want = [w and w.encode("utf-8", "replace").decode() for w in want]
            assert _plain(back[name]) == want, name
    flags = [None if v is None else v == "verified" for v in _plain(offers["verification"])]
    assert _plain(back["verified"]) == flags
    past.close()


def _plain(column: Any) -> list[Any]:
    return [None if missing else value for value, missing in
            zip(column.tolist(), column.isna().tolist(), strict=True)]  # fmt: skip


def test_half_a_surrogate_pair_does_not_cost_the_snapshot(tmp_path: Path) -> None:
    past = history(tmp_path)
    seen(past, NOW, [{"gpu_name": "RTX \ud800"}])
    assert past.frame()["gpu_name"].tolist() == ["RTX ?"]


@pytest.mark.parametrize("finished", [False, True])
def test_ids_beyond_what_a_float_holds_are_kept_to_the_last_digit(
    tmp_path: Path, finished: bool
) -> None:
    past = history(tmp_path)
    ids = [2**53 + 1, 2**60 + 7, 2**63 - 1]
    seen(past, NOW, [*({"machine_id": one, "host_id": one} for one in ids), {"machine_id": None}])
    if finished:
        past = later(past, 1)
        past.tidy()
        assert recorded(past) == 0
    assert past.frame()["machine_id"].dropna().tolist() == ids
    for one in ids:
        assert past.frame(machine_id=one)["host_id"].tolist() == [one]
        assert past.machine(one)["host_id"].tolist() == [one]
    assert past.frame(sql="SELECT max(machine_id) AS m FROM history")["m"].tolist() == [2**63 - 1]
    assert sorted(past.diff(2, 0)["machine_id"].tolist()) in ([], ids)


def test_a_row_takes_a_few_bytes_in_a_finished_day(tmp_path: Path) -> None:
    past = history(tmp_path)
    for i in range(6):
        many = frame(*({"machine_id": m, "dph_base": 0.3 + m / 997} for m in range(400)))
        past.add(many, sample(NOW + 60 * i))
    days_of(past).fold(TODAY)
    (path,) = files(past)
    assert path.stat().st_size / 2400 < 16


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    past = history(tmp_path / "data")
    fill(past, 1, back=1)
    fill(past, 2)
    past.tidy()
    past.close()
    for path in [tmp_path / "data" / "v1", *(tmp_path / "data" / "v1").rglob("*")]:
        if path.is_file() or "day=" in path.name:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


# -- each row once ---------------------------------------------------------------------------------


def test_a_finished_day_becomes_one_file_and_no_answer_changes(tmp_path: Path) -> None:
    past = history(tmp_path)
    fill(past, *range(10))
    before = past.frame()
    assert files(past) == []
    tomorrow = later(past, 1)
    tomorrow.tidy()
    assert [path.parent.name for path in files(tomorrow)] == ["day=2026-11-24"]
    assert recorded(tomorrow) == 0
    pd.testing.assert_frame_equal(tomorrow.frame(), before)
    assert tomorrow.info()["rows"] == 10


def test_today_stays_in_the_store_until_it_is_over(tmp_path: Path) -> None:
    past = history(tmp_path)
    fill(past, 1, 2)
    past.tidy()
    assert files(past) == []
    assert machines(past) == [1, 2]


def test_rows_that_arrive_late_join_their_day(tmp_path: Path) -> None:
    past = history(tmp_path)
    fill(past, 0, 1, back=1)
    past.tidy()
    fill(past, 2, back=1)  # by a kernel that was slow
    assert machines(past) == [0, 1, 2]
    past.tidy()
    assert machines(past) == [0, 1, 2]
    assert len(files(past)) == 1


def test_a_finished_day_lies_in_the_order_that_questions_want(tmp_path: Path) -> None:
    import duckdb

    past = history(tmp_path)
    for name in ("RTX 4090", "A100 SXM4", "RTX 3090"):
        past.add(frame({"gpu_name": name}, {"gpu_name": name}), sample())
    days_of(past).fold(TODAY)
    (path,) = files(past)
    names = duckdb.read_parquet(str(path)).fetchnumpy()["gpu_name"].tolist()
    assert names == sorted(names)


def test_rows_count_once_wherever_a_day_that_is_being_written_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = history(tmp_path)
    fill(past, 0, 1)
    days = days_of(past)
    days.fold(TODAY)
    fill(past, 2)
    (old,) = files(past)
    kept = old.read_bytes()
    with monkeypatch.context() as patch:  # killed after the new file got its name
        patch.setattr(days.store, "forget", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            days.fold(TODAY)
    assert old.read_bytes() == kept
    assert len(files(past)) == 2
    assert recorded(past) == 1
    assert machines(past) == [0, 1, 2]
    fill(past, 3)
    assert machines(past) == [0, 1, 2, 3]
    past.tidy()
    assert (machines(past), len(files(past))) == ([0, 1, 2, 3], 1)


def test_a_store_that_was_lost_goes_on_with_its_numbers(tmp_path: Path) -> None:
    past = history(tmp_path)
    for number in range(5):
        fill(past, number)
    days_of(past).fold(TODAY)
    past.close()
    for path in past.path.parent.glob(f"{NAME}*"):
        path.unlink()
    again = history(tmp_path)
    fill(again, 5)  # of a day that has a file already
    assert machines(again) == [0, 1, 2, 3, 4, 5]


def test_a_store_that_is_removed_while_it_is_open_is_made_anew(tmp_path: Path) -> None:
    past = history(tmp_path)
    fill(past, 1)
    for path in past.path.parent.glob(f"{NAME}*"):
        path.unlink()
    assert machines(past) == []
    fill(past, 2)
    assert machines(history(tmp_path)) == [2]


def test_a_write_that_fails_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = history(tmp_path)
    fill(past, 1)
    days = days_of(past)
    with monkeypatch.context() as patch:
        patch.setattr(days.engine, "copy", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            days.fold(TODAY)
    assert machines(past) == [1]
    assert [path.name for path in (past.path / "day=2026-11-24").iterdir()] == []


def test_a_reader_asks_again_when_a_file_is_replaced_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = history(tmp_path)
    fill(past, *range(5), back=1)
    past.tidy()
    days = days_of(past)
    ask, asked = days.engine.ask, []

    def replaced_first(*words: Any) -> Any:
        asked.append(words)
        if len(asked) == 1:
            days.fold(TODAY - timedelta(days=1))
        return ask(*words)

    monkeypatch.setattr(days.engine, "ask", replaced_first)
    assert machines(past) == [0, 1, 2, 3, 4]
    assert len(asked) == 2


def test_only_one_tidies_up_at_a_time(tmp_path: Path) -> None:
    with sole(tmp_path) as first, sole(tmp_path) as second:
        assert first
        assert not second
    with sole(tmp_path) as again:
        assert again


def test_a_folder_with_any_name_can_be_read(tmp_path: Path) -> None:
    past = history(tmp_path / "it's [1-3]* ?")
    fill(past, 1, back=1)
    past.tidy()
    fill(past, 2)
    assert machines(past) == [1, 2]


# -- damage ----------------------------------------------------------------------------------------


def damage(path: Path, *, footer: bool) -> None:
    data = bytearray(path.read_bytes())
    if footer:
        data[-12:] = b"no footer at all"
    else:
        data[4 : len(data) // 2] = b"\x5a" * (len(data) // 2 - 4)
    path.write_bytes(data)


@pytest.mark.parametrize("footer", [True, False])
def test_a_damaged_day_is_named_once_and_the_others_still_answer(
    tmp_path: Path, footer: bool
) -> None:
    past = history(tmp_path)
    for back in (1, 2, 3):
        seen(past, NOW - back * DAY, [{"machine_id": 10 * back + m} for m in range(9)])
    past.tidy()
    damage(files(past)[1], footer=footer)
    assert len(past.frame(since=1)) == 9, "a question that does not need it is not affected"
    with pytest.raises(HistoryError, match=r"day=2026-11-22.* is damaged .* set aside") as caught:
        past.trend("4090")
    assert "Run the question again" in str(caught.value)
    assert past.trend("4090")["machines"].tolist() == [9, 9]
    assert len(past.frame()) == 18
    assert len(list(past.path.rglob(".offers-*.unreadable"))) == 1


def test_a_damaged_store_is_named_and_the_way_out_works(tmp_path: Path) -> None:
    past = history(tmp_path)
    fill(past, 1, back=1)
    past.tidy()
    past.close()
    store = past.path.with_name(NAME)
    store.write_bytes(b"this is no database" * 1000)
    again = history(tmp_path)
    with pytest.raises(HistoryError, match=f"{NAME}, .* is damaged .*Move it away"):
        again.frame()
    with pytest.raises(HistoryError, match="Move it away"):
        fill(again, 2)
    for path in store.parent.glob(f"{NAME}*"):
        path.rename(path.with_name(f"old-{path.name}"))
    assert machines(again) == [1]
    fill(again, 2)
    assert machines(again) == [1, 2]


def test_a_column_of_another_type_drops_no_day(tmp_path: Path) -> None:
    import duckdb

    past = history(tmp_path)
    for back in (1, 2):
        fill(past, 7, back=back)
    past.tidy()
    other = files(past)[0]
    duckdb.sql(
        f"COPY (SELECT * REPLACE (CAST(num_gpus AS VARCHAR) AS num_gpus, CAST(dph_base AS VARCHAR)"
        f" AS dph_base, 'seven' AS machine_id) FROM '{other}') TO '{tmp_path}/x.parquet'"
    )
    (tmp_path / "x.parquet").replace(other)
    kept = past.frame()
    assert kept["num_gpus"].tolist() == [1, 1]
    assert kept["dph_base"].tolist() == [0.4, 0.4]
    assert kept["machine_id"].isna().tolist() == [True, False], "what fits no number is missing"
    assert {str(kept[name].dtype) for name in ("num_gpus", "machine_id")} == {"Int64"}


# -- bounded ---------------------------------------------------------------------------------------


def test_the_oldest_days_go_first_and_today_stays(tmp_path: Path) -> None:
    past = history(tmp_path, keep=Keep(days=3))
    for back in range(6):
        fill(past, back, back=back)
    past.tidy()
    assert machines(past) == [0, 1, 2, 3]
    tiny = history(tmp_path, keep=Keep(days=400, gb=1e-9))
    tiny.tidy()
    assert machines(tiny) == [0]


@pytest.mark.slow
def test_a_clock_ten_years_ahead_deletes_nothing(tmp_path: Path) -> None:
    past = history(tmp_path)
    for back in range(1, 30):
        fill(past, back, back=back)
    past.tidy()
    wrong = later(past, 3650)
    seen(wrong, NOW + 3650 * DAY, [{"machine_id": 99}])
    wrong._parts()[1].wait()
    wrong.tidy()
    assert machines(wrong) == [*range(1, 30), 99]
    right = later(past, 1)
    seen(right, NOW + DAY, [{"machine_id": 0}])
    right._parts()[1].wait()
    assert machines(right) == [*range(30), 99]


@pytest.mark.slow
def test_a_second_kernel_that_keeps_less_does_not_decide_for_everybody(tmp_path: Path) -> None:
    past = history(tmp_path, keep=Keep(days=400))
    for back in range(1, 20):
        fill(past, back, back=back)
    past._parts()[1].wait()
    other = history(tmp_path, keep=Keep(days=7))
    for _ in range(3):
        seen(other, NOW, [{"machine_id": 0}])
        other._parts()[1]._done_on = None
        other._parts()[1].wait()
    assert len(set(machines(other))) == 20
    other.tidy()  # asked
    assert sorted(set(machines(other))) == [0, *range(1, 8)]


def test_unasked_one_day_is_dropped_at_a_time(tmp_path: Path) -> None:
    past = history(tmp_path, keep=Keep(days=2))
    for back in range(1, 7):
        fill(past, back, back=back)
    past._parts()[1].wait()
    days_of(past).tidy(TODAY, Keep(days=2), go_on=lambda: True)
    left = len(machines(past))
    days_of(past).tidy(TODAY, Keep(days=2), go_on=lambda: True)
    assert len(machines(past)) == left - 1


@given(
    sizes=st.lists(st.integers(0, 100), max_size=12), days=st.integers(1, 12),
    most=st.integers(1, 500), asked=st.booleans(),
)  # fmt: skip
def test_what_is_dropped_is_the_oldest_and_no_more_than_needed(
    sizes: list[int], days: int, most: int, asked: bool
) -> None:
    gone = surplus(list(enumerate(sizes)), Keep(days, most / 1e9), asked=asked)
    assert gone == list(range(len(gone)))
    left = sizes[len(gone) :]
    fits = len(left) <= days and sum(left) <= most
    assert fits or (not asked and len(gone) == 1)
    if gone:
        before = sizes[len(gone) - 1 :]
        assert len(before) > days or sum(before) > most


def test_tidying_happens_by_itself_beside_the_search(tmp_path: Path) -> None:
    past = history(tmp_path)
    fill(past, 1, 2, back=1)
    past._parts()[1].wait()
    tomorrow = later(past, 1)
    seen(tomorrow, NOW + DAY, [{}])
    tomorrow._parts()[1].wait()
    assert len(files(tomorrow)) == 1
    assert recorded(tomorrow) == 1


def test_tidying_stops_when_its_time_is_up_and_goes_on_next_time(tmp_path: Path) -> None:
    past = history(tmp_path)
    for back in range(1, 4):
        days_of(past).store.add(frame({}), sample(NOW - back * DAY))
    upkeep = Upkeep(days_of(past), Keep(), past._clock)
    assert not days_of(past).tidy(TODAY, Keep(), go_on=lambda: len(files(past)) < 2)
    assert len(files(past)) == 2
    upkeep.now()
    assert len(files(past)) == 3


def test_what_a_killed_process_did_not_finish_is_swept_away(tmp_path: Path) -> None:
    import os

    past = history(tmp_path)
    fill(past, 1, back=1)
    past.tidy()
    folder = past.path / "day=2026-11-23"
    (old, new) = (folder / ".a.parquet.part", folder / ".b.parquet.part")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    past.tidy()
    assert not old.exists()
    assert new.exists()
    assert machines(past) == [1]


# -- open to others --------------------------------------------------------------------------------


def test_other_tools_open_the_files_as_they_are(tmp_path: Path) -> None:
    import duckdb

    past = history(tmp_path / "with 'quotes' and blanks")
    for back in range(1, 4):
        seen(past, NOW - back * DAY, [{"machine_id": back}, {"machine_id": back + 10}])
    past.tidy()
    pattern = str(past.path / "**" / "*.parquet")
    with duckdb.connect() as connection:
        (count, days) = connection.execute(
            "SELECT count(*), count(DISTINCT day) FROM read_parquet(?, hive_partitioning=true)",
            [pattern],
        ).fetchone()
    assert (count, days) == (6, 3)
    pads = pytest.importorskip("pyarrow.dataset")
    arrow = pads.dataset(past.path, format="parquet", partitioning="hive")
    assert arrow.count_rows() == 6
    assert arrow.schema.names[: len(KEPT)] == list(KEPT)


def test_polars_opens_the_files_as_they_are(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    past = history(tmp_path)
    fill(past, 5, back=1)
    past.tidy()
    assert polars.read_parquet(past.path / "**" / "*.parquet")["machine_id"].to_list() == [5]


def test_days_and_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    past = history(tmp_path)
    fill(past, 1, back=1)
    past.tidy()
    (past.path / "day=someday").mkdir()
    (past.path / "notes.txt").write_text("mine")
    (past.path / "day=2026-11-23" / "notes.txt").write_text("mine")
    past.tidy()
    assert machines(past) == [1]
    assert past.days() == [date(2026, 11, 23)]
    assert (past.path / "day=2026-11-23" / "notes.txt").exists()


def test_an_empty_answer_leaves_nothing(tmp_path: Path) -> None:
    past = history(tmp_path)
    past.add(frame_of_offers([]), sample())
    assert machines(past) == []
    assert list(tmp_path.rglob("*.sqlite")) == []
    assert past.days() == []


# -- from one computer to another ------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_exported_here_is_merged_there_once(tmp_path: Path) -> None:
    here, there = history(tmp_path / "here"), history(tmp_path / "there")
    for back in range(3):
        fill(here, back, back=back)
        fill(there, 10 + back, back=back)
    here.tidy()
    assert here.export(tmp_path / "past.parquet") == 3
    assert there.merge(tmp_path / "past.parquet") == 3
    assert machines(there) == [0, 1, 2, 10, 11, 12]
    assert there.merge(tmp_path / "past.parquet") == 0
    assert machines(there) == [0, 1, 2, 10, 11, 12]
    there.tidy()
    assert there.merge(tmp_path / "past.parquet") == 0
    assert len(there.frame(columns=["seen_at"])) == 6


def test_a_copy_of_a_whole_history_is_merged(tmp_path: Path) -> None:
    here, there = history(tmp_path / "here"), history(tmp_path / "there")
    for back in range(3):
        fill(here, back, back=back)
    here.tidy()
    here.close()
    assert there.merge(here.path.parent) == 3
    assert machines(there) == [0, 1, 2]
    assert there.merge(here.path.parent) == 0
    assert machines(history(tmp_path / "here")) == [0, 1, 2]


def test_part_of_a_history_can_be_exported(tmp_path: Path) -> None:
    past = history(tmp_path)
    seen(past, NOW, [{"machine_id": 1}, {"machine_id": 2, "gpu_name": "RTX 3090"}])
    assert past.export(tmp_path / "some.csv", "3090") == 1
    table = pd.read_csv(tmp_path / "some.csv")
    assert table["machine_id"].tolist() == [2]
    for name in ("some.csv", "some.xlsx", "no/where.parquet"):
        with pytest.raises(InvalidRequest, match="Nothing was written"):
            past.export(tmp_path / name)


def test_a_merge_that_makes_no_sense_changes_nothing(tmp_path: Path) -> None:
    past = history(tmp_path / "data")
    fill(past, 1)
    (tmp_path / "x.parquet").write_bytes(b"no")
    frame({}).astype("string").to_csv(tmp_path / "y.csv")
    made = history(tmp_path / "made")
    made.add(frame({"machine_id": 5}), sample(simulated=True))
    made.export(tmp_path / "made.parquet")
    for path, words in (
        (tmp_path / "x.parquet", "cannot be read"), (tmp_path / "none", "no price history"),
        (tmp_path / "made.parquet", "never mix"), (past.path.parent, "the same history"),
        (made.path.parent, "never mix"),
    ):  # fmt: skip
        with pytest.raises(HistoryError, match=words) as caught:
            past.merge(path)
        assert "Nothing was merged" in str(caught.value)
    assert machines(past) == [1]


# -- histories of an earlier layout ----------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> History:
    """400 days of files as they were: finished ones whole, two that were not put together."""
    pytest.importorskip("pyarrow")
    past = history(tmp_path)
    for back in range(400):
        if back < 3:
            for i in range(4):
                earlier.snapshot(past.path, NOW - back * DAY + i, 10 * back + i)
        else:
            earlier.whole(past.path, NOW - back * DAY, 10 * back)
    return past


def expected() -> list[int]:
    return sorted(
        [10 * b + i for b in range(3) for i in range(4)] + [10 * b for b in range(3, 400)]
    )


@pytest.mark.slow
def test_400_days_of_files_of_the_earlier_layout_are_all_there_at_first_open(old: History) -> None:
    assert machines(old) == expected()
    assert [p.parent.name for p in files(old) if not p.name.startswith("offers-")] == []
    assert len(files(old)) == 399
    assert recorded(old) == 4, "today's are in the store"
    assert machines(later(old, 0)) == expected()
    old.tidy()
    assert machines(old) == expected()


@pytest.mark.slow
def test_a_migration_that_was_cut_short_counts_nothing_twice(
    old: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # killed before the old files were removed
        patch.setattr("vastnb.market.history.earlier.unlink", lambda path: None)
        migrate(days_of(old), TODAY)
    left = [path for path in files(old) if not path.name.startswith("offers-")]
    assert len(left) == 12
    assert machines(later(old, 0)) == expected()
    assert [path for path in files(old) if not path.name.startswith("offers-")] == []


def test_files_that_an_earlier_compaction_left_behind_count_once(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    past = history(tmp_path)
    paths = [earlier.snapshot(past.path, NOW - DAY + i, i) for i in range(4)]
    earlier.compact(paths[:3])  # and was killed before it removed what it replaced
    assert machines(past) == [0, 1, 2, 3]
    past.tidy()
    assert machines(past) == [0, 1, 2, 3]
    assert len(files(past)) == 1


@pytest.mark.slow
def test_an_earlier_version_may_go_on_writing_beside_this_one(old: History) -> None:
    assert machines(old) == expected()
    earlier.snapshot(old.path, NOW + 50, 9999)
    earlier.snapshot(old.path, NOW - 5 * DAY + 50, 9998)
    assert machines(later(old, 0)) == sorted([*expected(), 9998, 9999])


def test_a_damaged_file_of_the_earlier_layout_costs_itself_alone(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    past = history(tmp_path)
    paths = [earlier.snapshot(past.path, NOW - DAY + i, i) for i in range(3)]
    damage(paths[1], footer=True)
    earlier.snapshot(past.path, NOW - 2 * DAY, 7)
    assert machines(past) == [7] or 7 in machines(past)
    assert machines(later(past, 0)) == [0, 2, 7]
    assert len(list(past.path.rglob(".*.unreadable"))) == 1


def test_the_services_figures_of_the_earlier_layout_move_too(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    past = history(tmp_path)
    earlier.metrics(past.path.with_name("metrics"), NOW - 3600, [0.5, 0.6])
    earlier.metrics(past.path.with_name("metrics"), NOW, [0.7, 0.8])  # imported again, later
    found = past.metrics("4090")
    assert found["avail_median"].tolist() == [0.7, 0.8]
    assert past.metrics("4090", verified="all").empty
    assert list(past.path.with_name("metrics").rglob("*.parquet")) == []
    assert later(past, 0).metrics("4090")["avail_median"].tolist() == [0.7, 0.8]


# -- the machine's time zone -----------------------------------------------------------------------

ZONE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.market.histories import NOW, history, seen
past = history(Path(sys.argv[1]))
seen(past, NOW + 13 * 3600, [{}])  # one o'clock of the next day, UTC
sql = '''SELECT seen_at, date_trunc('day', seen_at) AS day, CAST(seen_at AS TIMESTAMP) AS plain,
    CAST(seen_at AS DATE) AS date, hour(seen_at) AS hour,
    seen_at AT TIME ZONE 'Europe/Berlin' AS berlin FROM history'''
row = past.frame(sql=sql).iloc[0]
print(*(row[name].isoformat() if name != "hour" else row[name] for name in row.index))
"""


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
def test_own_questions_mean_utc_in_every_time_zone_of_the_machine(
    tmp_path: Path, zone: str
) -> None:
    import os

    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", ZONE, str(tmp_path), root], capture_output=True, text=True,
        check=False, timeout=60, env={**os.environ, "TZ": zone, "PYTHONPATH": root}, cwd=root,
    )  # fmt: skip
    assert done.stdout.split() == [
        "2026-11-25T01:00:00+00:00", "2026-11-25T00:00:00+00:00", "2026-11-25T01:00:00",
        "2026-11-25T00:00:00", "1", "2026-11-25T02:00:00",
    ], done.stderr  # fmt: skip


def test_moments_are_whole_to_the_microsecond(tmp_path: Path) -> None:
    past = history(tmp_path)
    moment = datetime(2026, 11, 24, 11, 59, 59, 999_999, tzinfo=UTC)
    past.add(frame({}), sample(moment.timestamp()))
    assert past.frame()["seen_at"].iloc[0] == moment


def test_an_engine_that_is_closed_during_a_question_still_answers_it() -> None:
    engine, source = Engine(), Source((), None, {"machine_id": "BIGINT"})
    asked, closed = threading.Event(), threading.Event()

    def take(cursor: Any) -> Any:
        asked.set()
        assert closed.wait(10)
        return cursor.fetchone()

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(engine._do, source, "SELECT 7", None, take)
        assert asked.wait(10)
        engine.close()
        closed.set()
        assert answer.result() == (7,)
    assert engine.run(source, "SELECT 1") == (1,)  # and it opens again
    engine.close()


def test_a_simulated_past_that_has_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    past = History(tmp_path, "http://localhost:1", ManualClock(NOW), Line(simulated=True))
    fill(past, 1)
    made = past.path.parents[2]
    past.close()
    with pytest.raises(HistoryError, match="has ended"):  # by a search that was on its way
        fill(past, 2)
    assert not made.exists()


def test_a_search_that_ends_after_its_client_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path))
    recorder = Recorder(Line(), Keep(), REAL, ManualClock(NOW))
    recorder.close()
    found = frame({})
    found.attrs["vastnb"] = {"truncated": False, "query": ""}
    recorder(found, {"type": "on-demand"}, [Answer(200, b"", datetime.now(UTC), key="k")])
    assert list(tmp_path.iterdir()) == []
    assert list(recwarn) == []


def test_rows_of_today_that_were_read_are_read_again_when_somebody_writes(tmp_path: Path) -> None:
    past, other = history(tmp_path), history(tmp_path)
    fill(past, 1)
    assert machines(past) == [1]
    assert machines(past) == [1]
    fill(past, 2)
    assert machines(past) == [1, 2]
    fill(other, 3)
    assert machines(past) == [1, 2, 3]
    later(other, 1).tidy()  # now they are in the file of the day
    assert machines(past) == [1, 2, 3]
    assert past.frame(columns=["query"], limit=2)["query"].tolist() == ["", ""]
