"""`Client`: Vast's own verbs, one line of work each.

A verb becomes a call in `vastnb.api` (cached, paced, retried), and its JSON becomes a frame in
`vastnb.market`.

It is long because each verb is explained where it is called; two thirds of it are docstrings.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from vastnb.api.credentials import as_secret, find_key
from vastnb.api.credentials import base_url as find_base_url
from vastnb.api.progress import WaitHook
from vastnb.api.resources import Cache
from vastnb.api.secret import Secret, veil, without_secrets
from vastnb.api.text import is_local
from vastnb.api.transport import Transport
from vastnb.api.usage import COUNTERS, Quota
from vastnb.clock import Clock
from vastnb.errors import AuthError, InstanceFailed, InvalidRequest, JournalError, VastError
from vastnb.fleet.costs import Burn, Sweep, burn_of, sweep_of
from vastnb.fleet.instance import Fleet, Instance, handle_of, one_of
from vastnb.fleet.listing import list_instances, record_of
from vastnb.fleet.logs import fetch_log
from vastnb.fleet.records import frame_of_instances
from vastnb.fleet.rent.candidates import as_given, disk_for, is_query, offer_of, offers_of
from vastnb.fleet.rent.deadline import Limits
from vastnb.fleet.rent.events import Listener
from vastnb.fleet.rent.journal import JournalView
from vastnb.fleet.rent.obligations import known_contracts
from vastnb.fleet.rent.recovery import Report
from vastnb.fleet.rent.renter import Renter
from vastnb.fleet.rent.spec import Spec
from vastnb.fleet.status import Wanted
from vastnb.fleet.watch.wait import Wait, wait_for, wait_for_async
from vastnb.fleet.watch.watcher import Watcher
from vastnb.market.frames.offers import concat_offers
from vastnb.market.frames.records import frame_of_records
from vastnb.market.history.keep import Keep, wanted
from vastnb.market.history.recorder import Recorder
from vastnb.market.query.query import OfferType, Order, QueryLike, parse_query
from vastnb.market.search import Columns, OfferSearch, dated
from vastnb.market.service_figures import (
    Hosting,
    Verified,
    current_frame,
    history_frame,
    over_time,
    population,
)
from vastnb.remote.verbs import put_away

if TYPE_CHECKING:
    from vastnb.market.history import History
    from vastnb.sim import Server

Ids = int | Sequence[int]


class Client:
    """A connection to the GPU market.

    Parameters
    ----------
    api_key : str, optional
        By default the key is looked for where the official client looks: ``VAST_API_KEY``,
        ``~/.config/vastai/vast_api_key``, ``~/.vast_api_key``; then in Colab's and Kaggle's
        secrets and an installed keyring. Without a key you can search the market (64 offers
        per search); everything else is an `AuthError`.
    base_url : str, optional
        The server; by default ``VAST_URL``, else ``https://console.vast.ai``.
    cache : {"sqlite", "memory"}, path, "redis://..." or None
        Where answers are cached. The default is a file that your kernels share; with Redis,
        several computers share the cache and the pace.
    cache_ttl : float
        Seconds for which a search result stays fresh.
    max_wait : float
        Seconds that one call may take in total, including pacing and retries.
    timeout : float
        Seconds for each step on the socket.
    clock : Clock, optional
        The time, for tests.
    on_wait : WaitHook, optional
        Called around every wait for the rate limit; by default, waits of two seconds and more
        show a progress line.
    history : bool or Keep, optional
        Whether the results of searches are recorded on this computer, for `history`. By default
        they are, if the extra ``history`` is installed and ``VASTNB_HISTORY`` is not ``0``; 400
        days and 2 GB at most (``vastnb.market.history.Keep``, ``VASTNB_HISTORY_DAYS``,
        ``VASTNB_HISTORY_GB``).

    Raises
    ------
    AuthError
        If the key that was found is not valid.
    InvalidRequest
        If the address or a number is not valid.

    Attributes
    ----------
    transport : Transport
        Sends requests to Vast.ai.
    renter : Renter
        Rents, guards and destroys machines.

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

        self.transport = transport = Transport(
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
        self._recorder = Recorder(transport, wanted(history), transport.base_url, transport.clock)
        self._offers = OfferSearch(
            transport.call,
            transport.quota,
            transport.base_url,
            has_key=self.has_key,
            keep=transport.keep,
            record=self._recorder,
            cuts=transport.cut_lengths,
        )
        self._watcher = Watcher(
            transport.call,
            transport.clock,
            JournalView(transport.account, transport.clock),
            local=is_local(transport.base_url),
        )
        self.renter = Renter(
            transport,
            self._offers,
            self._watcher,
            over=partial(put_away, transport.account),
        )
        self._watcher.also = self.renter.guard.saw
        self._server: Server | None = None
        self._closing = ExitStack()
        self._closing.callback(transport.close)
        self._closing.callback(self._recorder.close)

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
            Maximum number of offers; by default Vast.ai decides (512 or 1,000 with a key, 64
            without).
        storage : float
            Disk in GB that the prices include.
        refresh : bool
            Search again even if a fresh answer is in the cache.
        columns : {"default", "all"}
            ``"all"`` adds redundant and rarely used columns, and those that Vast.ai has added
            since.
        complete : bool
            If the answer may have been cut short, read the rest as well by splitting the price
            range. This takes several paced calls and counts against the day's quota of rows; a
            warning says how many before they are made.
        max_calls : int
            Maximum number of calls for ``complete=True``; what was read by then is returned.
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
            If Vast.ai cannot be reached and no earlier answer is cached.
        """
        return self._offers.search(
            query,
            type=type,
            order=order,
            limit=limit,
            storage=storage,
            refresh=refresh,
            columns=columns,
            complete=complete,
            max_calls=max_calls,
            **keywords,
        )

    def search_many(
        self,
        queries: Mapping[str, QueryLike] | Sequence[str],
        **options: Any,
    ) -> pd.DataFrame:
        """Run several searches, and return the results in one frame.

        Parameters
        ----------
        queries : dict of str to query, or sequence of str
            The searches, by a label of your choice; in a sequence, each query is its own label.
        **options
            As for `search_offers`, for all of them; keyword filters too.

        Returns
        -------
        DataFrame
            As from `search_offers`, with a first column ``query`` (the label). An offer that
            matches two searches appears twice.

        Raises
        ------
        QueryError
            If one cannot be understood; nothing was sent for any of them.
        VastError
            As for `search_offers`. Answers received before the error stay in the cache.
        """
        if isinstance(queries, str) or not isinstance(queries, Mapping | Sequence):
            raise InvalidRequest(
                "search_many takes a dict or a list of queries; for one query, use search_offers. "
                "Nothing was sent."
            )
        named = queries if isinstance(queries, Mapping) else {query: query for query in queries}
        for query in named.values():
            parse_query(query, **_filters_of(options))
        return concat_offers(
            {label: self.search_offers(query, **options) for label, query in named.items()}
        )

    def gpu_types(self) -> pd.DataFrame:
        """Return the GPU models that Vast.ai knows: name and VRAM in MB.

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

    @property
    def history(self) -> History:
        """The price history, recorded from your own searches; needs the extra ``history``."""
        recorder = self._recorder
        if self.server is None:
            return recorder.history
        recorder.mark_simulated()  # known before it has said so
        from vastnb.sim.past import past

        history = recorder.history
        history.past = partial(past, self.server.world)
        return history

    def gpu_metrics(
        self,
        *,
        verified: Verified = "yes",
        hosting_type: Hosting = "all",
        num_gpus: int | str = "all",
    ) -> pd.DataFrame:
        """Return Vast.ai's own figures on each GPU model now: supply, demand and prices.

        Parameters
        ----------
        verified : {"yes", "no", "all"}
            Which machines are counted.
        hosting_type : {"all", "secure_cloud", "community"}
            Where they are: in datacenters, or with private hosts.
        num_gpus : int or "all"
            Only machines or slices with this number of GPUs (1, 2, 4 or 8).

        Returns
        -------
        DataFrame
            One row per model: ``gpu_name``; ``total``, ``available``, ``rented_verified``,
            ``avail_verified``, ``rented_unverified``, ``avail_unverified`` (machines); ``usage``
            and ``usage_30d`` (%); ``dlperf``, ``tflops`` (of one GPU); ``price_p10`` to
            ``price_p90`` ($/h of one GPU); ``tflops_per_dollar``, ``dlperf_per_dollar``.

        Raises
        ------
        InvalidRequest
            If an argument is not one of the above.
        AuthError
            Without a key, or if this account may not see these figures.
        """
        asked = population(verified, hosting_type, num_gpus)
        answer = self.transport.call("gpu_metrics", params=asked)
        return dated(current_frame(answer.data), {"source": self.base_url, **asked}, [answer])

    def gpu_trends(
        self,
        gpu: str | Sequence[str] = ("RTX 5090", "RTX 4090", "RTX 3090"),
        *,
        days: float = 1,
        every: str | None = None,
        verified: Verified = "yes",
        hosting_type: Hosting = "all",
        num_gpus: int | str = "all",
    ) -> pd.DataFrame:
        """Return Vast.ai's own figures on GPU models over time: supply, demand and prices.

        Parameters
        ----------
        gpu : str or list of str
            GPU models in any spelling, or ``"all"``.
        days : float
            How far back.
        every : str, optional
            Time between two points, such as ``"6h"``; by default Vast.ai returns about 20 points.
        verified, hosting_type, num_gpus
            As for `gpu_metrics`.

        Returns
        -------
        DataFrame
            One row per model and moment: ``at`` (UTC), ``gpu_name``; ``rented_verified``,
            ``avail_verified``, ``rented_unverified``, ``avail_unverified``, ``total`` (machines);
            ``rented_p10``, ``rented_median``, ``rented_p90``, ``avail_p10``, ``avail_median``,
            ``avail_p90`` ($/h of one GPU).

        Raises
        ------
        InvalidRequest
            If an argument is not one of the above.
        AuthError
            Without a key, or if this account may not see these figures.
        """
        whom = population(verified, hosting_type, num_gpus)
        asked = over_time(gpu, days, every, whom, self._recorder.now())
        answer = self.transport.call("gpu_metrics_history", params=asked)
        return dated(history_frame(answer.data), {"source": self.base_url, **asked}, [answer])

    # -- the account -------------------------------------------------------------------------

    def show_user(self) -> dict[str, Any]:
        """Return the account: e-mail, credit in dollars and so on, without secrets.

        Raises
        ------
        AuthError
            Without a key, or with a wrong one.
        """
        answer = self.transport.call("show_user")
        user: dict[str, Any] = without_secrets(answer.data)
        return user

    def traffic(self) -> pd.DataFrame:
        """Return what this client has requested from Vast.ai.

        Returns
        -------
        DataFrame
            One row per endpoint: ``endpoint``, ``calls``, ``sent`` (requests, retries included),
            ``cache_hits``, ``stale`` (older answers used instead), ``waited_s`` (seconds),
            ``refused`` (429s), ``errors``. ``attrs["vastnb"]`` has ``rows_used_today``,
            ``rows_limit`` and ``rows_reset_at`` of the search quota, which all your kernels share.
        """
        quota = self.quota()
        frame = pd.DataFrame(self.transport.traffic(), columns=["endpoint", *COUNTERS]).astype(
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
        return self.transport.quota()

    # -- machines ----------------------------------------------------------------------------

    def show_instances(self) -> pd.DataFrame:
        """Return all instances of the account.

        Returns
        -------
        DataFrame
            One row per instance, the same columns and dtypes in every answer; secrets are left
            out.

        Raises
        ------
        ServerError
            If Vast.ai returned an incomplete list; it is never shown as complete.
        """
        self.renter.begin()
        listing = list_instances(self.transport.call, self.transport.clock, columns=["*"])
        seen = self.watcher.feed(listing)
        return frame_of_instances(
            listing.records,
            now=listing.asked_at,
            verdicts={one.id: one.verdict for one in seen.instances},
            provenance={"source": self.base_url},
        )

    def show_instance(self, id: int) -> Instance:
        """Return one instance.

        Raises
        ------
        InvalidRequest
            If the account has no such instance.
        """
        self.renter.begin()
        record = record_of(self.transport.call, id_of(id))
        if record is None:
            raise InvalidRequest(
                f"You have no instance {id}: it was destroyed or never existed. Nothing is billed "
                "for it.",
                code="no_such_instance",
            )
        return Instance(self, int(id), record=record)

    def wait(
        self,
        ids: Ids,
        until: Wanted = "running",
        timeout: float = 900,
        *,
        reachable: bool = False,
    ) -> list[Instance]:
        """Wait until instances are running (or stopped, or gone); see `Instance.wait`.

        Parameters
        ----------
        ids : int or sequence of int
            The instances.
        until : {"running", "stopped", "gone"}
            What to wait for.
        timeout : float
            Seconds.
        reachable : bool
            Wait until SSH answers, too.
        """
        self.renter.begin()
        watcher, clock = self.watcher, self.transport.clock
        numbers = _several(ids)
        wait_for(Wait(watcher, clock, numbers, until, timeout, reachable=reachable), watcher, clock)
        return [Instance(self, one) for one in numbers]

    async def wait_async(
        self,
        ids: Ids,
        until: Wanted = "running",
        timeout: float = 900,
        *,
        reachable: bool = False,
    ) -> list[Instance]:
        """Wait without blocking the kernel: ``await client.wait_async(...)``.

        It can be cancelled at any time. Parameters, result and errors are those of `wait`.
        """
        watcher, clock = self.watcher, self.transport.clock
        numbers = _several(ids)
        wait = Wait(watcher, clock, numbers, until, timeout, reachable=reachable)
        await wait_for_async(wait, watcher, clock)
        return [Instance(self, one) for one in numbers]

    def logs(
        self,
        id: int,
        tail: int = 1000,
        *,
        daemon: bool = False,
        filter: str | None = None,
        timeout: float = 30,
    ) -> str:
        """Return the last lines of an instance's log.

        Parameters
        ----------
        id : int
            The instance.
        tail : int
            How many lines.
        daemon : bool
            The log of the machine's own daemon instead of the container's.
        filter : str, optional
            Only lines that contain it.
        timeout : float
            Seconds to wait for the log.

        Raises
        ------
        WaitTimeout
            If the log does not arrive in time.
        """
        body: dict[str, Any] = {"tail": str(int(tail))}
        if filter:
            body["filter"] = filter
        if daemon:
            body["daemon_logs"] = "true"
        data = self._ask("request_logs", id, body)
        return fetch_log(str(data.get("result_url") or ""), self.transport.clock, timeout=timeout)

    # -- changing ----------------------------------------------------------------------------

    def start_instance(self, id: Ids) -> None:
        """Start stopped instances.

        Raises
        ------
        InstanceFailed
            If the GPUs are in use. The start is queued: the machine may start and bill later.
            `stop_instance` cancels that.
        """
        for one in _several(id):
            data = self._ask("manage_instance", one, {"state": "running"}, judge=False)
            self.watcher.expect(one, "running")
            if data.get("success") is False:
                raise InstanceFailed(
                    f"Instance {one} cannot start now ({data.get('error', 'refused')}): its GPUs "
                    "are in use. The start is queued, so it may start and bill later; "
                    f"client.stop_instance({one}) cancels that. Its disk is billed in any case.",
                    code=str(data.get("error") or "refused"),
                )

    def stop_instance(self, id: Ids) -> None:
        """Stop instances: releases their GPUs, keeps their disks, which are still billed."""
        for one in _several(id):
            self._ask("manage_instance", one, {"state": "stopped"})
            self.watcher.expect(one, "stopped")

    def reboot_instance(self, id: int) -> None:
        """Restart an instance's container without releasing its GPUs."""
        self._ask("reboot_instance", id, {})
        self.watcher.nudge(id_of(id), "asked to reboot")

    def label_instance(self, id: int, label: str | None) -> None:
        """Label an instance, with at most 256 characters; None removes the label."""
        if label is not None and (not isinstance(label, str) or len(label) > 256):
            raise InvalidRequest("A label is a string of at most 256 characters. Nothing was sent.")
        self._ask("manage_instance", id, {"label": label or ""})
        self.watcher.relabel(id_of(id), label)

    def change_bid(self, id: int, price: float) -> None:
        """Change the bid of an interruptible instance, $/h from 0.001 to 128.

        A higher bid may start it, a lower one may stop it.
        """
        if isinstance(price, bool) or not (0.001 <= price <= 128):
            raise InvalidRequest(
                f"price={price!r}: give a bid from 0.001 to 128 $/h. Nothing was sent.",
                code="invalid_price",
            )
        self._ask("change_bid", id, {"client_id": "me", "price": float(price)})
        self.renter.guard.look_at_prices()
        self.watcher.nudge(id_of(id), f"bid changed to ${float(price):.4g}/h")

    def destroy_instance(self, id: Ids, *, verify: bool = True) -> None:
        """Destroy instances, including their disks.

        Some machines come back after half a minute. vastnb confirms in the background that these
        stay destroyed, and the next kernel continues if this one ends. One that comes back is
        destroyed again, and you are told.

        Parameters
        ----------
        id : int or sequence of int
            The instances.
        verify : bool
            Return once the instances are no longer listed; if False, as soon as Vast.ai has
            confirmed the request.

        Raises
        ------
        OutcomeUnknown
            If it is not confirmed: one may still bill. vastnb keeps trying in the background.
        """
        self.renter.destroy(_several(id), verify=verify)

    def reconcile(self, *, not_mine: Ids = ()) -> Report:
        """Resolve every rental whose outcome is unknown, and report what is billing.

        Covers rentals of this kernel and of kernels that have ended; never those of a kernel that
        is still running, and never machines that vastnb did not rent on this computer. Machines
        past their deadline are destroyed; for the others, this client enforces the deadline from
        now on.

        Parameters
        ----------
        not_mine : int or sequence of int
            Machines that somebody else rented, or that you rented without vastnb: vastnb no longer
            suspects them to be the result of a request whose answer was lost.

        Returns
        -------
        Report
            Printing it names each machine: found, destroyed, not created, billing. Its
            ``findings`` hold the same as values.

        Raises
        ------
        AuthError
            If the key is not accepted.
        InvalidRequest
            If vastnb rented a machine of `not_mine` on this computer.
        JournalError
            If the rental journal cannot be used.
        """
        return self.renter.reconcile(_several(not_mine))

    # -- renting, and what it costs ----------------------------------------------------------

    def create_instance(
        self,
        offer: Any,
        *,
        image: str | None = None,
        disk: float | None = None,
        label: str | None = None,
        env: Mapping[str, str] | str | None = None,
        onstart: str | None = None,
        runtype: str | None = None,
        price: float | None = None,
        template_hash: str | None = None,
        args: Sequence[str] | None = None,
        cancel_unavail: bool | None = None,
        max_hours: float | None = None,
        budget_usd: float | None = None,
        deadline_on_machine: bool = False,
        check_ssh_key: bool = True,
        on_event: Listener | None = None,
        **more: Any,
    ) -> Instance:
        """Rent one offer, once or not at all.

        Parameters
        ----------
        offer : int, row of a frame, or dict
            The offer.
        image : str, optional
            Docker image; required unless a template names it.
        disk : float, optional
            GB, at least 8; by default the disk of the search, at least 10.
        label : str, optional
            At most 256 characters.
        env : dict or str, optional
            ``{"KEY": "value", "-p 8000:8000": "1"}``, or docker's flags in one string.
        onstart : str, optional
            Shell commands to run at every start, at most 16,384 characters with `args`.
        runtype : str, optional
            ``"ssh"``, ``"ssh_direct"``, ``"jupyter"``, ``"jupyter_direct"``, ``"args"``.
        price : float, optional
            A bid in $/h, which makes the machine interruptible; without it, it is on-demand.
        template_hash : str, optional
            A template.
        args : list of str, optional
            Arguments of the image's own entry point.
        cancel_unavail : bool, optional
            Create nothing if the GPUs are in use; by default True for on-demand.
        max_hours, budget_usd, deadline_on_machine, check_ssh_key, on_event
            As for `rent`.
        **more
            Further fields: ``user``, ``image_login``, ``extra``, ``python_utf8``, ``lang_utf8``,
            ``use_jupyter_lab``, ``jupyter_dir``, ``force``, ``volume_info``, ``vm``.

        Returns
        -------
        Instance
            The machine; it bills from now on. A ``with`` block destroys it at the end.

        Raises
        ------
        OfferGone, NoCredit, InvalidRequest, AuthError, RateLimited
            Nothing was rented. `SpendLimit` is a `NoCredit`; `NoSSHKey` and `BadTemplate` are
            `InvalidRequest`s.
        InstanceFailed
            The machine was created stopped; it was destroyed.
        ServerError
            Nothing was rented: the request was never sent, or never arrived.
        OutcomeUnknown
            A machine may exist; `reconcile` finds it.
        JournalError
            The rental could not be recorded, so nothing was sent.
        """
        env, onstart, args, more = map(veil, (env, onstart, args, more))

        disk = disk_for([offer_of(offer)], disk)
        spec = Spec(image, disk, label, env, onstart, runtype, price, template_hash, args,
                      cancel_unavail, more)  # fmt: skip
        limits = Limits(max_hours, budget_usd, 1, deadline_on_machine)
        return self.renter.create(
            spec,
            offer,
            limits,
            partial(one_of, self),
            check_ssh_key=check_ssh_key,
            on_event=on_event,
        )

    def rent(
        self,
        offers: QueryLike | Any = None,
        *,
        count: int = 1,
        max_dph: float | None = None,
        bid: float | str | None = None,
        max_hours: float | None = None,
        budget_usd: float | None = None,
        deadline_on_machine: bool = False,
        check_ssh_key: bool = True,
        on_event: Listener | None = None,
        image: str | None = None,
        disk: float | None = None,
        label: str | None = None,
        env: Mapping[str, str] | str | None = None,
        onstart: str | None = None,
        runtype: str | None = None,
        template_hash: str | None = None,
        args: Sequence[str] | None = None,
        **more: Any,
    ) -> Instance | Fleet:
        """Rent machines: try the offers in the given order until there are enough.

        Parameters
        ----------
        offers : DataFrame, ids, or query
            Candidates, best first; or a query, whose offers are tried cheapest first.
        count : int
            How many machines; each on a different machine of the market.
        max_dph : float, optional
            Highest price of one machine, $/h with its disk, checked against the current price
            right before renting. Without it, an offer is skipped if its price has risen by more
            than a fifth since your search.
        bid : float or str, optional
            Rent interruptible machines: a bid in $/h for the GPUs, or ``"min"``, ``"min+10%"``,
            ``"min+0.05"``. Required for interruptible offers; they are never rented on demand.
        max_hours : float, optional
            Hours after which each machine is destroyed.
        budget_usd : float, optional
            Dollars that all machines together may cost. They are destroyed when their agreed
            prices, with disks, add up to it as if they ran all the time. **Traffic is not
            included**, since nobody knows beforehand what is transferred; and raising a bid later
            does not move the deadline.
        deadline_on_machine : bool
            Let each machine also destroy itself, by a line before its start script, in case this
            computer is off at the deadline. It uses the instance's own key, and about 700 of the
            16,384 characters of `onstart`. Each machine gets an equal share of a budget.
        check_ssh_key : bool
            Check that the account has an SSH key before renting anything that needs one.
        on_event : callable, optional
            Called with a `RentEvent` (``kind``, ``offer_id``, ``instance_id``, ``dph``, ``text``)
            at every step, in this thread.
        image, disk, label, env, onstart, runtype, template_hash, args, **more
            As for `create_instance`.

        Returns
        -------
        Instance or Fleet
            One machine for ``count=1``, otherwise a sequence of them. Both have ``attempts``, a
            frame that says what happened to each offer, and both destroy their machines at the
            end of a ``with`` block. If there are fewer machines than `count`, a warning says so.

        Raises
        ------
        OfferGone, NoCredit, InvalidRequest, AuthError, RateLimited, ServerError, InstanceFailed
            Nothing was rented. `SpendLimit` is a `NoCredit`; `NoSSHKey` and `BadTemplate` are
            `InvalidRequest`s.
        OutcomeUnknown
            A machine may exist; nothing more was sent. A note names the machines that are billing.
        JournalError
            The rental could not be recorded, so nothing was sent.

        Notes
        -----
        Deadlines are enforced as long as this kernel and this client live. They are stored on
        disk: a kernel that starts later destroys what is overdue when it first uses a client, and
        enforces the other deadlines.
        """
        env, onstart, args, more = map(veil, (env, onstart, args, more))

        offers = as_given(offers)
        disk = disk_for([] if is_query(offers) else offers_of(offers), disk)
        spec = Spec(image, disk, label, env, onstart, runtype, None, template_hash, args,
                      None, more)  # fmt: skip
        limits = Limits(max_hours, budget_usd, count, deadline_on_machine)
        return self.renter.rent(
            spec,
            offers,
            limits,
            partial(handle_of, self),
            count=count,
            max_dph=max_dph,
            bid=bid,
            check_ssh_key=check_ssh_key,
            on_event=on_event,
        )

    def burn(self) -> Burn:
        """Return what all machines of the account cost now, and how long the credit lasts.

        Returns
        -------
        Burn
            ``per_hour``, ``running_per_hour``, ``stopped_per_hour`` ($/h, without traffic),
            ``stopped`` (ids that are not running but billed), ``credit`` ($),
            ``runway_hours`` and ``machines``, a frame.

        Raises
        ------
        ServerError
            If Vast.ai returned an incomplete list of instances.
        """
        self.renter.begin()
        listing = list_instances(self.transport.call, self.transport.clock, columns=["*"])
        try:
            credit = self.renter.account.credit()
        except VastError:
            credit = None  # a key that may not ask for it still shows what is spent
        try:
            entries = self.renter.journal.entries(self.transport.account)
        except JournalError:
            entries = []
        deadlines = {one.contract: one.deadline for one in entries if one.contract and one.deadline}
        return burn_of(
            listing.records,
            now=listing.asked_at,
            credit=credit,
            deadlines={k: v for k, v in deadlines.items() if v is not None},
            known=known_contracts(entries),
        )

    def sweep(self, *, dry_run: bool = True) -> Sweep:
        """Destroy every machine that vastnb rented for this account, on this computer.

        Parameters
        ----------
        dry_run : bool
            Only name them and what they cost. This is the default.

        Returns
        -------
        Sweep
            Printing it names the machines. It never includes machines rented without vastnb, or
            by vastnb on another computer; `destroy_instance` destroys one by its id.

        Raises
        ------
        OutcomeUnknown
            If it is not confirmed: one may still bill.
        """
        found = sweep_of(self.burn(), dry_run=dry_run)
        if found.ids and not dry_run:
            self.destroy_instance(found.ids)
        return found

    def has_ssh_key(self) -> bool:
        """Return whether the account has an SSH key; without one you cannot log in to machines.

        Once there is one, Vast.ai is not asked again.
        """
        self.renter.begin()
        return self.renter.account.has_ssh_key()

    # -- the client itself -------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self.transport.base_url

    @property
    def has_key(self) -> bool:
        """Whether requests carry an API key."""
        return self.transport.why_keyless is None

    @property
    def simulated(self) -> bool:
        """Whether the server is a simulated market, as far as its answers show."""
        return self.transport.simulated or self.server is not None

    @property
    def server(self) -> Server | None:
        """The simulated service behind a client from `vastnb.demo`."""
        return self._server

    @server.setter
    def server(self, server: Server | None) -> None:
        self._server = server
        # A simulated service in this process ends with its client, and its machines with it.
        self.renter.guard.outlasted = server is None
        if server is not None:
            weakref.finalize(self, self.renter.guard.close)

    @property
    def watcher(self) -> Watcher:
        """The watcher of all instances, which widgets, waits and handles share."""
        self.renter.look_after()
        return self._watcher

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have `callback` called when the client closes."""
        self._closing.callback(callback)

    def close(self) -> None:
        """Close connections and files. Waiting calls end with an error; machines keep running.

        A warning names machines whose deadlines are no longer enforced.
        """
        with self._closing:
            try:
                self.renter.close()
            finally:
                self._watcher.close()

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
        answer = self.transport.call(endpoint, params=params)
        frame = frame_of_records(answer.data[field])
        return dated(frame, {"source": self.base_url}, [answer])

    def _ask(self, endpoint: str, id: int, body: Any, *, judge: bool = True) -> Mapping[str, Any]:
        # What an earlier kernel left open can wait: it is taken up in the background, and settled
        # before anything is created.
        self.renter.look_after()
        answer = self.transport.call(endpoint, path={"id": id_of(id)}, body=body)
        data = answer.data if isinstance(answer.data, Mapping) else {}
        if judge and data.get("success") is False:
            said = data.get("msg") or data.get("error") or "no reason given"
            raise InvalidRequest(
                f'Vast.ai refused this for instance {id} ("{str(said)[:200]}"). Nothing was '
                "changed.",
                code=str(data.get("error") or "refused"),
            )
        return data


def _filters_of(options: Mapping[str, Any]) -> dict[str, Any]:
    own = {"type", "order", "limit", "storage", "refresh", "columns", "complete", "max_calls"}
    return {name: value for name, value in options.items() if name not in own}


def _source(name: str) -> str:
    return name if name == "no key" else f"key from {name}"


def _several(ids: Ids) -> list[int]:
    if isinstance(ids, Sequence) and not isinstance(ids, str):
        return [id_of(one) for one in ids]
    return [id_of(ids)]


def id_of(value: Any) -> int:
    """Return the id of an instance, which may be given as a handle.

    Raises
    ------
    InvalidRequest
        If it is neither.
    """
    number = getattr(value, "id", value)
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole = 0
    odd = isinstance(value, bool) or (not isinstance(number, str) and whole != number)
    if whole <= 0 or odd:
        raise InvalidRequest(f"{value!r} is not an instance id. Nothing was sent.", code="no_id")
    return whole
