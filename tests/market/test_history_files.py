"""The files of the price history: whole or not at all, counted once, private, open to all."""

from __future__ import annotations

import json
import math
import stat
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market.histories import DAY, NOW, frame, history, row, sample, seen
from vastnb.market.history import Keep
from vastnb.market.history.columns import KEPT, frame_from, schema, table_of
from vastnb.market.history.compaction import compact, heal, sole
from vastnb.market.history.dataset import WHOLE, Dataset, current, file_name, names_in, write
from vastnb.market.history.engine import Engine
from vastnb.market.history.upkeep import Upkeep
from vastnb.market.offers import frame_of_offers

MOMENT = datetime.fromtimestamp(NOW, UTC)
ENGINE = Engine()


def machines(dataset: Dataset) -> list[int]:
    found = ENGINE.ask(dataset.listing(), "SELECT machine_id FROM {rows} ORDER BY ALL")
    return found["machine_id"].tolist()


def fill(dataset: Dataset, *ids: int, at: float = NOW) -> list[Path]:
    paths = [dataset.add(table_of(frame({"machine_id": i}), sample(at + i)), MOMENT) for i in ids]
    return [path for path in paths if path is not None]


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


@settings(deadline=None, max_examples=60)
@given(rows=rows_of_nonsense)
def test_whatever_the_service_sends_comes_back_as_it_was(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    dataset = Dataset(tmp_path_factory.mktemp("nonsense"))
    offers = frame_of_offers(rows)
    path = dataset.add(table_of(offers, sample()), MOMENT)
    assert (path is None) is (not rows)
    back = frame_from(ENGINE.ask(dataset.listing(), "SELECT * FROM {rows}"))
    assert list(back) == list(KEPT)
    assert {name: str(dtype) for name, dtype in back.dtypes.items()} == {
        name: column.dtype for name, column in KEPT.items()
    }
    assert len(back) == len(offers)
    for name, column in KEPT.items():
        if not column.whole and name != "verified":
            want = [None if value is None else value for value in _plain(offers[name])]
            got = _plain(back[name])
            if column.dtype == "string":
                want = [w and w.encode("utf-8", "replace").decode() for w in want]
            assert got == want, name
    flags = [None if v is None else v == "verified" for v in _plain(offers["verification"])]
    assert _plain(back["verified"]) == flags


def _plain(column: Any) -> list[Any]:
    return [None if missing else value for value, missing in
            zip(column.tolist(), column.isna().tolist(), strict=True)]  # fmt: skip


def test_half_a_surrogate_pair_does_not_cost_the_snapshot(tmp_path: Path) -> None:
    past = history(tmp_path)
    seen(past, NOW, [{"gpu_name": "RTX \ud800"}])
    assert past.frame()["gpu_name"].tolist() == ["RTX ?"]


def test_a_row_takes_a_few_bytes_in_a_finished_day(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    for i in range(6):
        many = frame(*({"machine_id": m, "dph_base": 0.3 + m / 997} for m in range(400)))
        dataset.add(table_of(many, sample(NOW + 60 * i)), MOMENT)
    compact(dataset.day(MOMENT.date()), MOMENT)
    (path,) = dataset.files()
    assert path.stat().st_size / 2400 < 16


# -- whole or not at all ---------------------------------------------------------------------------


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(tmp_path)
    fill(dataset, 1)

    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        fill(dataset, 2)
    assert machines(dataset) == [1]
    assert len(list(tmp_path.rglob("*.parquet*"))) == 1


def test_a_file_that_is_being_written_is_seen_by_nobody(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    (path,) = fill(dataset, 1)
    unfinished = path.with_name(f".{path.name}x.part")
    unfinished.write_bytes(path.read_bytes()[:100])
    assert machines(dataset) == [1]
    assert pads.dataset(tmp_path, format="parquet", partitioning="hive").count_rows() == 1


def test_a_file_that_cannot_be_read_is_set_aside_and_told_of_once(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    _, broken = fill(dataset, 1, 2)
    broken.write_bytes(b"PAR1 no, it is not")
    with pytest.warns(UserWarning, match="1 file.* cannot be read and were set aside"):
        assert machines(dataset) == [1]
    assert machines(dataset) == [1]
    assert broken.with_name(f".{broken.name}.unreadable").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    past = history(tmp_path / "data")
    seen(past, NOW, [{}])
    past.close()  # so that nothing is tidied away while it is looked at
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


# -- each row once ---------------------------------------------------------------------------------


def test_putting_files_together_changes_no_answer(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    fill(dataset, *range(10))
    assert compact(dataset.day(MOMENT.date()), MOMENT)
    (path,) = dataset.files()
    assert path.name.startswith(WHOLE)
    assert machines(dataset) == list(range(10))
    assert not compact(dataset.day(MOMENT.date()), MOMENT)
    fill(dataset, 10)  # of yesterday, by a kernel that was slow
    assert compact(dataset.day(MOMENT.date()), MOMENT)
    assert machines(dataset) == list(range(11))
    assert len(dataset.files()) == 1


def test_a_finished_day_lies_in_the_order_that_questions_want(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    for name in ("RTX 4090", "A100 SXM4", "RTX 3090"):
        dataset.add(table_of(frame({"gpu_name": name}, {"gpu_name": name}), sample()), MOMENT)
    compact(dataset.day(MOMENT.date()), MOMENT)
    (path,) = dataset.files()
    names = pq.ParquetFile(path).read()["gpu_name"].to_pylist()
    assert names == sorted(names)


def test_rows_count_once_whenever_a_compaction_is_cut_short(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    old = fill(dataset, *range(4))
    folder = dataset.day(MOMENT.date())
    kept = {path.name: path.read_bytes() for path in old}
    compact(folder, MOMENT)
    # As after a kill between the rename and any of the deletions.
    for count in range(len(kept) + 1):
        for name in list(kept)[:count]:
            (folder / name).write_bytes(kept[name])
        assert machines(dataset) == [0, 1, 2, 3]
    fill(dataset, 4)
    assert machines(dataset) == [0, 1, 2, 3, 4]
    compact(folder, MOMENT)  # the next one deletes what was left, and does not bring it back
    assert machines(dataset) == [0, 1, 2, 3, 4]
    assert len(names_in(folder)) == 1


def test_what_cannot_be_deleted_yet_stays_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(tmp_path)
    fill(dataset, *range(3))
    folder = dataset.day(MOMENT.date())
    unlink = Path.unlink

    def held(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".parquet" and not path.name.startswith((WHOLE, ".")):
            raise PermissionError("somebody reads it")
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", held)
        compact(folder, MOMENT)
        assert machines(dataset) == [0, 1, 2]
        fill(dataset, 3)
        compact(folder, MOMENT)
        assert machines(dataset) == [0, 1, 2, 3]
    assert heal(folder) == []
    assert machines(dataset) == [0, 1, 2, 3]
    assert len(names_in(folder)) == 1


def test_a_reader_asks_again_when_its_files_are_replaced_meanwhile(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    fill(dataset, *range(5))
    lists: list[list[str]] = []
    listing = dataset.listing()

    def files(again: bool = False) -> list[str]:
        lists.append(listing(again))
        if len(lists) == 1:  # between the listing and the reading
            compact(dataset.day(MOMENT.date()), MOMENT)
        return lists[-1]

    found = ENGINE.ask(files, "SELECT machine_id FROM {rows} ORDER BY ALL")
    assert found["machine_id"].tolist() == [0, 1, 2, 3, 4]
    assert len(lists) == 2


def test_a_day_too_large_for_one_file_is_put_together_in_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vastnb.market.history.compaction.ROWS_A_FILE", 10)
    dataset = Dataset(tmp_path)
    for i in range(9):
        many = frame(*({"machine_id": 10 * i + m} for m in range(3)))
        dataset.add(table_of(many, sample(NOW + i)), MOMENT)
    compact(dataset.day(MOMENT.date()), MOMENT)
    sizes = [pq.read_metadata(path).num_rows for path in dataset.files()]
    assert sum(sizes) == 27
    assert max(sizes) <= 10
    assert len(machines(dataset)) == len(set(machines(dataset))) == 27


def test_only_one_tidies_up_at_a_time(tmp_path: Path) -> None:
    with sole(tmp_path) as first, sole(tmp_path) as second:
        assert first
        assert not second
    with sole(tmp_path) as again:
        assert again


# -- bounded ---------------------------------------------------------------------------------------


def test_the_oldest_days_go_first_and_today_stays(tmp_path: Path) -> None:
    past = history(tmp_path, keep=Keep(days=3))
    for back in range(6):
        seen(past, NOW - back * DAY, [{"machine_id": back}])
    past.tidy()
    assert past.frame()["machine_id"].tolist() == [3, 2, 1, 0]
    tiny = history(tmp_path, keep=Keep(days=400, gb=1e-9))
    tiny.tidy()
    assert tiny.frame()["machine_id"].tolist() == [0]


def test_todays_files_are_put_together_when_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vastnb.market.history.upkeep.MANY", 5)
    past = history(tmp_path)
    for i in range(12):
        seen(past, NOW + i, [{"machine_id": i}])
    past.tidy()
    assert past.info()["files"] <= 5
    assert past.info()["rows"] == 12


def test_tidying_happens_by_itself_beside_the_search(tmp_path: Path) -> None:
    past = history(tmp_path)
    for back in (1, 2):
        fill_day(Dataset(past.path), back)
    assert past.info()["files"] == 4
    seen(past, NOW, [{}])
    past._keeper().wait()
    assert past.info()["files"] == 3


def test_tidying_stops_when_its_time_is_up_and_goes_on_next_time(tmp_path: Path) -> None:
    past = history(tmp_path)
    dataset = Dataset(past.path)
    for back in range(1, 4):
        fill_day(dataset, back)
    upkeep = Upkeep(dataset, Keep(), past._clock)
    assert not upkeep.tidy(budget=0.0)
    assert upkeep.tidy()
    assert len(dataset.files()) == 3


def fill_day(dataset: Dataset, back: int) -> None:
    moment = MOMENT - timedelta(days=back)
    for i in range(2):
        table = table_of(frame({"machine_id": i}), sample(NOW - back * DAY + i))
        dataset.add(table, moment)


def test_what_a_killed_process_did_not_finish_is_swept_away(tmp_path: Path) -> None:
    import os

    past = history(tmp_path)
    seen(past, NOW, [{}])
    folder = next(past.path.glob("day=*"))
    (old, new) = (folder / ".a.parquet.part", folder / ".b.parquet.part")
    past._keeper().wait()
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    past.tidy()
    assert not old.exists()
    assert new.exists()


# -- open to others --------------------------------------------------------------------------------


def test_other_tools_open_the_files_as_they_are(tmp_path: Path) -> None:
    import duckdb

    past = history(tmp_path / "with 'quotes' and blanks")
    for back in range(3):
        seen(past, NOW - back * DAY, [{"machine_id": back}, {"machine_id": back + 10}])
    past.tidy()
    arrow = pads.dataset(past.path, format="parquet", partitioning="hive")
    assert arrow.count_rows() == 6
    assert arrow.schema.names[: len(KEPT)] == schema().names
    pattern = str(past.path / "**" / "*.parquet")
    with duckdb.connect() as connection:
        (count, days) = connection.execute(
            "SELECT count(*), count(DISTINCT day) FROM read_parquet(?, hive_partitioning=true)",
            [pattern],
        ).fetchone()
    assert (count, days) == (6, 3)
    assert past.frame("4090").shape[0] == 6


def test_polars_opens_the_files_as_they_are(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    past = history(tmp_path)
    seen(past, NOW, [{"machine_id": 5}])
    assert polars.read_parquet(past.path / "**" / "*.parquet")["machine_id"].to_list() == [5]


def test_the_footer_tells_what_a_file_replaces(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    old = fill(dataset, 1, 2)
    compact(dataset.day(MOMENT.date()), MOMENT)
    (path,) = dataset.files()
    footer = pq.read_metadata(path).metadata
    assert json.loads(footer[b"vastnb.replaces"]) == sorted(one.name for one in old)


def test_days_and_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    fill(dataset, 1)
    (tmp_path / "day=someday").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    (dataset.day(MOMENT.date()) / "notes.txt").write_text("mine")
    assert machines(dataset) == [1]
    assert [day for day, _ in dataset.days()] == [date(2026, 11, 24)]


def test_an_empty_answer_leaves_no_file(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    assert dataset.add(table_of(frame_of_offers([]), sample()), MOMENT) is None
    assert dataset.files() == []
    assert current(tmp_path / "nowhere") == []
    assert math.isfinite(len(machines(dataset)))


def test_names_are_never_given_twice(tmp_path: Path) -> None:
    table = table_of(frame({}), sample())
    names = {file_name(MOMENT) for _ in range(1000)}
    assert len(names) == 1000
    write(table, tmp_path, "same.parquet")
    write(table, tmp_path, "same.parquet")  # over the old one, at a stroke
    assert names_in(tmp_path) == ["same.parquet"]
