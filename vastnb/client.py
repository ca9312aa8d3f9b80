"""`Client`: Vast's own verbs, one line of work each.

A verb becomes a call in `vastnb.api` (cached, paced, retried), and its JSON becomes a frame in
`vastnb.market`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from vastnb.api.credentials import as_secret, find_key
from vastnb.api.credentials import base_url as find_base_url
from vastnb.api.progress import WaitHook, wait_line
from vastnb.api.request import identity_of
from vastnb.api.resources import Cache
from vastnb.api.secret import Secret, without_secrets
from vastnb.api.transport import Quota, Transport
from vastnb.api.usage import COUNTERS
from vastnb.clock import Clock, SystemClock
from vastnb.errors import AuthError, InvalidRequest
from vastnb.fleet.verbs import FleetBase, InstanceVerbs
from vastnb.looking_back import MarketBase, MarketVerbs
from vastnb.market.frames.offers import concat_offers
from vastnb.market.frames.records import frame_of_records
from vastnb.market.history.keep import Keep, wanted
from vastnb.market.history.recorder import Recorder
from vastnb.market.query.query import OfferType, Order, QueryLike, parse_query
from vastnb.market.search import Columns, OfferSearch, Search, dated

if TYPE_CHECKING:
    from vastnb.sim import Server


class Client(InstanceVerbs, MarketVerbs):
    """A connection to the GPU market.

    Parameters
    ----------
    api_key : str, optional
        By default the key is looked for where the official client looks: ``VAST_API_KEY``,
        ``~/.config/vastai/vast_api_key``, ``~/.vast_api_key``; then in Colab's and Kaggle's
        secrets and an installed keyring. Without a key the market can be searched (64 offers
        an answer), and everything else is an `AuthError`.
    base_url : str, optional
        The server; by default ``VAST_URL``, else ``https://console.vast.ai``.
    cache : {"sqlite", "memory"}, path, "redis://..." or None
        Where answers are kept. The default is a file that your kernels share; a Redis is
        shared by machines, and so is the pace then.
    cache_ttl : float
        Seconds for which a search stays fresh.
    max_wait : float
        Seconds that one call may take in all, waiting for its turn and retries included.
    timeout : float
        Seconds for each step on the socket.
    clock : Clock, optional
        The time, for tests.
    on_wait : WaitHook, optional
        Called around every wait for the service's pace; by default a progress line for waits
        of more than two seconds.
    history : bool or Keep, optional
        Whether searches that are really sent are kept on this machine, for `history`. By default
        they are if the extra ``history`` is installed, and ``VASTNB_HISTORY`` is not ``0``; 400
        days and 2 GB at most (``vastnb.market.history.Keep``, ``VASTNB_HISTORY_DAYS``,
        ``VASTNB_HISTORY_GB``).

    Raises
    ------
    AuthError
        If what was found cannot be a key.
    InvalidRequest
        If the address or a number makes no sense.

    Attributes
    ----------
    server : vastnb.sim.Server or None
        The simulated service behind a client from `vastnb.demo`.

    Examples
    --------
    >>> import vastnb
    >>> with vastnb.demo() as client:
    ...     df = client.search_offers("gpu_name=RTX_4090 num_gpus>=2", order="dph_total")
    >>> df["gpu_name"].unique().tolist()
    ['RTX 4090']
    """

    def __init__(
        self,
        api_key: str | Secret | None = None,
        *,
        base_url: str | None = None,
        cache: Cache = "sqlite",
        cache_ttl: float = 90,
        max_wait: float = 60,
        timeout: float = 30,
        clock: Clock | None = None,
        on_wait: WaitHook | None = None,
        history: bool | Keep | None = None,
    ) -> None:
        # Rebound at once: a verbose traceback prints the arguments of every frame.
        api_key = as_secret(api_key)
        why_keyless: str | None = None
        key: Secret | None = None
        self._key_source = "no key"
        try:
            found = find_key(api_key)
        except AuthError as error:
            if error.code != "no_key":
                raise
            why_keyless = error.message  # the error itself would hold on to this frame
        else:
            key, self._key_source = found.key, found.source
        self._transport = Transport(
            base_url=find_base_url(base_url),
            api_key=key,
            cache=cache,
            cache_ttl=cache_ttl,
            max_wait=max_wait,
            timeout=timeout,
            clock=clock,
            on_wait=on_wait,
            why_keyless=why_keyless,
        )
        transport = self._transport
        recorder = Recorder(transport, wanted(history), self.base_url, clock or SystemClock())
        self._market_base = MarketBase(transport.call, self.base_url, recorder)
        self._offers = OfferSearch(
            transport.call,
            transport.quota,
            self.base_url,
            has_key=self.has_key,
            keep=transport.keep,
            record=recorder,
        )
        account = identity_of(key or Secret(""), self.base_url)
        self._fleet_base = FleetBase(
            self._transport.call,
            self.base_url,
            account,
            clock or SystemClock(),
            timeout,
            on_wait or wait_line,
        )
        self.server: Server | None = None
        self._closing = ExitStack()
        self._closing.callback(self._transport.close)
        self._closing.callback(recorder.close)

    # -- the market --------------------------------------------------------------------------

    def search_offers(
        self,
        query: QueryLike = None,
        *,
        type: OfferType = "on-demand",
        order: Order | None = None,
        limit: int | None = None,
        storage: float = 10,
        refresh: bool = False,
        columns: Columns = "default",
        complete: bool = False,
        max_calls: int = 60,
        **keywords: Any,
    ) -> pd.DataFrame:
        """Search the market.

        Parameters
        ----------
        query : str, dict or Query, optional
            The official client's query language (``"gpu_name=RTX_4090 num_gpus>=2 dph<1"``), or
            a dict with the same entries as `keywords`.
        type : {"on-demand", "bid", "interruptible", "reserved"}
            Kind of rental; ``"interruptible"`` and ``"bid"`` are the same.
        order : str or list, optional
            ``"dph_total,reliability-"``, where ``-`` is descending. By default the service's
            score, best first.
        limit : int, optional
            Most offers to return; by default the service decides (512 or 1,000 with a key, 64
            without).
        storage : float
            Disk in GB that the prices include.
        refresh : bool
            Ask the service even if a fresh answer is in the cache.
        columns : {"default", "all"}
            ``"all"`` adds redundant and rarely used columns, and those that the service has
            added since.
        complete : bool
            If the answer may have been cut short, read the rest as well by splitting the price
            range. Takes several paced calls and counts against the day's quota of rows; a
            warning tells how many before they are made.
        max_calls : int
            Calls that ``complete=True`` may make; what was read by then is returned.
        **keywords
            Filters: ``gpu_name="4090"``, ``num_gpus=(2, None)``, ``gpu_ram_gb=24``,
            ``geolocation=["SE", "NO"]``, ``verified="any"``.

        Returns
        -------
        DataFrame
            One row per offer, the same columns and dtypes in every answer; units in
            ``df.vast.units``. ``df.attrs["vastnb"]`` (also ``df.vast.provenance``) says what was
            asked, how old the answer is, whether it is `stale` and why, whether it may be
            `truncated`, and whether it is `whole`: ``"proved"``, ``"assumed"`` or ``"cut"``.

        Raises
        ------
        QueryError
            If the query cannot be understood; nothing was sent.
        QuotaExceeded, RateLimited, AuthError, ServerError
            If the service cannot be asked and no earlier answer is at hand.
        """
        parsed = parse_query(query, **keywords)
        body = parsed.body(type=type, order=order, limit=limit, storage=storage)
        search = Search(parsed.text, body, refresh, columns, max_calls)
        search.check()
        for doubt in parsed.doubts:
            warnings.warn(doubt, UserWarning, stacklevel=2)
        return self._offers.whole(search) if complete else self._offers.once(search)

    def search_many(
        self,
        queries: Mapping[str, QueryLike] | Sequence[str],
        **options: Any,
    ) -> pd.DataFrame:
        """Search several times, and put the answers under one another.

        Parameters
        ----------
        queries : dict of str to query, or sequence of str
            The searches by a label of your choice; the labels of a sequence are its queries.
        **options
            As for `search_offers`, for all of them; keyword filters too.

        Returns
        -------
        DataFrame
            As from `search_offers`, with a first column ``query`` (the label). An offer that
            fits two searches comes twice.

        Raises
        ------
        QueryError
            If one cannot be understood; nothing was sent for any of them.
        VastError
            As for `search_offers`. What was answered before stays in the cache.
        """
        if isinstance(queries, str) or not isinstance(queries, Mapping | Sequence):
            raise InvalidRequest(
                "search_many takes a dict or a list of queries; for one query there is "
                "search_offers. Nothing was sent."
            )
        named = queries if isinstance(queries, Mapping) else {query: query for query in queries}
        for query in named.values():
            parse_query(query, **_filters_of(options))
        return concat_offers(
            {label: self.search_offers(query, **options) for label, query in named.items()}
        )

    def gpu_types(self) -> pd.DataFrame:
        """Return the GPU models that the service knows: name and VRAM in MB.

        Returns
        -------
        DataFrame
            One row per model.
        """
        return self._records("gpu_types", "gpu_types")

    def search_templates(self, query: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return templates: ready-made images with their settings.

        Parameters
        ----------
        query : dict, optional
            The service's ``select_filters``, such as ``{"name": {"eq": "PyTorch"}}``.

        Returns
        -------
        DataFrame
            One row per template. Start scripts and environments are left out, since they may
            hold secrets.
        """
        if query is not None and not isinstance(query, Mapping):
            raise InvalidRequest(
                'search_templates takes a dict such as {"name": {"eq": "PyTorch"}}. Nothing was '
                "sent."
            )
        params = {"select_cols": ["*"], "select_filters": dict(query or {})}
        return self._records("search_templates", "templates", params=params)

    # -- the account -------------------------------------------------------------------------

    def show_user(self) -> dict[str, Any]:
        """Return the account: e-mail, credit in dollars, and so on, without its secrets.

        Raises
        ------
        AuthError
            Without a key, or with a wrong one.
        """
        answer = self._transport.call("show_user")
        user: dict[str, Any] = without_secrets(answer.data)
        return user

    def traffic(self) -> pd.DataFrame:
        """Return what this client has asked of the service.

        Returns
        -------
        DataFrame
            One row per endpoint: ``endpoint``, ``calls``, ``sent`` (requests, retries included),
            ``cache_hits``, ``stale`` (older answers that had to do), ``waited_s`` (seconds),
            ``refused`` (429s), ``errors``. ``attrs["vastnb"]`` has ``rows_used_today``,
            ``rows_limit`` and ``rows_reset_at`` of the search quota, which all your kernels share.
        """
        quota = self.quota()
        frame = pd.DataFrame(self._transport.traffic(), columns=["endpoint", *COUNTERS]).astype(
            {
                "endpoint": pd.StringDtype("python"),
                **{name: "float64" if name == "waited_s" else "int64" for name in COUNTERS},
            }
        )
        frame.attrs["vastnb"] = {
            "rows_used_today": quota.used,
            "rows_limit": quota.limit,
            "rows_reset_at": quota.resets_at.isoformat(),
        }
        return frame

    def quota(self) -> Quota:
        """Return how many rows of today's search quota this account has used, in all kernels."""
        return self._transport.quota()

    # -- the client itself -------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._transport.base_url

    @property
    def has_key(self) -> bool:
        """Whether requests carry an API key."""
        return self._transport.why_keyless is None

    @property
    def simulated(self) -> bool:
        """Whether the server is a simulated market, as far as its answers have told."""
        return self._transport.simulated or self.server is not None

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have `callback` called when the client closes."""
        self._closing.callback(callback)

    def close(self) -> None:
        """Close connections and files. Calls that wait end with an error; machines stay.

        A warning names machines whose deadlines nobody enforces from now on.
        """
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.simulated:
            return "<vastnb.Client: simulated market>"
        return f"<vastnb.Client: {self.base_url}, {_source(self._key_source)}>"

    # -- in private --------------------------------------------------------------------------

    def _records(
        self, endpoint: str, field: str, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        answer = self._transport.call(endpoint, params=params)
        frame = frame_of_records(answer.data[field])
        return dated(frame, {"source": self.base_url}, [answer])


def _filters_of(options: Mapping[str, Any]) -> dict[str, Any]:
    own = {"type", "order", "limit", "storage", "refresh", "columns", "complete", "max_calls"}
    return {name: value for name, value in options.items() if name not in own}


def _source(name: str) -> str:
    return name if name == "no key" else f"key from {name}"


__all__ = ["Client"]
