"""A search that is too large for one answer is read to its end, in few calls, and never doubly."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vastnb.errors import InvalidRequest
from vastnb.market.frames.caps import Caps, is_truncated
from vastnb.market.query.query import parse_query
from vastnb.market.whole import Split, split_by_price


@pytest.mark.parametrize(
    ("rows", "limit", "has_key", "cut"),
    [
        (0, None, None, False),
        (63, None, False, False),
        (64, None, False, True),
        (64, None, True, False),
        (64, None, None, True),
        (512, None, True, True),
        (1000, None, True, True),
        (999, None, True, False),
        (10, 10, True, True),
        (9, 10, True, False),
        (64, 100, False, True),
        (12, 10, True, True),
    ],
)
def test_an_answer_as_long_as_a_limit_or_a_known_cap_may_be_cut(rows, limit, has_key, cut):
    assert is_truncated(rows, limit, has_key) is cut


class Market:
    """A service that cuts its answers, and keeps to the ranges it is asked for."""

    def __init__(self, prices, cap=512, seed=0, ordered=False):
        self.rows = [
            {"id": 1000 + 3 * i, "ask_contract_id": 1000 + 3 * i, "dph_total": price}
            for i, price in enumerate(prices)
        ]
        self.cap, self.random, self.ordered = cap, random.Random(seed), ordered
        self.bodies = []

    def __call__(self, body):
        self.bodies.append(body)
        fits = [row for row in self.rows if all(self.fit(row, f, body) for f in self.filters(body))]
        if len(fits) > self.cap:
            if self.ordered:
                fits = sorted(fits, key=lambda row: row["dph_total"])[: self.cap]
            else:
                fits = self.random.sample(fits, self.cap)
        return fits

    @staticmethod
    def filters(body):
        return [name for name in ("dph_total", "ask_contract_id") if name in body]

    @staticmethod
    def fit(row, field, body):
        value = row[field]
        if body[field] == {"eq": None}:
            return value is None
        compare = {"gt": lambda b: value > b, "lte": lambda b: value <= b,
                   "gte": lambda b: value >= b, "lt": lambda b: value < b}  # fmt: skip
        return value is not None and all(compare[op](float(b)) for op, b in body[field].items())


def read(market, query="", **options):
    told = []
    options = {"caps": Caps(True), **options}
    split = split_by_price(parse_query(query).body(), market, warn=told.append, **options)
    return split, told


def test_a_small_search_takes_one_call_and_no_warning():
    market = Market([1.0] * 60)
    split, told = read(market)
    assert split.complete and split.calls == 1 and len(split.rows) == 60 and not told
    assert market.bodies == [parse_query("").body()] and not split.proved
    caps = Caps(True)
    caps.saw(61)
    assert read(market, caps=caps)[0].proved


@pytest.mark.parametrize("cap", [64, 256, 300, 500, 512, 1000])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_market_is_read_to_its_end_whatever_the_length_at_which_answers_are_cut(cap, ordered):
    prices = random.Random(cap)
    market = Market([round(prices.lognormvariate(-1, 1), 4) for _ in range(1500)], cap=cap,
                    ordered=ordered)  # fmt: skip
    caps = Caps(True)
    split, told = read(market, caps=caps, max_calls=400)
    assert split.complete and split.proved and len(told) == 2
    assert len(split.rows) == 1500 and len({row["id"] for row in split.rows}) == 1500
    assert caps.whole(cap) == "cut" and caps.whole(cap - 1) == "proved"


def test_an_answer_of_an_unlisted_length_that_is_whole_is_proved_by_one_more_call():
    market = Market([n / 100 for n in range(300)])
    split, told = read(market)
    assert split.complete and split.proved and split.calls == 2 and not told
    assert len(split.rows) == 300


def test_offers_without_a_price_are_read_as_well():
    market = Market([n / 1000 for n in range(1400)] + [None] * 40)
    split, _ = read(market)
    assert split.complete and len(split.rows) == 1440
    assert market.bodies[-1]["dph_total"] == {"eq": None}
    priced, _ = read(market, "dph>0.2")
    assert priced.complete and {"eq": None} not in [b["dph_total"] for b in market.bodies[-5:]]


def test_the_cost_is_told_before_the_second_call():
    market = Market([n / 1000 for n in range(3000)])
    told = []
    calls = []

    def fetch(body):
        calls.append(len(told))
        return market(body)

    split_by_price(parse_query("").body(), fetch, caps=Caps(True), max_calls=5, warn=told.append)
    assert calls[:2] == [0, 0] or calls[:2] == [0, 1]
    assert "up to 5 calls (max_calls=)" in told[0] and "2,560 rows" in told[0]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_market_of_4000_offers_is_read_in_few_calls(ordered):
    prices = random.Random(1)
    market = Market([round(prices.lognormvariate(-1, 1), 4) for _ in range(4000)], ordered=ordered)
    split, told = read(market)
    assert split.complete and split.reason is None
    assert sorted(row["id"] for row in split.rows) == sorted(row["id"] for row in market.rows)
    assert split.calls == len(market.bodies) <= (30 if ordered else 18)
    assert split.rows_used <= (12_000 if ordered else 7_000)
    assert len(told) == 2 and all("rows of the day's" in text for text in told)


def test_the_expected_rows_are_told_early_and_about_right():
    prices = random.Random(2)
    market = Market([prices.random() for _ in range(5000)])
    split = Split(parse_query("").body(), Caps(True))
    bodies = split.bodies()
    body = next(bodies)
    while split.expected_rows is None:
        body = bodies.send(market(body))
    early = split.expected_rows
    try:
        while True:
            body = bodies.send(market(body))
    except StopIteration:
        pass
    assert split.complete and early == pytest.approx(split.rows_used, rel=0.35)


def test_a_price_that_too_many_offers_share_is_cut_by_number():
    market = Market([0.5] * 1800 + [0.4] * 10 + [0.7] * 10)
    split, _ = read(market)
    assert split.complete and len(split.rows) == 1820
    assert any("ask_contract_id" in body for body in market.bodies)


def test_the_users_own_price_range_and_filters_stay():
    prices = random.Random(3)
    market = Market([prices.random() for _ in range(3000)])
    split, _ = read(market, "dph>0.25 dph<=0.9 num_gpus=2")
    assert split.complete
    wanted = [row["id"] for row in market.rows if 0.25 < row["dph_total"] <= 0.9]
    assert sorted(row["id"] for row in split.rows) == sorted(wanted)
    assert all(body["num_gpus"] == {"eq": "2"} and "limit" not in body for body in market.bodies)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([0.0, 0.1, 0.1 + 1e-17, 0.3, 1.0, 5e-324, 40.0]) | st.floats(-1, 50),
        max_size=400,
    ),
    st.booleans(),
    st.integers(0, 5),
)
def test_every_offer_is_read_once_whatever_the_prices(prices, ordered, seed):
    market = Market(prices, cap=64, seed=seed, ordered=ordered)
    split = split_by_price(parse_query("").body(), market, caps=Caps(False), max_calls=500,
                           warn=lambda message: None)  # fmt: skip
    assert split.complete
    assert sorted(row["id"] for row in split.rows) == [row["id"] for row in market.rows]
    assert split.calls <= 4 + 8 * (1 + len(prices) // 32)


def test_calls_and_rows_are_bounded():
    market = Market([i / 1000 for i in range(5000)])
    split, _ = read(market, max_calls=4)
    assert not split.complete and split.calls == 4 and "4 calls" in split.reason
    split, _ = read(market, max_rows=2000)
    assert not split.complete and split.rows_used <= 2000 and "2,000 rows" in split.reason
    assert len(split.rows) == len({row["id"] for row in split.rows}) > 500
    with pytest.raises(InvalidRequest):
        read(market, max_calls=0)


def test_a_service_that_ignores_the_range_is_noticed_at_once():
    rows = [{"id": i, "dph_total": i / 100} for i in range(512)]
    split, _ = read(lambda body: rows)
    assert not split.complete and split.calls == 2 and "outside the requested range" in split.reason
    assert len(split.rows) == 512


def test_offers_without_price_or_number_do_not_stop_it():
    market = Market([i / 1000 for i in range(900)])
    odd = [{"id": None, "dph_total": None}, {"dph_total": None}, {"id": 1, "dph_total": "n/a"}]

    def fetch(body):
        answer = market(body)
        return answer if "dph_total" in body else [*odd, *answer[:-3]]

    split, _ = read(fetch)
    assert split.complete and len(split.rows) == 903


def test_without_a_listener_the_rows_are_a_warning():
    market = Market([i / 1000 for i in range(900)])
    with pytest.warns(UserWarning, match="rows of the day's quota"):
        split_by_price(parse_query("").body(), market, caps=Caps(True))


def test_an_error_in_a_call_is_the_callers():
    def fetch(body):
        raise ConnectionError("lost")

    with pytest.raises(ConnectionError):
        split_by_price({}, fetch)
