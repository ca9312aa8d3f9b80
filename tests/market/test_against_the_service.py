"""Filters worked out here select the offers that the service answers with, whatever is asked.

The service is the simulated one, over a socket. One wide search gives every offer; then each
query is asked of the service and worked out on that frame, and both must name the same offers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vastnb
from vastnb.api.progress import silent
from vastnb.api.transport import Transport
from vastnb.clock import ManualClock
from vastnb.errors import QuotaExceeded
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.query.local import column_of, is_local, matches, narrowing
from vastnb.market.query.query import parse_query
from vastnb.market.tables.fields import FIELDS
from vastnb.sim import Server

pytestmark = pytest.mark.slow

EVERYTHING = "verified=any external=any rentable=any rented=any"
LISTED = ("in", "notin")
ORDERED = ("gt", "gte", "lt", "lte")
TEXTS = ("text", "country")
LOCAL = sorted(name for name in FIELDS if column_of(name) is not None)


class Market:
    """A service that stands still, everything it offers, and a way to ask it."""

    def __init__(self, server: Server, transport: Transport) -> None:
        self.server, self._transport = server, transport
        self.frame = frame_of_offers(self._rows(parse_query(EVERYTHING).body()), columns="all")

    def _rows(self, body: dict) -> list[dict]:
        return self._transport.call("search_offers", body=body, max_wait=1e6).data["offers"]

    def ids(self, body: dict) -> set[int]:
        return {row["id"] for row in self._rows(body)}


@pytest.fixture(scope="module", params=["drawn", "recorded"])
def market(request: pytest.FixtureRequest) -> Iterator[Market]:
    offers = request.getfixturevalue("offers_2024") if request.param == "recorded" else None
    clock = ManualClock()
    # Without limits, and without the daily quota of rows, which hundreds of searches would spend.
    with Server(
        seed=11,
        speed=0,
        clock=clock,
        offers=offers,
        limits=None,
        cap=None,
        quota=None,
        machines=500,
    ) as server:
        transport = Transport(
            base_url=server.url,
            api_key=server.api_key,
            cache=None,
            clock=clock,
            timeout=30,
            on_wait=silent,
        )
        yield Market(server, transport)
        transport.close()


def _values(draw: st.DrawFn, frame: pd.DataFrame, field: str) -> object:
    """A value that some offer has, or one near it, as it may be sent."""
    kind = FIELDS[field]
    if kind == "flag":
        return draw(st.booleans())
    if field == "geolocation":
        column = draw(st.sampled_from(["geolocation", "country"]))
    else:
        column = column_of(field)
    there = frame[column].dropna().unique().tolist()
    if not there:
        return "x" if kind in ("text", "gpu", "country") else 1
    value = draw(st.sampled_from(sorted(there)))
    if kind != "number":
        return draw(st.sampled_from([value, value, str(value).lower(), "", " "]))
    value += draw(st.sampled_from([0, 0, 0, 1, -1, 0.001, -1e-9]))
    return draw(st.sampled_from([value, repr(value)]))


@st.composite
def _filters(draw: st.DrawFn, frame: pd.DataFrame) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for field in draw(st.lists(st.sampled_from(LOCAL), unique=True, min_size=1, max_size=3)):
        operators = ["eq", "neq", *LISTED]
        if FIELDS[field] == "number":
            operators += ORDERED
        ops: dict[str, object] = {}
        for op in draw(st.lists(st.sampled_from(operators), unique=True, min_size=1, max_size=2)):
            one = _values(draw, frame, field)
            ops[op] = [one, _values(draw, frame, field)] if op in LISTED else one
        found[field] = ops
    return found


@pytest.mark.slow
@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_filters_worked_out_here_select_what_the_service_answers(
    market: Market, data: st.DataObject
) -> None:
    filters = data.draw(_filters(market.frame))
    if not all(is_local(field, ops) for field, ops in filters.items()):
        return  # goes to the service
    here = set(market.frame["id"][matches(filters, market.frame)])
    body = {**parse_query(EVERYTHING).body(), **filters}
    assert here == market.ids(body), filters


QUERIES = (
    "",
    "gpu_name=RTX_4090",
    "gpu_name!=RTX_4090",
    "gpu_name in [RTX_4090,RTX_3090,H100_SXM]",
    "gpu_name notin [RTX_4090]",
    "gpu_name=H100",
    "num_gpus>=2 dph<1",
    "num_gpus in [1,3,8]",
    "num_gpus notin [1,3,8]",
    "num_gpus!=1",
    "gpu_ram_gb=24",
    "gpu_ram>=24",
    "cpu_ram>=64 duration>=30",
    "cpu_ghz>3",
    "cpu_ghz<=3",
    "cpu_ghz!=3.5",
    "mobo_name!=x",
    "mobo_name notin [x,y]",
    "geolocation=US",
    "geolocation!=US",
    "geolocation in [US,SE]",
    "geolocation notin [US,SE]",
    "datacenter=true",
    "datacenter=false",
    "datacenter!=true",
    "verified=true",
    "verified=false",
    "verified!=true",
    "verification=deverified",
    "rentable=true",
    "has_avx=false",
    "static_ip=true",
    "vms_enabled!=true",
    "gpu_display_active=true",
    "reliability>0.99 inet_down>=500",
    "dlperf_usd>100",
    "flops_usd>50",
    "cuda_vers>=12.4",
    "compute_cap>=890",
    "gpu_frac=1",
    "gpu_mem_bw>0",
    "gpu_max_temp<70",
    "disk_space>=500 disk_bw>1000",
    "storage_cost<0.1 inet_up_cost=0",
    "min_bid<0.1",
    "direct_port_count>0",
    "pci_gen>=4 pcie_bw>10",
    "bw_nvlink=0",
    "ubuntu_version=22.04",
    "ubuntu_version in [22.04,24.04]",
    "cpu_arch=amd64",
    "gpu_arch!=nvidia",
)


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_selects_here_what_the_service_answers(market: Market, text: str) -> None:
    spoken_of = parse_query(text).filters
    drops = [drop for drop in EVERYTHING.split() if drop.partition("=")[0] not in spoken_of]
    query = parse_query(" ".join([text, *drops]))
    selected = market.frame["id"][query.matches(market.frame)]
    assert set(selected) == market.ids(query.body())


def test_missing_values_fit_no_comparison_here_or_there(market: Market) -> None:
    tried = 0
    for field in LOCAL:
        missing = set(market.frame["id"][market.frame[column_of(field)].isna()])
        if not missing or FIELDS[field] != "number":
            continue
        tried += 1
        for ops in ({"neq": -12345}, {"notin": [-12345]}, {"gte": -1e18}, {"lt": 1e18}):
            body = {**parse_query(EVERYTHING).body(), field: ops}
            there = market.ids(body)
            assert not there & missing
            assert there == set(market.frame["id"][matches({field: ops}, market.frame)])
    assert tried, "the market has offers with missing values"


def test_what_narrows_gives_what_a_search_would(market: Market) -> None:
    """A complete answer, narrowed here, is the answer that the service gives."""
    steps = ["num_gpus>=1", "num_gpus>=2", "num_gpus>=2 dph<3", "num_gpus>=2 dph<3 gpu_ram_gb>=16"]
    wide = parse_query(steps[0]).body()
    at_hand = frame_of_offers(market._rows(wide))
    for text in steps[1:]:
        narrow = parse_query(text).body()
        rest = narrowing(wide, narrow, at_hand.columns)
        assert rest is not None
        kept = at_hand["id"][matches(rest, at_hand)]
        assert set(kept) == market.ids(narrow)


@pytest.mark.slow
def test_a_service_without_limits_still_counts_rows_unless_told_otherwise() -> None:
    """The limiter and the daily quota are two things; both answer with 429."""
    for quota, statuses in ((None, {200}), (20_000, {200, 429})):
        with (
            Server(seed=1, speed=0, limits=None, cap=None, quota=quota) as server,
            vastnb.Client(
                server.api_key, base_url=server.url, cache=None, clock=ManualClock()
            ) as client,
        ):
            used = 0
            try:
                while used < 25_000:
                    used += len(client.search_offers(EVERYTHING))
            except QuotaExceeded:
                assert quota is not None
                assert used >= quota
            assert set(server.statuses) == statuses
