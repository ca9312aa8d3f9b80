"""The service's own figures on GPU models: frames with fixed columns, and kept when asked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vastnb
from tests.market.histories import NOW
from vastnb.clock import ManualClock
from vastnb.errors import AuthError, InvalidRequest
from vastnb.market.service_figures import CURRENT, OVER_TIME, current_frame, history_frame


@pytest.fixture
def client() -> Iterator[vastnb.Client]:
    with vastnb.demo(clock=ManualClock(NOW), speed=1, machines=200, limits=None) as client:
        yield client


def test_current_figures_are_one_row_for_each_model(client: vastnb.Client) -> None:
    frame = client.gpu_metrics(verified="all")
    assert list(frame) == list(CURRENT)
    assert frame["gpu_name"].is_unique
    assert (frame["available"] <= frame["total"]).all()
    assert frame.attrs["vastnb"]["simulated"] is True
    assert len(client.gpu_metrics(verified="no")) < len(frame)


def test_trends_are_one_row_for_each_model_and_moment(client: vastnb.Client) -> None:
    frame = client.gpu_trends(["4090", "3090"], days=2, every="6h")
    assert list(frame) == ["at", "gpu_name", *OVER_TIME]
    assert frame["gpu_name"].unique().tolist() == ["RTX 4090", "RTX 3090"]
    steps = frame[frame["gpu_name"] == "RTX 4090"]["at"].diff().dropna().unique()
    assert steps.tolist() == [pd.Timedelta(hours=6)]
    assert (frame["at"] >= pd.Timestamp(NOW - 3 * 86_400, unit="s", tz="UTC")).all()
    assert len(client.gpu_trends("4090")) in range(15, 25)


def test_the_same_question_within_minutes_is_answered_from_the_cache(
    client: vastnb.Client,
) -> None:
    client.gpu_trends("4090", days=7)
    assert client.gpu_trends("RTX_4090", days=7).attrs["vastnb"]["from_cache"]


@pytest.mark.parametrize(
    "options",
    [{"verified": True}, {"hosting_type": "datacenter"}, {"num_gpus": 3}, {"days": -1},
     {"every": "soon"}, {"gpu": "RTX 40900"}, {"gpu": []}],
)  # fmt: skip
def test_what_the_service_does_not_know_is_refused_before_it_is_sent(
    client: vastnb.Client, options: dict[str, Any]
) -> None:
    assert client.server is not None
    before = client.server.calls()
    with pytest.raises(InvalidRequest):
        client.gpu_trends(**options)
    assert client.server.calls() == before


def test_an_account_that_may_not_see_them_is_told_so(client: vastnb.Client) -> None:
    assert client.server is not None
    url, clock = client.server.url, ManualClock(NOW)
    with vastnb.Client("0" * 64, base_url=url, cache=None, clock=clock) as stranger:
        with pytest.raises(AuthError):
            stranger.history.import_metrics("4090")
        assert stranger.history.metrics("4090").empty


def test_imported_figures_are_kept_once_as_last_imported(client: vastnb.Client) -> None:
    history = client.history
    assert history.metrics().empty
    rows = history.import_metrics(["4090", "3090"], days=5)
    assert len(history.metrics()) == rows
    history.import_metrics("4090", days=5)
    assert len(history.metrics()) == rows
    asked = client.gpu_trends("4090", days=5, every="6h")
    kept = history.metrics("4090")
    pd.testing.assert_frame_equal(kept, asked)
    assert history.metrics("4090", verified="all").empty
    assert len(history.metrics("4090", days=2)) < len(kept)
    assert history.frame().empty, "they stand apart from what searches saw"
    assert history.metrics("L4").dtypes.to_dict() == kept.dtypes.to_dict()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
series = st.dictionaries(
    st.sampled_from(["timestamps", "total", "avail_median", "new"]),
    json_values | st.lists(st.integers(0, 2 * 10**9) | st.none() | st.floats(0, 1), max_size=4),
)
answers = json_values | st.fixed_dictionaries(
    {"gpus": json_values | st.dictionaries(
        st.sampled_from(["RTX 4090", "L4"]),
        json_values | st.fixed_dictionaries({}, optional={"supply_demand": series,
                                                          "pricing": series}),
    )}
)  # fmt: skip


@given(data=answers)
@example(data={"gpus": {"L4": {"pricing": {"timestamps": [9_223_372_036_855.0, -1, 1e300]}}}})
def test_no_answer_breaks_the_frames(data: Any) -> None:
    for build, columns in ((current_frame, CURRENT), (history_frame, OVER_TIME)):
        frame = build(data)
        assert set(columns) <= set(frame)
        assert all(frame[name].dtype == dtype for name, dtype in columns.items())


def test_series_of_unequal_length_lose_nothing() -> None:
    answer = {"gpus": {"L4": {
        "supply_demand": {"timestamps": [100, 200], "total": [5]},
        "pricing": {"timestamps": [200, 300], "avail_median": [0.5, 0.6, 0.7]},
    }}}  # fmt: skip
    frame = history_frame(answer)
    assert frame["at"].dt.second.tolist() == [40, 20, 0]
    assert frame["total"].tolist() == [5, pd.NA, pd.NA]
    assert frame["avail_median"].tolist() == [pd.NA, 0.5, 0.6]
