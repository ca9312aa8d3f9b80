"""A frame to trust: every row, no value altered, the same columns and dtypes in every answer."""

from __future__ import annotations

import copy
import json
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vastnb.market.frames.arrays import json_text
from vastnb.market.frames.offers import concat_offers, frame_of_offers
from vastnb.market.tables.schema import COLUMNS, UNITS, shown

RAW = [name for name, column in COLUMNS.items() if column.derived is None]
SPELT_OUT = {"string": pd.StringDtype("python"), "datetime": "datetime64[us, UTC]"}


def is_missing(value):
    return value is None or (isinstance(value, float) and math.isnan(value))


def no_objects(frame):
    return "object" not in dtypes_of(frame).values()


def dtypes_of(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize("columns", ["default", "all"])
def test_every_real_offer_arrives_with_no_value_altered(columns, offers_2024, offers_2026):
    for rows in (offers_2024, offers_2026, offers_2024 + offers_2026):
        frame = frame_of_offers(rows, columns=columns)
        assert len(frame) == len(rows)
        assert frame.attrs["vastnb"]["unfit"] == {}
        for name in frame.columns.intersection(RAW):
            for cell, row in zip(frame[name].tolist(), rows, strict=True):
                value = row.get(name)
                if is_missing(value):
                    assert cell is pd.NA
                elif COLUMNS[name].nested:
                    assert json.loads(cell) == value
                else:
                    assert cell == value, name


@pytest.mark.parametrize("columns", ["default", "all"])
def test_dtypes_are_the_same_in_every_answer_and_never_object(columns, offers_2024, offers_2026):
    empty = frame_of_offers([], columns=columns)
    wanted = {c.name: c.dtype for c in shown(columns)}
    assert list(empty) == list(wanted)
    for rows in ([], offers_2024, offers_2026, offers_2024[:1], [{}], [{"id": None}], [{"id": 5}]):
        frame = frame_of_offers(rows, columns=columns)
        assert dtypes_of(frame) == dtypes_of(empty)
        assert isinstance(frame.index, pd.RangeIndex) and len(frame.index) == len(rows)
    for name, dtype in wanted.items():
        want = {"string": pd.StringDtype("python"), "datetime": "datetime64[us, UTC]"}.get(
            dtype, dtype
        )
        assert empty[name].dtype == want, name
    assert no_objects(empty)


def test_the_schema_knows_every_column_of_the_real_offers(offers_2024, offers_2026):
    assert {name for row in offers_2024 + offers_2026 for name in row} == set(RAW)
    assert len(RAW) == 100


@pytest.mark.parametrize("columns", ["default", "all"])
@pytest.mark.parametrize(
    ("kind", "word"),
    [("on-demand", "on-demand"), ("bid", "interruptible"), ("interruptible", "interruptible"),
     ("reserved", "reserved"), (None, pd.NA)],
)  # fmt: skip
def test_every_row_says_what_its_price_is_for(kind, word, columns):
    asked = {"type": kind, "storage_gb": 30}
    for rows in ([{"id": 1}, {"id": 2}], [{"id": 1}], []):
        frame = frame_of_offers(rows, columns=columns, provenance=asked)
        assert frame["rental_type"].tolist() == [word] * len(rows)
        assert frame["storage_gb"].tolist() == [30.0] * len(rows)
        assert frame["rental_type"].dtype == pd.StringDtype("python")
        assert frame["storage_gb"].dtype == "Float64"


def test_derived_columns(offers_2024, offers_2026):
    for row, (_, cells) in zip(
        offers_2024 + offers_2026,
        frame_of_offers(offers_2024 + offers_2026, columns="all").iterrows(),
        strict=True,
    ):
        assert cells["dph_gpu"] == row["dph_total"] / row["num_gpus"]
        assert cells["country"] == row["geolocation"].split(",")[-1].strip()
        assert cells["datacenter"] == (row["hosting_type"] == 1)
        assert cells["duration_days"] == row["duration"] / 86400
        assert cells["cpu_ram_gb"] == row["cpu_ram"] / 1000
        assert cells["end_at"].timestamp() == pytest.approx(row["end_date"], abs=1e-6)
    assert set(UNITS) >= {"gpu_ram_gb", "dph_gpu", "duration_days", "cpu_ram_gb", "end_at"}


@pytest.mark.parametrize(
    ("place", "country"),
    [("Sweden, SE", "SE"), (", US", "US"), ("Korea, Republic of, KR", "KR"), ("DE", "DE"),
     ("Atlantis", None), ("", None), (None, None), ("x, <b>", None), ("Region, Usa", None)],
)  # fmt: skip
def test_the_country_is_the_last_part_if_it_is_one(place, country):
    cell = frame_of_offers([{"geolocation": place}])["country"][0]
    assert cell is pd.NA if country is None else cell == country


def test_nothing_derived_is_made_up():
    frame = frame_of_offers([{}, {"dph_total": 1.0, "num_gpus": 0}], columns="all")
    derived = [c.name for c in COLUMNS.values() if c.derived]
    assert frame[derived].isna().all(axis=None)


@pytest.mark.parametrize(
    ("seconds", "time"),
    [(4102444800.0, "2100-01-01"), (0, "1970-01-01"), (1e300, None), (-5, None),
     (float("inf"), None), (1730819367.677927, "2024-11-05 15:09:27.677927")],
)  # fmt: skip
def test_times_are_utc_and_survive_the_year_2100(seconds, time):
    cell = frame_of_offers([{"end_date": seconds}])["end_at"][0]
    assert cell is pd.NaT if time is None else cell == pd.Timestamp(time, tz="UTC")


@pytest.mark.parametrize("whole", [2**53 + 1, -(2**63), 2**63 - 1, 4503599627370497])
def test_whole_numbers_stay_exact(whole):
    frame = frame_of_offers([{"id": whole}, {"id": None}, {"id": 1.0}, {"id": True}])
    assert frame["id"].tolist() == [whole, pd.NA, 1, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("id", 2**63), ("id", 10**400), ("id", 1.5), ("id", "abc"), ("id", [1]), ("id", 1e300),
     ("dph_total", "n/a"), ("dph_total", 2**53 + 1), ("dph_total", 10**400), ("dph_total", {}),
     ("rented", 2), ("rented", "yes"), ("num_gpus", float("inf"))],
)  # fmt: skip
def test_a_value_of_a_wrong_type_is_missing_but_not_lost(name, value):
    rows = [{name: value, "gpu_name": "A10"}, {name: 1, "gpu_name": "A10"}]
    frame = frame_of_offers(rows)
    assert frame[name].isna().tolist() == [True, False]
    assert dtypes_of(frame) == dtypes_of(frame_of_offers([]))
    assert frame.attrs["vastnb"]["unfit"] == {name: 1}
    everything = frame_of_offers(rows, columns="all")
    assert everything[f"{name}_text"].tolist() == [json_text(value), pd.NA]


def test_what_is_no_text_arrives_in_a_text_column_as_its_json():
    frame = frame_of_offers([{"cpu_name": 5}, {"cpu_name": ["a"]}, {"cpu_name": None}])
    assert frame["cpu_name"].tolist() == ["5", '["a"]', pd.NA]
    assert frame.attrs["vastnb"]["unfit"] == {"cpu_name": 2}


def test_infinity_is_a_number_and_nan_is_missing():
    rows = [{"dph_base": float("inf")}, {"dph_base": float("nan")}, {"cpu_name": float("nan")}]
    frame = frame_of_offers(rows)
    assert frame["dph_base"].tolist() == [float("inf"), pd.NA, pd.NA]
    assert frame["cpu_name"].isna().all()


def test_strings_of_hosts_stay_as_they_are():
    texts = [" Xeon® ", "<script>alert(1)</script>", "", "\ud800", "a\x00b", "\n"]
    frame = frame_of_offers([{"cpu_name": text} for text in texts])
    assert frame["cpu_name"].tolist() == texts


def test_new_columns_are_kept_behind_all():
    rows = [
        {"id": 1, "new_int": 1, "new_mixed": 1, "deep": {"b": 1, "a": [None]}},
        {"id": 2, "new_int": None, "new_mixed": "x", "new_float": 2, "country": "raw"},
        {"id": 3, "new_float": 1.5, "new_flag": True, "nothing": None, "big": 2**70},
    ]
    assert list(frame_of_offers(rows)) == list(frame_of_offers([]))
    frame = frame_of_offers(rows, columns="all")
    assert frame["new_int"].tolist() == [1, pd.NA, pd.NA] and frame["new_int"].dtype == "Int64"
    assert frame["new_float"].tolist() == [pd.NA, 2.0, 1.5]
    assert frame["new_flag"].dtype == "boolean"
    assert frame["new_mixed"].tolist() == ["1", "x", pd.NA]
    assert frame["deep"].tolist()[0] == '{"a":[null],"b":1}'
    assert frame["big"].tolist()[2] == str(2**70)
    assert frame["country_raw"].tolist() == [pd.NA, "raw", pd.NA]
    assert "nothing" in frame and no_objects(frame)


def test_rows_that_are_no_objects_arrive_too():
    frame = frame_of_offers([{"id": 1}, None, "text", [1], 5], columns="all")
    assert frame["id"].tolist() == [1, *[pd.NA] * 4]
    assert frame["unexpected_row"].tolist() == [pd.NA, pd.NA, "text", "[1]", "5"]


def test_the_rows_are_not_changed_and_the_frame_is_its_own(offers_2026):
    rows = copy.deepcopy(offers_2026)
    frame = frame_of_offers(rows, columns="all")
    frame["dph_total"] = 0.0
    frame.loc[0, "gpu_name"] = "changed"
    assert rows == offers_2026


def test_provenance_is_json(offers_2026):
    frame = frame_of_offers(offers_2026, provenance={"query": "dph<1", "truncated": False})
    assert json.loads(json.dumps(frame.attrs["vastnb"])) == {
        "query": "dph<1", "truncated": False, "unfit": {},
    }  # fmt: skip
    assert frame.copy().attrs == frame.attrs


def test_a_misspelt_choice_of_columns_is_refused():
    with pytest.raises(ValueError, match="default"):
        frame_of_offers([], columns="every")


weird = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none() | st.integers(), max_size=2),
)
usual = {"Int64": st.integers(0, 9), "Float64": st.floats(0, 9), "boolean": st.booleans(),
         "string": st.text(max_size=3)}  # fmt: skip
names = st.sampled_from([*RAW, *COLUMNS, "new_a", "new_b", "id_text", "dph_total_text"])


@st.composite
def wild_rows(draw):
    rows = []
    for _ in range(draw(st.integers(0, 6))):
        row = {}
        for name in draw(st.lists(names, max_size=10, unique=True)):
            fits = usual.get(COLUMNS[name].dtype, weird) if name in COLUMNS else weird
            row[name] = draw(st.one_of(fits, fits, weird))
        rows.append(row)
    return rows


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(wild_rows())
def test_whatever_an_answer_holds_every_row_and_value_arrives(rows):
    before = copy.deepcopy(rows)
    small, frame = frame_of_offers(rows), frame_of_offers(rows, columns="all")
    assert dtypes_of(small) == dtypes_of(frame_of_offers([]))
    known = dtypes_of(frame_of_offers([], columns="all"))
    assert {name: dtype for name, dtype in dtypes_of(frame).items() if name in known} == known
    assert len(small) == len(frame) == len(rows)
    assert no_objects(frame)
    assert json_text(rows) == json_text(before)
    text = {name: frame[name].tolist() for name in frame if frame[name].dtype == "string"}
    for i, row in enumerate(rows):
        for name, value in row.items():
            column = name if name in RAW or name not in COLUMNS else f"{name}_raw"
            if is_missing(value):
                continue
            cell = frame[column][i]
            places = [cells[i] for other, cells in text.items() if other.startswith(name)]
            assert json_text(value) in [p for p in places if p is not pd.NA] or cell == value


def test_union_keeps_dtypes_and_says_which_search(offers_2024, offers_2026):
    facts = {"query": "a", "fetched_at": "2026-01-02", "stale": False, "from_cache": True}
    one = frame_of_offers(offers_2024, provenance=facts)
    facts = {"query": "b", "fetched_at": "2026-01-01", "stale": True, "stale_reason": "429"}
    two = frame_of_offers(offers_2026, provenance=facts)
    union = concat_offers({"x": one, "none": frame_of_offers([]), "y": two})
    assert dtypes_of(union) == {"query": "string", **dtypes_of(one)}
    assert union["query"].tolist() == ["x"] * len(one) + ["y"] * len(two)
    assert isinstance(union.index, pd.RangeIndex)
    back = union[union["query"] == "y"].drop(columns="query").reset_index(drop=True)
    pd.testing.assert_frame_equal(back, two)
    facts = union.attrs["vastnb"]
    assert facts["stale"] and facts["stale_reason"] == "429" and not facts["from_cache"]
    assert facts["fetched_at"] == "2026-01-01" and not facts["truncated"]
    assert json.loads(json.dumps(facts)) == facts


def test_union_of_nothing_has_the_columns():
    assert dtypes_of(concat_offers({})) == {"query": "string", **dtypes_of(frame_of_offers([]))}


def test_union_of_answers_that_disagree_about_a_new_column():
    one = frame_of_offers([{"id": 1, "new": 5}], columns="all")
    two = frame_of_offers([{"id": 2, "new": "five", "newer": 1.5}], columns="all")
    union = concat_offers({"a": one, "b": two})
    assert union["new"].tolist() == ["5", "five"]
    assert union["newer"].tolist() == [pd.NA, 1.5]
    assert no_objects(union)


def test_a_frame_takes_at_most_half_the_memory_of_an_untyped_one(offers_2024):
    typed = frame_of_offers(offers_2024).memory_usage(deep=True).sum()
    # Where pyarrow happens to be installed, pandas itself keeps text in its compact arrays.
    with pd.option_context("mode.string_storage", "python"):
        untyped = pd.DataFrame(offers_2024).memory_usage(deep=True).sum()
    assert typed <= 0.5 * untyped


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_an_answer_is_decoded_as_the_standard_library_would(value):
    from vastnb.api.answers import decode

    for ascii_only in (True, False):
        body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        assert repr(decode(body)) == repr(json.loads(body.decode("utf-8", "replace")))


@pytest.mark.parametrize(
    "text", ["[NaN]", "[1e400]", "[-Infinity]", '["\\ud800"]', "[123456789012345678901234567890]",
             '{"a":1,"a":2}', "[9007199254740993, 1E-7, -0.0]", "[1" + "0" * 400 + "]"],
)  # fmt: skip
def test_odd_json_is_decoded_as_the_standard_library_would(text):
    from vastnb.api.answers import decode

    assert repr(decode(text.encode())) == repr(json.loads(text))


@given(JSON)
def test_the_text_of_a_nested_value_is_its_json(value):
    text = json_text([value])
    assert repr(json.loads(text)) == repr(json.loads(json.dumps([value], sort_keys=True)))
