"""Frames of instances: the same shape in every answer, and no secret in any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.conftest import SMALL, Api, fated
from vastnb.clock import ManualClock
from vastnb.fleet.env import env_names
from vastnb.fleet.records import INSTANCE_COLUMNS, WIRE_COLUMNS, frame_of_instances
from vastnb.fleet.status import Verdict
from vastnb.sim import Server

NOW = 1_790_000_000.0
SECRET = "hunter2"
ROW: dict[str, Any] = {
    "id": 45,
    "label": "train",
    "actual_status": "running",
    "intended_status": "running",
    "cur_state": "running",
    "next_state": "running",
    "status_msg": "success, running a_b/ssh\x1b[31m\n",
    "gpu_name": "RTX 4090",
    "num_gpus": 2,
    "gpu_util": 99.5,
    "gpu_temp": 61,
    "disk_usage": -1,
    "dph_total": 0.8,
    "instance": {"totalHour": 0.8, "gpuCostPerHour": 0.79},
    "start_date": NOW - 5400.25,
    "geolocation": "Quebec, CA",
    "machine_id": 9,
    "ssh_host": "ssh4.vast.ai",
    "ssh_port": 11610,
    "image_runtype": "ssh_proxy",
    "jupyter_token": SECRET,
    "instance_api_key": SECRET,
    "onstart": f"export A={SECRET}",
    "image_args": ["--password", SECRET],
    "extra_env": [["TOKEN", SECRET], ["-p 8000:8000", "1"], [f"OOPS={SECRET}", "1"]],
    "a_new_column": SECRET,
}


def dtypes(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return [(str(name), str(dtype)) for name, dtype in frame.dtypes.items()]


def test_an_empty_answer_has_the_same_columns_and_dtypes() -> None:
    empty, full = frame_of_instances([], now=NOW), frame_of_instances([ROW], now=NOW)
    assert dtypes(empty) == dtypes(full)
    assert list(empty.columns) == list(INSTANCE_COLUMNS)
    assert len(empty) == 0 and isinstance(empty.index, pd.RangeIndex)
    assert not any(dtype == "object" for _, dtype in dtypes(empty))
    names = {"Int64": "Int64", "Float64": "Float64", "boolean": "boolean", "string": "string",
             "datetime": "datetime64[us, UTC]"}  # fmt: skip
    for name, column in INSTANCE_COLUMNS.items():
        assert str(empty[name].dtype) == names[column.dtype], name
    assert INSTANCE_COLUMNS["dph_total"].unit == "$/h"


def test_a_record_becomes_a_row_with_a_verdict() -> None:
    row = frame_of_instances([ROW], now=NOW).iloc[0]
    assert (row["id"], row["label"], row["state"], row["machine_id"]) == (45, "train", "running", 9)
    assert row["age_hours"] == pytest.approx(1.5, abs=1e-3)
    assert row["start_at"] == pd.Timestamp(NOW - 5400.25, unit="s", tz="UTC")
    assert (row["gpu_util"], row["gpu_temp"], row["dph_now"]) == (99.5, 61.0, 0.8)
    assert (row["country"], row["ssh_address"]) == ("CA", "ssh4.vast.ai:11610")
    assert row["status_msg"] == "success, running a_b/ssh [31m"
    assert row["env_names"] == "TOKEN, -p 8000:8000, OOPS"
    assert pd.isna(row["disk_usage"]) and pd.isna(row["end_at"]) and pd.isna(row["is_bid"])


def test_the_verdict_of_a_watcher_wins() -> None:
    frame = frame_of_instances(
        [ROW, {**ROW, "id": 46}], now=NOW, verdicts={45: Verdict("stuck", "why", "wait")}
    )
    assert frame["state"].tolist() == ["stuck", "running"]
    assert frame.loc[0, "reason"] == "why"


def test_no_secret_is_in_a_frame() -> None:
    frame = frame_of_instances([ROW], now=NOW, provenance={"stale": False})
    assert SECRET not in frame.to_csv() + repr(frame.attrs)
    assert frame.attrs["vastnb"] == {"stale": False, "unfit": {}}
    secrets = {"jupyter_token", "instance_api_key", "onstart", "extra_env", "image_args"}
    assert secrets.isdisjoint(INSTANCE_COLUMNS)
    assert "jupyter_token" not in WIRE_COLUMNS and "instance_api_key" not in WIRE_COLUMNS


def test_the_names_of_an_environment_are_kept_in_both_forms() -> None:
    assert env_names({"A": "x", "-p 1:1": "1"}) == env_names([["A", "x"], ["-p 1:1", "1"]])
    for odd in (None, 3, "A=x", [["A"], [], None, [1, 2]]):
        assert set(env_names(odd)) <= {"A"}


def test_what_a_column_cannot_hold_is_missing_and_counted() -> None:
    frame = frame_of_instances([{**ROW, "gpu_temp": "hot", "id": 2**70}, "no row"], now=NOW)
    assert len(frame) == 1 and pd.isna(frame.loc[0, "gpu_temp"]) and pd.isna(frame.loc[0, "id"])
    assert frame.attrs["vastnb"]["unfit"] == {"id": 1, "gpu_temp": 1, "(row)": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=5,
)
rows = st.lists(st.dictionaries(st.sampled_from(sorted(ROW)), json_values) | json_values)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(rows)
def test_every_answer_makes_a_frame_of_the_same_shape(answer: Any) -> None:
    frame = frame_of_instances(answer, now=NOW)
    assert dtypes(frame) == dtypes(frame_of_instances([], now=NOW))
    assert len(frame) == sum(isinstance(row, dict) for row in answer)


def test_the_frame_of_a_simulated_answer() -> None:
    with Server(clock=ManualClock(), speed=1.0, limits=None, machines=SMALL) as server:
        api = Api(server)
        number = fated(api, "cached", env={"PASSWORD": SECRET}, label="mine")
        api.until(number, "running")
        path = "/api/v1/instances/"
        whole = api("GET", path).json()["instances"]
        thin = api("GET", path, select_cols=json.dumps(WIRE_COLUMNS)).json()["instances"]
        now = server.world.now()
    frame = frame_of_instances(whole, now=now)
    pd.testing.assert_frame_equal(frame, frame_of_instances(thin, now=now))
    assert frame.attrs["vastnb"]["unfit"] == {}
    assert SECRET not in frame.to_csv() and whole[0]["jupyter_token"] not in frame.to_csv()
    assert frame.loc[0, ["state", "label"]].tolist() == ["running", "mine"]
    assert 0 < frame.loc[0, "age_hours"] < 0.1


def test_recorded_records_make_a_frame(recorded_dir: Path) -> None:
    path = recorded_dir / "data" / "instances_7_states.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    frame = frame_of_instances(recorded, now=NOW)
    assert frame.attrs["vastnb"]["unfit"] == {}
    assert frame["state"].tolist() == [
        "running", "starting", "outbid", "starting", "starting", "running", "failed"
    ]  # fmt: skip
    assert frame["dph_total"].notna().all()
    assert "REDACTED" not in frame.to_csv()
