"""The price charts without a page: what they hold, what they show, what they must ask.

Two answers can be at hand: the market without a choice of GPUs, and the one for the GPUs that are
chosen. Choosing GPUs from a complete market costs nothing; from one that the service cut short
it becomes a search of its own, and until its answer comes the rows at hand are shown. A change of
GPUs, kind of rental or days also asks the price history, which is a file on this machine.

Nothing here waits, sends or draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple, Self, TypeVar, cast

import pandas as pd

from vastnb.errors import QueryError, VastError
from vastnb.market.frames.credible import unknown
from vastnb.market.query.query import Query, parse_query, parse_type
from vastnb.values import number
from vastnb.widgets.kit.search import Problem, Request, quoted
from vastnb.widgets.prices import frames, words
from vastnb.widgets.prices.scene import palette

DAYS: Final = (2.0, 7.0, 14.0, 30.0, 90.0)
TREND_LINES: Final = 5
MOST_CHIPS: Final = 120

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class PricesState:
    """What the controls say."""

    gpu: tuple[str, ...] = ()
    """GPU models, in the service's spelling; empty is all."""
    type: str = "on-demand"
    storage: float = 10.0
    per: str = "gpu"
    """``gpu`` (a machine is a dot) or ``offer`` (an offer is)."""
    days: float = 14.0
    """How far the trend looks back."""
    query: str = ""
    """What every search asks besides, in the query language; without ``gpu_name``."""

    def page(self) -> dict[str, Any]:
        """Return the state as JSON for the page."""
        return {**asdict(self), "gpu": list(self.gpu)}

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the state with `changes`, each checked: a page is not trusted to send sense.

        Raises
        ------
        QueryError
            For an option that does not exist, or a value that it cannot have.
        """
        known = list(asdict(self))
        for name in changes:
            if name not in known:
                raise unknown("option", name, known)
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})

    def search(self) -> Query:
        """Return the query for the chosen GPUs."""
        chosen = {"gpu_name": {"in": list(self.gpu)}} if self.gpu else {}
        return parse_query(self.query or None, **chosen)


def split(query: str | Mapping[str, Any] | Query | None) -> tuple[str, tuple[str, ...]]:
    """Return a query without its GPU models, and these: the charts hold them apart.

    Raises
    ------
    QueryError
        If it cannot be understood, or says something of models that a list of them cannot.
    """
    understood = parse_query(query)
    models: list[str] = []
    rest = []
    for condition in understood.conditions:
        many = condition.value if isinstance(condition.value, (list, tuple)) else [condition.value]
        if condition.field == "gpu_name" and condition.op in ("eq", "in") and not models:
            models = [str(one) for one in many]
        else:
            rest.append(condition)
    return Query(tuple(rest), understood.dropped).text, tuple(models)


def resolved(gpu: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return GPU models in the service's spelling: ``"4090"`` is ``("RTX 4090",)``.

    Raises
    ------
    QueryError
        For a model that nobody knows, with the nearest ones.
    """
    if gpu is None or len(gpu) == 0:
        return ()
    names = [gpu] if isinstance(gpu, str) else [str(name) for name in gpu]
    return tuple(dict.fromkeys(split({"gpu_name": names})[1]))


class Load(NamedTuple):
    """What has to be fetched: an answer, a trend, or both."""

    request: Request | None
    """A search."""
    state: PricesState
    """What it is for."""
    gpus: tuple[str, ...]
    """Models of the trend; empty for the most common ones of the answer."""


class Loaded(NamedTuple):
    """What came of a `Load`."""

    frame: pd.DataFrame | VastError | None
    """The answer, or why there is none; `None` if nothing was searched."""
    trend: pd.DataFrame
    """From the price history; without rows if there is none."""
    note: str
    """Why the trend is empty, in words."""


class PricesModel:
    """State of one widget of prices."""

    def __init__(self, state: PricesState) -> None:
        self.state = state
        self.problem: Problem | None = None
        self.trend = frames.empty_trend()
        self.trend_note = ""
        self._answers: dict[tuple[str, tuple[str, ...]], pd.DataFrame] = {}
        self.waiting: Load | None = None
        """What was asked for and has not come."""
        self._colours: dict[str, str] = {}
        self._changes = 0  # of the answers
        self._loads = 0
        self._kept: dict[str, tuple[Any, Any]] = {}

    # -- what is shown ------------------------------------------------------------------------

    @property
    def held(self) -> pd.DataFrame:
        """The answer that is drawn from, with all of its models."""
        own = self._answers.get((self.state.type, self.state.gpu))
        return self._whole if own is None else own

    @property
    def shown(self) -> pd.DataFrame:
        """The offers of the chosen GPUs."""
        return self._once("shown", self.state, lambda: frames.of_models(self.held, self.state.gpu))

    @property
    def models(self) -> list[str]:
        """The GPU models that can be chosen, those with most machines first."""
        held = self._once("held", self.state, lambda: frames.by_machines(self.held))
        return list(dict.fromkeys([*self._market, *held, *self.state.gpu]))

    @property
    def _whole(self) -> pd.DataFrame:
        """The answer for all models, if there is one."""
        return self._answers.get((self.state.type, ()), pd.DataFrame())

    @property
    def _market(self) -> dict[str, int]:
        """Machines of each model, in the answer for all of them."""
        return self._once("market", self.state.type, lambda: frames.by_machines(self._whole))

    @property
    def colours(self) -> dict[str, str]:
        """Colours of the models that have one: the chosen, then the most common.

        A model keeps its colour for as long as it has one.
        """
        wanted = list(dict.fromkeys([*self.state.gpu, *self.models]))[: len(palette())]
        kept = {name: colour for name, colour in self._colours.items() if name in wanted}
        free = [colour for colour in palette() if colour not in kept.values()]
        for name in wanted:
            if name not in kept:
                kept[name] = free.pop(0)
        self._colours = {name: kept[name] for name in wanted}
        return self._colours

    def drawn_from(self, chart: str) -> tuple[Any, ...]:
        """Return what a chart is drawn from: while that is equal, so is the chart."""
        state, colours = self.state, tuple(self.colours.items())
        if len(self.held.columns) == 0:
            return (bool(self.waiting), self.problem)
        if chart == "trend":
            return (self._loads, state.days, colours)
        offers = (self._changes, state.query, state.storage, state.type, state.gpu)
        return offers if chart == "countries" else (*offers, state.per, colours)

    def chips(self) -> list[dict[str, Any]]:
        """Return what one can choose: name, machines, colour, and whether it is chosen."""
        counts = self._market or frames.by_machines(self.held)
        colours = self.colours
        return [
            {
                "name": name,
                "machines": counts.get(name, 0),
                "colour": colours.get(name, ""),
                "on": name in self.state.gpu,
            }
            for name in self.models[:MOST_CHIPS]
        ]

    def figures(self) -> dict[str, Any]:
        """Return the headline numbers of what is shown (`None` where there is none)."""
        return dict(self._once("figures", self.state, self._figures))

    def _figures(self) -> dict[str, Any]:
        rows = frames.distribution(self.shown)
        price = rows["price"]
        return {
            "shown": len(self.shown),
            "answer": len(self.held),
            "machines": len(rows),
            "models": int(rows["gpu_name"].nunique()),
            "cheapest": number(price.min()),
            "median": number(price.median()),
        }

    def watched(self) -> dict[str, Any]:
        """Return what a price alert watches."""
        state = self.state
        return {"query": state.search(), "per": state.per, "type": state.type,
                "storage": state.storage}  # fmt: skip

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the answer is from."""
        return dict(self.held.attrs.get("vastnb", {}))

    def code(self) -> str:
        """Return the line that makes the same charts."""
        state, default = self.state, PricesState()
        parts = ["client"]
        if state.query:
            parts.append(quoted(state.query))
        if state.gpu:
            parts.append(f"gpu=[{', '.join(map(quoted, state.gpu))}]")
        for name in ("type", "per", "storage", "days"):
            value = getattr(state, name)
            if value != getattr(default, name):
                parts.append(f"{name}={quoted(value) if isinstance(value, str) else f'{value:g}'}")
        return f"vastnb.prices({', '.join(parts)})"

    # -- what happens -------------------------------------------------------------------------

    def change(self, state: PricesState) -> Load | None:
        """Take new settings; return what must be fetched, if anything."""
        before, self.state = self.state, state
        self.problem = None
        if (state.query, state.storage) != (before.query, before.storage):
            self._answers.clear()
            self._changes += 1
        try:
            request = None if self._at_hand() else self._request()
        except QueryError as error:
            self.problem = Problem.of(error)
            self.waiting = None
            return None
        old = (before.gpu, before.days, before.type)
        if request is None and (state.gpu, state.days, state.type) == old and not self.waiting:
            return None
        return self._ask(request)

    def refresh(self) -> Load | None:
        """Return the fetch that asks the service anew for what is shown."""
        self.problem = None
        try:
            return self._ask(self._request(refresh=True))
        except QueryError as error:
            self.problem = Problem.of(error)
            return None

    def accept(self, load: Load, loaded: Loaded) -> bool:
        """Take what came; return False if something else has been asked for since."""
        if load is not self.waiting:
            return False
        self.waiting = None
        self._loads += 1
        self.trend, self.trend_note = loaded.trend, loaded.note
        if isinstance(loaded.frame, VastError):
            self.problem = Problem.of(loaded.frame)
        elif loaded.frame is not None and load.request is not None:
            if load.request.refresh:
                self._answers.clear()  # what is older must not mix with it
            self._answers[load.state.type, load.state.gpu] = loaded.frame
            self._changes += 1
        return True

    # -- inside -------------------------------------------------------------------------------

    def _once(self, name: str, key: Any, make: Callable[[], Kept]) -> Kept:
        """Return what `make` gave for this key and these answers."""
        key = (self._changes, key)
        if self._kept.get(name, (None,))[0] != key:
            self._kept[name] = (key, make())
        return cast(Kept, self._kept[name][1])

    def _at_hand(self) -> bool:
        """Whether an answer holds all offers of the chosen models."""
        if (self.state.type, self.state.gpu) in self._answers:
            return True
        return bool(self.state.gpu) and not self._whole.attrs.get("vastnb", {}).get(
            "truncated", True
        )

    def _request(self, *, refresh: bool = False) -> Request:
        state = self.state
        return Request(state.search(), state.type, state.storage, refresh=refresh)

    def _ask(self, request: Request | None) -> Load:
        gpus = self.state.gpu
        if request is None and not gpus:
            gpus = tuple(frames.by_machines(self.held))[:TREND_LINES]
        self.waiting = Load(request, self.state, gpus)
        return self.waiting


def _checked(name: str, value: Any) -> Any:
    if name == "gpu":
        if isinstance(value, str) or not all(isinstance(one, str) for one in value or ()):
            raise QueryError(words.BAD_GPU.format(value=value))
        return tuple(dict.fromkeys(value or ()))
    if name == "type":
        return parse_type(value)
    if name == "per":
        if value not in ("gpu", "offer"):
            raise QueryError(words.BAD_PER.format(value=value))
        return value
    if name == "query":
        query = parse_query(value)
        if "gpu_name" in query.filters or "gpu_name" in query.dropped:
            raise QueryError(words.GIVE_GPU_MODELS)
        return query.text
    known = number(value)
    if known is None or known < 0 or (name == "days" and known == 0):
        raise QueryError(words.BAD_NUMBER.format(name=name, value=value))
    return known
