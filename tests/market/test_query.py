"""One meaning, however a search is written; and what cannot be understood is refused, with help."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.strategies import query_texts
from vastnb.errors import InvalidRequest, QueryError
from vastnb.market.query.query import Query, parse_order, parse_query
from vastnb.market.tables.fields import DEFAULTS
from vastnb.market.tables.gpus import GPU_NAMES


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ("gpu_name=RTX_4090", {"gpu_name": "RTX 4090"}),
        ("gpu_name=RTX_4090", {"gpu_name": "rtx4090"}),
        ("gpu_name in [RTX_4090,RTX_3090]", {"gpu_name": ["4090", "3090"]}),
        ("gpu_name=H100", {"gpu_name": "h100"}),
        ("num_gpus>=2", {"num_gpus": (2, None)}),
        ("num_gpus>=2 num_gpus<=8", {"num_gpus": (2, 8)}),
        ("num_gpus=4", {"num_gpus": np.int64(4)}),
        ("num_gpus in [1,2]", {"num_gpus": {2, 1}}),
        ("num_gpus in [1,2]", {"num_gpus": np.array([1, 2])}),
        ("dph<=1", {"dph": (None, 1)}),
        ("dph_total<=0.5", {"dph": (None, 0.5)}),
        ("gpu_ram>=24", {"gpu_ram": (24, None)}),
        ("gpu_ram_gb=24", {"gpu_ram_gb": 24}),
        ("gpu_ram_gb>=24", {"gpu_ram_gb": (24, None)}),
        ("duration>=2.5 cpu_ram>=32", {"duration": (2.5, None), "cpu_ram": (32, None)}),
        ("duration>=2.5 cpu_ram>=32", {"duration_days": (2.5, None), "cpu_ram_gb": (32, None)}),
        ("verified=any", {"verified": None}),
        ("verified=any", {"verified": "any"}),
        ("verified=false", {"verified": False}),
        ("datacenter=true static_ip=false", {"datacenter": True, "static_ip": False}),
        ("geolocation in [US,SE]", {"geolocation": ["US", "se"]}),
        ("geolocation=US", {"country": "us"}),
        ("driver_version>=535.86.05", {"driver_version": ("535.86.05", None)}),
        ("mobo_name=ROME_D8", {"mobo_name": "ROME D8"}),
        ("reliability>=0.99", {"reliability": (0.99, None)}),
    ],
)
def test_text_keywords_and_dict_give_the_same_json(text, keywords):
    body = parse_query(text).body()
    assert parse_query(**keywords).body() == body
    assert parse_query(keywords).body() == body
    assert parse_query(Query(), **keywords).body() == body
    assert parse_query(parse_query(text)).body() == body


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(query_texts())
def test_the_canonical_text_of_a_query_means_the_same(text):
    query = parse_query(text)
    again = parse_query(query.text)
    assert again.body() == query.body()
    assert again.filters == query.filters
    assert again.text == query.text


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=0, max_size=30), st.sampled_from(["eq", "neq"]))
def test_any_text_value_survives_the_way_through_the_canonical_text(value, op):
    for field in ("mobo_name", "gpu_name"):
        query = parse_query({field: {op: value}})
        assert query.body()[field] == {op: value}
        assert parse_query(query.text).body() == query.body()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_no_text_at_all_breaks_the_parser(text):
    try:
        parse_query(text).body()
    except QueryError as error:
        message = str(error)
    else:
        return
    assert "Nothing was searched" in message


@given(st.integers(1, 10**7))
def test_megabytes_survive_the_way_through_gigabytes(mb):
    query = parse_query({"gpu_ram": {"gte": mb}})
    assert query.body()["gpu_ram"] == {"gte": mb}
    assert parse_query(query.text).body()["gpu_ram"]["gte"] == pytest.approx(mb, rel=1e-15)


def test_a_dict_of_operators_is_sent_as_it_is():
    given_ = {
        "gpu_name": {"eq": "Brand New GPU"},
        "gpu_ram": {"gte": 23028},
        "duration": {"gt": 3600},
        "num_gpus": {"in": [1, 2]},
        "mobo_name": {"neq": "A_B"},
        "dph": {"lt": 1},
    }
    body = parse_query(given_).body(defaults=False)
    given_["dph_total"] = given_.pop("dph")
    assert {k: body[k] for k in given_} == given_


def test_text_and_keywords_add_up():
    query = parse_query("gpu_name=RTX_4090 dph<1", num_gpus=(2, None), verified=None)
    assert query.filters == {
        "gpu_name": {"eq": "RTX 4090"},
        "dph_total": {"lt": 1},
        "num_gpus": {"gte": 2},
    }
    assert query.dropped == ("verified",)
    assert query.text == "gpu_name=RTX_4090 dph_total<1 num_gpus>=2 verified=any"
    assert str(query) == query.text


def test_a_keyword_of_none_sets_no_filter():
    assert parse_query("num_gpus>=2", dph=None, num_gpus=None) == parse_query("num_gpus>=2")


def test_defaults_hold_unless_the_query_speaks_of_the_field():
    body = parse_query("verified=any rented=true").body()
    assert "verified" not in body
    assert body["rented"] == {"eq": True}
    assert body["external"] == {"eq": False} and body["rentable"] == {"eq": True}
    assert not DEFAULTS.keys() & parse_query("dph<1").body(defaults=False).keys()
    assert parse_query("verified!=true").body()["verified"] == {"neq": True}
    assert "rented" not in parse_query("").body()
    for defaults in (True, False):  # left out, it would mean true
        assert parse_query("rentable=any").body(defaults=defaults)["rentable"] == {"eq": "any"}
        assert parse_query(rentable=None).body(defaults=defaults)["rentable"] == {"eq": "any"}


def test_a_body_is_new_each_time_and_the_defaults_stay():
    body = parse_query("").body()
    body["verified"]["eq"] = "spoilt"
    assert parse_query("").body()["verified"] == {"eq": True}


@pytest.mark.parametrize(
    ("text", "suggestion", "at"),
    [
        ("gpu_nme=RTX_4090", "gpu_name", 1),
        ("dph<1 relability>0.9", "reliability", 7),
        ("gpu_name=RTX_4009", "RTX 4090", 10),
        ("gpu_name in [RTX_4090,RTX_3900]", "RTX 3090", 23),
        ("num_gpus=>2", ">=", 9),
        ("verified=yes", "true", 10),
        ("gpu_ram_gb=23", "gpu_ram_gb=24", 12),
        ("Num_gpus>2", "num_gpus", 1),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_and_its_place(text, suggestion, at):
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert suggestion in caught.value.suggestions
    assert suggestion in str(caught.value)
    assert f"character {at}" in str(caught.value)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, InvalidRequest)


@pytest.mark.parametrize(
    "text",
    [
        'gpu_name="RTX 4090"x',
        'gpu_name="RTX 4090',
        'mobo_name=A"B"',
        "num_gpus in [1,2",
        "num_gpus in []",
        "num_gpus=[1,2]",
        "num_gpus=1,2",
        "num_gpus>=two",
        "num_gpus>=1_000",
        "num_gpus=true",
        "gpu_ram>=None",
        "gpu_ram>=nan",
        "gpu_ram>=1e999",
        "driver_version>=535.86",
        "driver_version>=five",
        "verified>true",
        "gpu_name>RTX_4090",
        "geolocation=Sweden",
        "dph<1;num_gpus=2",
        "dph<1,num_gpus=2",
        "gpu_name=",
        "gpu_name=''",
        "limit=5",
        "order=dph_total",
        "score>1",
        "dph_gpu<1",
        "gpu_ram_gb in [24,48]",
        "num_gpus>=None",
    ],
)
def test_what_would_be_cut_or_misread_is_refused(text):
    with pytest.raises(QueryError, match="Nothing was searched"):
        parse_query(text)


@pytest.mark.parametrize(
    ("text", "keywords"),
    [
        ("num_gpus>=2 num_gpus>=4", {}),
        ("dph<1 dph_total<2", {}),
        ("dph<1", {"dph_total": {"lt": 1}}),
        ("gpu_name=RTX_4090", {"gpu_name": "RTX 3090"}),
        ("gpu_ram>=20", {"gpu_ram_gb": 24}),
        ("num_gpus>4 num_gpus<2", {}),
        ("num_gpus>4 num_gpus<4", {}),
        ("num_gpus>4 num_gpus<=4", {}),
        ("num_gpus=2 num_gpus!=2", {}),
        ("num_gpus=2 num_gpus>2", {}),
        ("num_gpus in [1,2] num_gpus>2", {}),
        ("gpu_name=RTX_4090 gpu_name notin [RTX_4090]", {}),
        ("verified=true verified!=true", {}),
        ("verified=any verified=true", {}),
        ("verified=true", {"verified": None}),
        ("num_gpus=2", {"num_gpus": "any"}),
        ("", {"num_gpus": (8, 2)}),
    ],
)
def test_a_query_that_contradicts_or_repeats_itself_fails_early(text, keywords):
    with pytest.raises(QueryError):
        parse_query(text, **keywords)


@pytest.mark.parametrize(
    "keywords",
    [
        {"num_gpus": (1, 2, 3)},
        {"num_gpus": []},
        {"num_gpus": True},
        {"num_gpus": float("nan")},
        {"num_gpus": object()},
        {"num_gpus": {">=": 2}},
        {"num_gpus": {}},
        {"num_gpus": {"gte": [1]}},
        {"num_gpus": {"in": 1}},
        {"num_gpus": {"gte": "two"}},
        {"num_gpus": {"gt": None}},
        {"num_gpus": {"gte": object()}},
        {"gpu_name": ("RTX 4090", "RTX 3090")},
        {"gpu_name": "RTX 9999 Ultra"},
        {"verified": "maybe"},
        {"num_gpu": 2},
        {"limit": 2},
    ],
)
def test_wrong_keywords_are_refused(keywords):
    with pytest.raises(QueryError):
        parse_query(**keywords)


def test_something_else_than_a_query_is_refused():
    with pytest.raises(QueryError, match="not int"):
        parse_query(5)


def test_names_learned_elsewhere_are_accepted():
    assert parse_query("gpu_name=rtx6090", known_gpus=["RTX 6090"]).filters == {
        "gpu_name": {"eq": "RTX 6090"}
    }
    query = parse_query("brand_new_field=5", known_fields=["brand_new_field"])
    assert query.body()["brand_new_field"] == {"eq": "5"}


def test_a_gpu_name_that_exists_is_taken_literally():
    for name in GPU_NAMES:
        text = f"gpu_name={name.replace(' ', '_')}"
        assert parse_query(text).body()["gpu_name"] == {"eq": name}


@pytest.mark.parametrize("order", ["dph_gpu", "no_such_column", [["dph_total", "up"]], [["a"]]])
def test_an_order_by_what_the_service_does_not_have_is_refused(order):
    with pytest.raises(QueryError):
        parse_order(order)


def test_orders_may_be_lists():
    assert parse_order([["dph_total", "asc"], "score-"]) == parse_order("dph_total,score-")
    assert parse_order(None) == [["score", "desc"]]


@pytest.mark.parametrize(
    "arguments",
    [{"type": "spot"}, {"limit": 0}, {"limit": 1.5}, {"limit": True}, {"storage": -1},
     {"storage": float("nan")}],
)  # fmt: skip
def test_wrong_arguments_of_a_search_are_refused(arguments):
    with pytest.raises(QueryError):
        parse_query("").body(**arguments)


def test_single_quotes_are_quotes():
    query = parse_query("geolocation not in ['XV','XZ'] gpu_name='RTX 4090'")
    assert query.filters == {
        "geolocation": {"notin": ["XV", "XZ"]},
        "gpu_name": {"eq": "RTX 4090"},
    }


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("compute_cap>=8.0", "compute_cap>=800"),
        ("compute_cap>=70", "compute_cap>=700"),
        ("gpu_ram>=20000", "gpu_ram>=20"),
        ("gpu_total_ram>=80000", "gpu_total_ram>=80"),
        ("cpu_ram>=32000", "cpu_ram>=32"),
        ("duration>86400", "duration>1"),
        ("reliability>=99", "reliability>=0.99"),
        ("cpu_ghz>3500", "cpu_ghz>3.5"),
        ("gpu_ram in [20000,24000]", "gpu_ram in [20,24]"),
        ("gpu_ram in [24,48000]", "gpu_ram in [24,48]"),
        ("compute_cap in [8.0,8.6]", "compute_cap in [800,860]"),
        ("reliability in [99]", "reliability in [0.99]"),
    ],
)
def test_a_value_in_the_wrong_unit_is_told_with_what_is_meant(text, meant):
    (doubt,) = parse_query(text).doubts
    assert f"Did you mean {meant}?" in doubt and text.replace("[", "").strip("]") in doubt
    assert parse_query(meant).doubts == []


@pytest.mark.parametrize(
    "text", ["gpu_ram>=24 cpu_ram>=64 duration>=30 compute_cap>=890 reliability>0.99", "dlperf=0",
             "inet_down>=500 disk_space>=2000 num_gpus>=0", "dph<1 rentable=any",
             "gpu_ram in [24,48] num_gpus in [1,2] cpu_ram notin [32]"],
)  # fmt: skip
def test_ordinary_values_raise_no_doubt(text):
    assert parse_query(text).doubts == []


def test_rented_is_told_to_filter_nothing():
    assert "rentable=false" in parse_query("rented=true").doubts[0]
    assert parse_query("rentable=false").doubts == []


REFUSED = [
    "reliability2>0.9", "driver_vers>1", "gpu_name~A100", "gpu_name:A100", "gpu_name : A100",
    "dlperf/$>100", "price_per_hour<1", "bid_price<1", "direct=true", "driver_version>=560",
    "driver_version>=560.35", "driver_version>=535086005", "vram>=24", "gpu=RTX_4090",
    "gpu_nme=RTX_4090", "gpu_name=RTX_4009", "num_gpus=>2", "verified=yes", "gpu_ram_gb=23",
    "relability>0.9", "num_gpu=2", "cuda>=12", "gpu_name ~ H100", "hosting_type=1",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_every_refusal_names_something_that_works_when_tried(text):
    import re

    with pytest.raises(QueryError) as caught:
        parse_query(text)
    tried = 0
    field = re.match(r"\w+(/\$)?", text).group()
    for said in caught.value.suggestions:
        if re.search(r"[=<>]", said.strip("=<>!")) and said[0] not in "=<>!":
            parse_query(said)  # a whole filter
        elif "driver" in field and said[0].isdigit():
            parse_query(f"driver_version>={said}")
        elif said[0] in "=<>!":
            parse_query(f"{field}{said}2")
        elif field in ("gpu_name", "verified"):
            parse_query(f"{field}={said.replace(' ', '_')}")
        else:
            parse_query(
                f"{said}={'true' if said in DEFAULTS else 24}"
                if said not in ("gpu_name", "driver_version", "geolocation")
                else f"{said}={ {'gpu_name': '4090', 'geolocation': 'SE'}.get(said, '560.35.3') }"
            )
        tried += 1
    assert tried, str(caught.value)


@pytest.mark.parametrize("text", ["ssh=true", "entrypoint=x", "no_default=true", "jupyter=true"])
def test_what_is_no_filter_is_refused_with_what_to_do_instead(text):
    with pytest.raises(QueryError, match="is not a filter") as caught:
        parse_query(text)
    import re

    for said in re.findall(r"\w+(?:>=|=)\w+", str(caught.value).split("Nothing was")[0]):
        if said != text:
            parse_query(said)


def test_a_column_that_cannot_be_searched_by_can_filter_the_frame_as_the_message_says():
    import re

    import vastnb.market.accessor  # noqa: F401
    from vastnb.market.frames.offers import frame_of_offers

    for text in ("score>1", "dph_gpu<1"):
        with pytest.raises(QueryError) as caught:
            parse_query(text)
        advice = re.search(r'where\("(.*)"\)', str(caught.value)).group(1)
        assert len(frame_of_offers([]).vast.where(advice)) == 0


@pytest.mark.parametrize(
    ("order", "right"),
    [("dph asc", "dph_total"), ("dph desc", "dph_total-"), ("dlperf/$", "dlperf_usd"),
     ("price_per_hour", "dph_total"), ("bid_price", "min_bid"), ("dph_totl", "dph_total")],
)  # fmt: skip
def test_an_order_that_is_refused_names_one_that_works(order, right):
    with pytest.raises(QueryError) as caught:
        parse_order(order)
    assert right in caught.value.suggestions
    assert parse_order(right)


def test_a_region_is_its_countries_by_the_standard_of_the_united_nations():
    europe = parse_query("georegion=true geolocation=EU").body()["geolocation"]["in"]
    assert len(europe) == 51 and {"IE", "SE", "GB"} <= set(europe)
    assert not {"KZ", "GE", "CY"} & set(europe)  # Asia by that standard
    body = parse_query("georegion=true geolocation in [NA,SE]").body()
    assert body["geolocation"]["in"] == ["BM", "CA", "GL", "PM", "US", "SE"]
    assert "georegion" not in body
    assert parse_query("geolocation=NA").body()["geolocation"] == {"eq": "NA"}  # Namibia
    assert parse_query("georegion=true geolocation!=AS").body()["geolocation"]["notin"][0] == "AE"
    assert "MO" in parse_query(georegion=True, geolocation="AS").filters["geolocation"]["in"]
    from vastnb.market.tables.regions import REGIONS

    assert {code: len(found) for code, found in REGIONS.items()} == {
        "AF": 60, "AS": 51, "EU": 51, "LC": 52, "NA": 5, "OC": 29,
    }  # fmt: skip
    every = [country for found in REGIONS.values() for country in found]
    assert len(every) == len(set(every))
