"""GPU names in any spelling, and VRAM as it is printed on the box."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.errors import QueryError
from vastnb.market.query.query import parse_query
from vastnb.market.tables import vram
from vastnb.market.tables.gpus import FAMILIES, GPU_NAMES, complete, resolve


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("4090", "RTX 4090"),
        ("rtx4090", "RTX 4090"),
        ("RTX_4090", "RTX 4090"),
        ("rtx-4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("5090", "RTX 5090"),
        ("rtx 3090 ti", "RTX 3090 Ti"),
        ("4070 Ti Super", "RTX 4070S Ti"),
        ("4070 ti", "RTX 4070 Ti"),
        ("RTX 4080 SUPER", "RTX 4080S"),
        ("1080ti", "GTX 1080 Ti"),
        ("v100", "Tesla V100"),
        ("T4", "Tesla T4"),
        ("b200", "B200"),
        ("h200", "H200"),
        ("H200 nvl", "H200 NVL"),
        ("h100sxm", "H100 SXM"),
        ("H100_PCIe", "H100 PCIE"),
        ("a100 sxm", "A100 SXM4"),
        ("A6000", "RTX A6000"),
        ("rtx 6000 ada", "RTX 6000Ada"),
        ("RTX 6000 Ada Generation", "RTX 6000Ada"),
        ("6000ada", "RTX 6000Ada"),
        ("quadro rtx 6000", "Q RTX 6000"),
        ("l40s", "L40S"),
        ("MI300X", "InstinctMI300X"),
        ("4090d", "RTX 4090D"),
    ],
)
def test_a_gpu_is_found_by_any_spelling(spelling, name):
    assert resolve(spelling) == (name,)


@pytest.mark.parametrize("name", GPU_NAMES)
def test_every_name_is_found_in_lower_case_and_without_blanks(name):
    assert resolve(name.lower()) == (name,)
    assert resolve(name.replace(" ", "")) == (name,)
    assert resolve(name.replace(" ", "_")) == (name,)


def test_a_family_stands_for_its_cards_and_never_hides_a_name():
    assert resolve("H100") == ("H100 SXM", "H100 NVL", "H100 PCIE")
    assert resolve("a100") == ("A100 SXM4", "A100 PCIE")
    assert len(resolve("RTX PRO 6000")) == 3
    assert all(name in GPU_NAMES for names in FAMILIES.values() for name in names)
    assert not {name for name in GPU_NAMES if len(resolve(name)) > 1}
    assert parse_query("gpu_name!=H100").filters["gpu_name"] == {"notin": list(resolve("H100"))}


@pytest.mark.parametrize(
    ("spelling", "nearest"),
    [("RTX 4009", "RTX 4090"), ("rtx 6000", "RTX 6000Ada"), ("Tesla V10", "Tesla V100"),
     ("H10", "H100 SXM"), ("gtx 4090", "RTX 4090"), ("RTX4090Ti", "RTX 4090")],
)  # fmt: skip
def test_an_unknown_gpu_is_refused_with_the_nearest(spelling, nearest):
    with pytest.raises(QueryError) as caught:
        resolve(spelling)
    assert nearest in caught.value.suggestions


@pytest.mark.slow
@given(st.text(max_size=30))
def test_no_spelling_breaks_the_search_for_a_name(spelling):
    try:
        names = resolve(spelling)
    except QueryError:
        return
    assert set(names) <= set(GPU_NAMES)


def test_names_learned_elsewhere_count():
    assert resolve("rtx6090", ["RTX 6090"]) == ("RTX 6090",)
    assert "RTX 6090" in complete("609", ["RTX 6090"])


def test_completion_gives_the_likeliest_first():
    assert complete("4090")[0] == "RTX 4090"
    assert complete("H1") == ["H100 NVL", "H100 PCIE", "H100 SXM"]
    assert complete("") and complete("no such card") == []


@pytest.mark.parametrize(
    ("mb", "gb"),
    [
        (23028, 24), (23034, 24), (23040, 24), (24234, 24), (24564, 24), (24576, 24), (22528, 22),
        (11264, 11), (12282, 12), (12288, 12), (15360, 16), (16376, 16), (16384, 16), (20475, 20),
        (6138, 6), (6144, 6), (7979, 8), (8188, 8), (8192, 8), (10240, 10), (3072, 3), (4096, 4),
        (32607, 32), (32760, 32), (32768, 32), (40960, 40), (46068, 48), (49140, 48), (81559, 80),
        (81920, 80), (95830, 94), (97887, 96), (143771, 141), (183359, 180), (196592, 192),
        (97871, 96), (13000, 13),
    ],
)  # fmt: skip
def test_the_reported_vram_gives_the_size_on_the_box(mb, gb):
    assert vram.nominal(mb) == gb


def test_every_recorded_vram_gives_a_size_that_exists(recorded_dir):
    profile = json.loads((recorded_dir / "data" / "offer_profile.json").read_text())["per_gpu"]
    for name, facts in profile.items():
        for mb in facts["gpu_ram"]:
            size = vram.nominal(mb)
            assert size in vram.SIZES, (name, mb)
            assert size * 1024 * 0.93 <= mb <= size * 1024, (name, mb)


def test_24_gb_finds_every_card_sold_as_such_and_no_other():
    bounds = parse_query(gpu_ram_gb=24).body()["gpu_ram"]
    assert all(bounds["gte"] <= mb <= bounds["lte"] for mb in (23028, 23034, 24234, 24564, 24576))
    assert not any(bounds["gte"] <= mb <= bounds["lte"] for mb in (20475, 22528, 32607, 16384))


def test_a_literal_query_keeps_its_literal_24000_megabytes():
    assert parse_query("gpu_ram>=24").body()["gpu_ram"] == {"gte": 24000.0}


@given(st.integers(500, 500_000), st.sampled_from(vram.SIZES), st.sampled_from(vram.SIZES))
def test_the_range_that_is_sent_is_the_nominal_size(mb, low, high):
    low, high = sorted((low, high))
    # Bands begin on multiples of 125 MB; no card lies between two of them.
    mb -= mb % 125
    bounds = parse_query(gpu_ram_gb=(low, high)).filters["gpu_ram"]
    assert (bounds["gte"] <= mb <= bounds["lte"]) == (low <= vram.nominal(mb) <= high)


@given(st.integers(1, 500))
def test_every_size_may_bound_a_range(gb):
    assert parse_query(gpu_ram_gb=(gb, None)).filters["gpu_ram"]["gte"] <= gb * 1024
    assert parse_query(gpu_ram_gb=(None, gb)).filters["gpu_ram"]["lte"] > gb * 1024 * 0.9
    below = parse_query(f"gpu_ram_gb<{gb + 1}").filters["gpu_ram"]["lt"]
    above = parse_query(f"gpu_ram_gb>{gb}").filters["gpu_ram"]["gt"]
    assert above < below or above == pytest.approx(below, abs=126)
