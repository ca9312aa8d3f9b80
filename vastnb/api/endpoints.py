"""The one table of what may be asked of Vast, and how.

Pace, cache and retry read this table; nothing else in the package knows a path. A *lane* is one
row for one identity: the service limits each method and path by itself, for the whole account.

Sources: the published reference and the limits that the backend states of itself. Where they
differ, the slower one stands here (`interval`); `None` means that nobody has published one, and
that it is learned from the service's answers. Where they differ in kind, both are kept: search has
an interval and a `window`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Method = Literal["GET", "POST", "PUT", "DELETE"]
Holds = Literal["rows", "record", "any"]

ROWS_A_DAY = 20_000
"""Rows that searches may return per account and UTC day."""


class Window(NamedTuple):
    """At most `most` requests in any `seconds`."""

    most: int
    seconds: float


class Endpoint(NamedTuple):
    """One thing that can be asked of the service.

    Parameters
    ----------
    name : str
        The official client's verb, or ours where it has none.
    method, path : str
        As sent. Every path ends with a slash: without it the service redirects, and a
        redirect turns a POST into a GET.
    interval : float or None
        Seconds between two requests; `None` if nobody published it.
    penalty : float
        Seconds for which a violation closes the lane at least.
    fresh : float or "cache_ttl"
        Seconds that an answer may be used again; 0 is never.
    repeatable : bool
        Whether it may be sent again after an answer was lost. What creates, or acts
        differently the second time, may not.
    counts_rows : bool
        Whether the rows of the answer count against the day's quota.
    expects : str, optional
        The field without which a 200 is not an answer. An old or confused service answers
        ``{}``, and taking that for "no instances" has cost others machines. Without one, the
        answer must be an object.
    public : bool
        Whether it is answered without a key.
    window : Window, optional
        A limit of requests in a span of time, beside `interval`.
    holds : {"rows", "record", "any"}
        What the field (or, without one, the answer itself) must be: a list of objects; an object
        or null; anything.
    creates : bool
        Whether it makes a machine that bills: only the service's own refusal says that it did not.
    """

    name: str
    method: Method
    path: str
    interval: float | None
    penalty: float = 0.0
    fresh: float | Literal["cache_ttl"] = 0.0
    repeatable: bool = False
    counts_rows: bool = False
    expects: str | None = None
    public: bool = False
    window: Window | None = None
    holds: Holds = "rows"
    creates: bool = False

    @property
    def words(self) -> str:
        """What it does, in words: ``"search offers"``."""
        words = self.name.replace("_", " ").replace("gpu", "GPU")
        return f"fetch {words}" if words.startswith("GPU") else words


def _table(*rows: Endpoint) -> dict[str, Endpoint]:
    return {row.name: row for row in rows}


# fmt: off
ENDPOINTS: dict[str, Endpoint] = _table(
    # The market. Of searches the backend allows one every 2 s, and 10 in a minute are published.
    Endpoint("search_offers", "POST", "/api/v0/bundles/", 2.0, fresh="cache_ttl", repeatable=True,
             counts_rows=True, expects="offers", public=True, window=Window(10, 60.0)),
    Endpoint("search_templates", "GET", "/api/v0/template/", 3.0, fresh=3600, repeatable=True,
             expects="templates"),
    Endpoint("gpu_types", "GET", "/api/v0/gpu_types/", None, fresh=86400, repeatable=True,
             expects="gpu_types", public=True),
    Endpoint("gpu_metrics", "GET", "/api/v0/metrics/gpu/current/", 3.0, fresh=300, repeatable=True,
             expects="gpus"),
    Endpoint("gpu_metrics_history", "GET", "/api/v0/metrics/gpu/history/", 3.0, fresh=3600,
             repeatable=True, expects="gpus", holds="record"),

    # The account. Where no interval is known, a second is the guess that is corrected by answers.
    Endpoint("show_user", "GET", "/api/v0/users/current/", None, repeatable=True, expects="id",
             holds="any"),
    Endpoint("show_ssh_keys", "GET", "/api/v0/ssh/", 1.0, repeatable=True, holds="any"),
    Endpoint("create_ssh_key", "POST", "/api/v0/ssh/", 1.0),
    Endpoint("show_charges", "GET", "/api/v0/charges/", 1.0, repeatable=True),

    # Renting. There is no idempotency key: an answer that was lost is reconciled, never re-sent.
    # (There is a bulk create too: one lost answer would leave up to 64 machines.)
    Endpoint("create_instance", "PUT", "/api/v0/asks/{id}/", 4.5, penalty=12.0,
             creates=True),

    # Instances.
    Endpoint("show_instances", "GET", "/api/v1/instances/", 1.0, repeatable=True,
             expects="instances"),
    Endpoint("show_instance", "GET", "/api/v0/instances/{id}/", 2.0, repeatable=True,
             expects="instances", holds="record"),
    Endpoint("manage_instance", "PUT", "/api/v0/instances/{id}/", 1.0, repeatable=True),
    Endpoint("reboot_instance", "PUT", "/api/v0/instances/reboot/{id}/", 1.0),
    Endpoint("recycle_instance", "PUT", "/api/v0/instances/recycle/{id}/", 1.0),
    Endpoint("change_bid", "PUT", "/api/v0/instances/bid_price/{id}/", 5.5, repeatable=True),
    Endpoint("destroy_instance", "DELETE", "/api/v0/instances/{id}/", 3.0, repeatable=True),
    Endpoint("destroy_instances", "DELETE", "/api/v0/instances/", 3.0, repeatable=True),
    Endpoint("fetch_contracts", "POST", "/api/v0/contracts/fetch/", None, repeatable=True),
    Endpoint("request_logs", "PUT", "/api/v0/instances/request_logs/{id}/", None, repeatable=True),
)
# fmt: on
