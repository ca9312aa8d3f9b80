"""A chart is a pure function of its frame: safe text, one renderer, no nonsense in the picture."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vastnb.widgets
from vastnb.market.frames.offers import frame_of_offers
from vastnb.sim.payload_texts import PAYLOADS
from vastnb.widgets.prices import charts, frames, scene
from vastnb.widgets.prices.scene import ATTRIBUTES, TAGS, Scale, palette, to_svg
from vastnb.widgets.prices.trend import trend as trend_chart

SCENE = Path(vastnb.widgets.__file__).parent / "prices" / "scene.js"
BASE = {"num_gpus": 1, "gpu_name": "RTX 4090", "gpu_ram": 24564, "dph_total": 0.4, "dlperf": 80.0,
        "geolocation": "Sweden, SE", "verification": "verified"}  # fmt: skip


def market(*rows: dict[str, Any]) -> pd.DataFrame:
    return frame_of_offers(
        [{**BASE, "id": i, "machine_id": i, **row} for i, row in enumerate(rows)]
    )


def trend(*names: str, spans: int = 6) -> pd.DataFrame:
    at = pd.date_range("2026-11-01", periods=spans, freq="6h", tz="UTC")
    rows = [
        {"at": t, "gpu_name": name, "gpu_ram_gb": 24, "low": 0.2, "q10": 0.3, "q25": 0.35,
         "median": 0.4 + 0.01 * i, "q75": 0.5, "q90": 0.6, "high": 0.9, "machines": 40,
         "offers": 60, "snapshots": 1}
        for name in names for i, t in enumerate(at)
    ]  # fmt: skip
    return pd.DataFrame(rows) if rows else frames.empty_trend()


def all_four(frame: pd.DataFrame, names: list[str], width: float = 500, per: str = "gpu") -> list:
    colours = dict(zip(names, palette(), strict=False))
    return [
        charts.distribution(frames.distribution(frame, per), colours, width, per),
        charts.performance(frames.performance(frame, per), colours, width, per),
        trend_chart(trend(*names[:3]), colours, width, 14),
        charts.countries(frames.countries(frame), width, one_model=len(names) == 1),
    ]


def walk(node: list) -> Any:
    yield node
    if not isinstance(node[2], str):
        for child in node[2]:
            yield from walk(child)


def texts(picture: list) -> str:
    return " | ".join(node[2] for node in walk(picture) if isinstance(node[2], str) and node[2])


def test_page_and_copy_let_through_the_same_tags_and_attributes() -> None:
    source = SCENE.read_text(encoding="utf-8")
    tags, attributes = (
        set(re.findall(r'"([\w-]+)"', re.search(rf"{name} = new Set\(\[(.*?)\]", source, re.S)[1]))
        for name in ("SCENE_TAGS", "SCENE_ATTRIBUTES")
    )
    assert tags == TAGS and attributes == ATTRIBUTES
    assert not attributes & {"style", "href", "onclick", "onload", "id"}
    assert "innerHTML" not in source


@pytest.mark.parametrize("payload", PAYLOADS)
def test_text_from_hosts_is_only_ever_text(payload: str) -> None:
    rows = [{"gpu_name": payload, "geolocation": payload, "dph_total": 0.2 + i / 50}
            for i in range(6)]  # fmt: skip
    for picture in all_four(market(*rows, {}), [payload, "RTX 4090"]):
        svg = to_svg(picture)
        root = ET.fromstring(re.sub(r"[\x00-\x08\x0b-\x1f]", "", svg))
        for element in root.iter():
            assert element.tag.rpartition("}")[2] in TAGS
            assert not [name for name in element.attrib if name.lower().startswith("on")]
        assert "tip=" not in svg and "gpu=" not in svg
        json.dumps(picture)


def test_what_is_on_no_list_is_left_out() -> None:
    bad = ["svg", {"onload": "x()", "style": "y", "width": '"><b>'}, [["script", {}, "alert(1)"],
           ["text", {"x": "1"}, "<b>&"]]]  # fmt: skip
    assert (
        to_svg(bad).count("<") == 4 and "script" not in to_svg(bad) and "onload" not in to_svg(bad)
    )
    assert "&lt;b&gt;&amp;" in to_svg(bad)


def test_a_machine_is_one_dot_and_nonsense_is_none() -> None:
    frame = market(
        {"machine_id": 1, "num_gpus": 4, "dph_total": 1.6}, {"machine_id": 1, "dph_total": 0.41},
        {"machine_id": 2}, {"dph_total": 0.0}, {"dph_total": 1e9}, {"dlperf": 0.0},
    )  # fmt: skip
    assert frames.distribution(frame)["price"].tolist() == [0.4, 0.4, 0.4]
    assert len(frames.distribution(frame, "offer")) == 4
    assert len(frames.performance(frame)) == 2  # no benchmark, no dot
    assert list(frames.by_machines(frame)) == ["RTX 4090"]


def test_the_front_of_the_chart_is_that_of_the_frame() -> None:
    frame = market({"dph_total": 0.2, "dlperf": 50.0}, {}, {"dph_total": 0.5, "dlperf": 70.0})
    table = frames.performance(frame)
    assert table["pareto"].tolist() == [True, True, False]
    picture = charts.performance(table, {"RTX 4090": "#123456"}, 500)
    rings = [n for n in walk(picture) if n[0] == "circle" and n[1].get("fill") == "none"]
    assert len(rings) == 2


def test_a_country_is_compared_with_the_same_gpus_elsewhere() -> None:
    rows = [{"geolocation": "Sweden, SE", "dph_total": 0.3}] * 3
    rows += [{"geolocation": "Japan, JP", "dph_total": 0.6}] * 3
    rows += [{"geolocation": "Japan, JP", "gpu_name": "H100", "dph_total": 3.0}] * 9
    table = frames.countries(market(*rows, {"geolocation": None}))
    against = dict(zip(table["country"], table["against_market"], strict=True))
    assert against["JP"] == pytest.approx(1.0)  # most of what it has is priced as everywhere
    assert against["SE"] < 1 and table["machines"].tolist() == [12, 3]


@pytest.mark.parametrize("width", [260, 420, 560, 1400])
@pytest.mark.parametrize("per", ["gpu", "offer"])
def test_nothing_is_drawn_outside_of_the_picture(width: int, per: str) -> None:
    rng = np.random.default_rng(1)
    names = [f"RTX {n}" for n in (3060, 3090, 4090, 5090, "PRO 6000 Blackwell")]
    rows = [{"gpu_name": names[i % 5], "dph_total": float(rng.lognormal(-1, 1)),
             "dlperf": float(rng.lognormal(4, 1)), "geolocation": f"X, {'ABCDE'[i % 5]}S"}
            for i in range(200)]  # fmt: skip
    for picture in all_four(market(*rows), names, width, per):
        assert float(picture[1]["width"]) == width
        for tag, attributes, _ in walk(picture):
            for name in ("x", "cx", "x1", "x2"):
                if name in attributes and tag != "text":
                    assert -1 <= float(attributes[name]) <= width + 1, (tag, attributes)


def test_nothing_to_show_is_said_in_words() -> None:
    nothing = [frame_of_offers([]), pd.DataFrame(), market({"dph_total": 0.0})]
    for frame in nothing:
        first, second, third, fourth = all_four(frame, [])
        assert "No prices to show" in texts(first) and "Nothing to compare" in texts(second)
        assert "No price history yet" in texts(third) and "No countries" in texts(fourth)
    why = trend_chart(trend(), {}, 500, 14, "The extra is missing.")
    assert "The extra is missing." in texts(why)


def test_two_sizes_of_memory_are_two_lines() -> None:
    both = pd.concat([trend("A100"), trend("A100").assign(gpu_ram_gb=80)], ignore_index=True)
    said = texts(trend_chart(both, {}, 600, 14))
    assert "A100 24 GB" in said and "A100 80 GB" in said


@given(st.floats(1e-4, 1e5), st.floats(1.0001, 1e6), st.integers(2, 12))
def test_ticks_are_few_ascending_and_inside(low: float, ratio: float, most: int) -> None:
    scale = Scale(low, low * ratio, 0, 100)
    ticks = scale.ticks(most)
    assert ticks == sorted(set(ticks))
    assert all(scale.low * 0.999 <= tick <= scale.high * 1.001 for tick in ticks)
    assert len(ticks) <= max(most + 2, 12)
    assert 0 <= scale(low) <= scale(low * ratio) <= 100


def test_thousands_of_offers_stay_a_small_message() -> None:
    rng = np.random.default_rng(1)
    pairs = np.exp(rng.normal([-1, 4], 1, (6000, 2))).tolist()
    rows = [{"dph_total": price, "dlperf": speed} for price, speed in pairs]
    pictures = all_four(market(*rows), ["RTX 4090"])
    assert sum(len(json.dumps(picture)) for picture in pictures) < 400_000
    assert "of 6,000 drawn" in texts(pictures[1])


def test_the_palette_is_the_one_of_the_page() -> None:
    assert len(palette()) >= 7 and all(re.search(r"#[0-9a-f]{6}", c) for c in palette())
    assert scene.INK == "currentColor"  # reads on white and on black


def test_where_nobody_looked_for_days_no_line_is_drawn() -> None:
    frame = trend("RTX 4090", spans=40)
    assert drawn_lines(frame) == 1
    assert drawn_lines(frame.drop(index=range(10, 25))) == 2


def drawn_lines(frame: pd.DataFrame) -> int:
    picture = trend_chart(frame, {"RTX 4090": "#123456"}, 500, 14)
    groups = [n for n in walk(picture) if n[0] == "g" and n[1].get("fill") == "none"]
    return sum(len(group[2]) for group in groups)
