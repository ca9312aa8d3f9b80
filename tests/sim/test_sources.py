"""Offers that were recorded, and offers that mean mischief."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from vastnb.sim.market.recorded import read_offers
from vastnb.sim.payload_texts import BEACON, PAYLOADS
from vastnb.sim.payloads import HOST_TEXTS

from .conftest import MakeApi

Rows = list[dict[str, Any]]

ROWS: Rows = [
    {
        "id": 10 + size,
        "machine_id": 7,
        "gpu_ids": list(range(size)),
        "num_gpus": size,
        "gpu_name": "RTX 4090",
        "gpu_total_ram": 24564 * size,
        "dlperf": 70.0 * size,
        "total_flops": 80.0 * size,
        "dph_base": 0.4 * size,
        "dph_total": 0.4 * size + 0.2 / 720 * 5,
        "min_bid": 0.3 * size,
        "storage_cost": 0.2,
        "storage_total_cost": 0.2 / 720 * 5,
        "inet_down_cost": 0.001,
        "rentable": True,
        "a_new_column": {"of": "tomorrow"},
    }
    for size in (1, 2, 4)
]


def test_recorded_rows_come_back_as_they_are(make: MakeApi, offers_2024: Rows) -> None:
    api = make(offers=offers_2024, cap=None, quota=None)
    found = api.search(allocated_storage=5.0)
    assert found == offers_2024


def test_recorded_rows_of_today_come_back_as_they_are(make: MakeApi, offers_2026: Rows) -> None:
    api = make(offers=offers_2026, cap=None)
    assert api.search(allocated_storage=8.0) == offers_2026


def test_another_disk_reprices_and_alters_nothing_else(make: MakeApi, offers_2024: Rows) -> None:
    api = make(offers=offers_2024, cap=None, quota=None)
    for row, recorded in zip(api.search(allocated_storage=100.0), offers_2024, strict=True):
        assert row["storage_total_cost"] == recorded["storage_cost"] / 720 * 100
        assert row["dph_total"] == recorded["dph_base"] + row["storage_total_cost"]
        changed = {name for name in recorded if row[name] != recorded[name]}
        assert changed <= {
            "dph_total", "discounted_dph_total", "dph_total_adj", "storage_total_cost",
            "dlperf_per_dphtotal", "flops_per_dphtotal", "search", "instance", "vram_costperhour",
        }  # fmt: skip
        assert list(row) == list(recorded)


def test_a_file_of_offers_is_served(make: MakeApi, tmp_path: Path) -> None:
    path = tmp_path / "offers.json"
    path.write_text(json.dumps({"offers": ROWS}))
    api = make(offers=path)
    assert api.search(allocated_storage=5) == ROWS
    assert api.search(num_gpus={"gte": 2}, order=[["dph_total", "desc"]])[0]["id"] == 14
    bids = api.search(type="bid", allocated_storage=5)
    assert [row["dph_base"] for row in bids] == [row["min_bid"] for row in ROWS]


def test_offers_are_found_at_any_depth_and_nothing_is_an_error(tmp_path: Path) -> None:
    nested = {"captured": "today", "offers": {"ondemand": ROWS[:1], "bid": ROWS[1:]}}
    assert read_offers([nested]) == ROWS
    with pytest.raises(ValueError, match="no offers found"):
        read_offers([])


def test_recorded_offers_can_be_rented_and_exclude_each_other(make: MakeApi) -> None:
    api = make(offers=ROWS)
    instance = api.rent(11)
    assert api.search(rentable={"eq": True}) == []
    assert all(row["rented"] for row in api.search())
    assert api.create(14).status_code == 410
    api.until(instance, "running")
    api("DELETE", f"instances/{instance}/")
    assert len(api.search(rentable={"eq": True})) == 3


def test_recorded_offers_have_metrics_too(make: MakeApi) -> None:
    api = make(offers=ROWS)
    row = api("GET", "metrics/gpu/current/", verified="all").json()["gpus"][0]
    assert (row["gpu_name"], row["total"], row["price_median"]) == ("RTX 4090", 3, 0.4)
    history = api("GET", "metrics/gpu/history/", gpu_name="all", verified="all").json()["gpus"]
    assert history["RTX 4090"]["pricing"]["avail_median"][-1] == 0.4


def test_mischief_is_planted_in_every_text_of_hosts(make: MakeApi) -> None:
    api = make(payloads=True)
    rows = api.search()
    text = json.dumps(rows)
    for name in HOST_TEXTS:
        assert all(any(p in row[name] for p in PAYLOADS) for row in rows if name in row), name
    for one in PAYLOADS:
        assert json.dumps(one)[1:-1] in text
    names = {row["gpu_name"] for row in rows}
    assert any("__pwned" in name for name in names)
    assert api.search(gpu_name={"eq": "RTX 4090"}), "half of the names are left as they are"
    assert BEACON in text and "window.__pwned" in text and "\\u001b[31m" in text


def test_mischief_holds_what_readers_stumble_over(make: MakeApi) -> None:
    rows = make(payloads=True).search()
    assert any(isinstance(r["gpu_mem_bw"], float) and math.isnan(r["gpu_mem_bw"]) for r in rows)
    assert any("a_column_of_tomorrow" in row for row in rows)
    assert any("credit_discount_max" not in row for row in rows)


def test_mischief_is_in_status_messages_templates_and_logs(make: MakeApi) -> None:
    api = make(payloads=True)
    instance = api.rent()
    api.until(instance, "running")
    message = (api.show(instance) or {})["status_msg"]
    assert any(p in message for p in PAYLOADS)
    templates = api("GET", "template/").json()["templates"]
    assert all(any(p in row["name"] for p in PAYLOADS) for row in templates)
    url = api("PUT", f"instances/request_logs/{instance}/", {}).json()["result_url"]
    api.world.clock.sleep(3)
    import requests

    assert any(p in requests.get(url, timeout=5).text for p in PAYLOADS)


def test_recorded_offers_can_carry_mischief_too(make: MakeApi) -> None:
    rows = make(offers=ROWS, payloads=True).search()
    assert all(any(p in row["cpu_name"] for p in PAYLOADS) for row in rows)
    assert "cpu_name" not in ROWS[0]


def test_a_dump_in_another_shape_loads_with_a_word_about_what_is_missing() -> None:
    rows = [{"id": 1, "gpu_name": "A10", "num_gpus": 1, "machine_id": 5, "price_hour": 0.4,
             "storage_cost": 0.1}]  # fmt: skip
    with pytest.warns(UserWarning, match=r"no dph_total, dph_base.*price_hour"):
        assert len(read_offers(rows)) == 1
