"""Queries and rows at random, as hypothesis strategies."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from vastnb.market.tables.fields import FIELDS, MULTIPLIER
from vastnb.market.tables.gpus import GPU_NAMES

EQUAL = ("=", "==", "!=", " eq ", " neq ")
ORDERED = (">", ">=", "<", "<=", " gt ", " gte ", " lt ", " lte ")
LISTS = (" in ", " notin ", " nin ", " not in ")
COUNTRIES = ("US", "SE", "DE", "TW", "CN")

numbers = st.one_of(
    st.integers(-5, 10**6).map(str),
    st.floats(0, 10**6, allow_nan=False).map(lambda x: f"{x:.3f}"),
    st.sampled_from(["0.99", "1e3", "24", ".5"]),
)
words = st.text(string.ascii_letters + string.digits + "-./_®+", min_size=1, max_size=12).filter(
    lambda w: w not in ("any", "true", "false", "True", "False", "None", "null")
)


@st.composite
def _comparison(draw, field):
    kind = FIELDS[field]
    if kind == "number":
        value = numbers
    elif kind == "version":
        value = st.sampled_from(["535.86.05", "580.119.02", "560.35.3"])
    elif kind == "flag":
        value = st.sampled_from(["true", "false", "True", "False"])
    elif kind == "gpu":
        value = st.sampled_from(GPU_NAMES).map(lambda n: n.replace(" ", "_"))
    elif kind == "country":
        value = st.sampled_from(COUNTRIES)
    else:
        value = words
    listable = field not in MULTIPLIER and kind not in ("flag", "version")
    if listable and draw(st.booleans()):
        items = draw(st.lists(value, min_size=1, max_size=4))
        quoted = [draw(st.sampled_from([item, f'"{item}"'])) for item in items]
        comma = draw(st.sampled_from([",", ", "]))
        return f"{field}{draw(st.sampled_from(LISTS))}[{comma.join(quoted)}]"
    equal_only = kind in ("gpu", "country", "flag")
    ops = EQUAL if equal_only else EQUAL + ORDERED
    item = draw(value)
    if kind in ("gpu", "text") and draw(st.booleans()):
        item = f'"{item}"'
    elif draw(st.integers(0, 3)) == 0:
        item += ","  # tolerated after a bare value
    space = draw(st.sampled_from(["", " "]))
    return f"{field}{draw(st.sampled_from(ops))}{space}{item}"


@st.composite
def query_texts(draw, fields=tuple(FIELDS), drops=True):
    """A valid query: each field at most once, so that nothing contradicts itself."""
    chosen = draw(st.lists(st.sampled_from(fields), unique=True, max_size=5))
    parts = []
    for field in chosen:
        if drops and draw(st.integers(0, 5)) == 0:
            parts.append(f"{field}={draw(st.sampled_from(['any', '*', '?']))}")
        else:
            parts.append(draw(_comparison(field)))
    return draw(st.sampled_from([" ", "  "])).join(parts)
