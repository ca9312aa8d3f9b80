"""Routes about the market: search in its three forms, GPU types and names, metrics."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from vastnb.sim.http.exchange import Call, Reply, Route
from vastnb.sim.market.listing import Listing
from vastnb.sim.market.metrics import history, snapshot
from vastnb.sim.market.search import Found
from vastnb.sim.refusal import Failure

DEFAULTS = {"verified": {"eq": True}, "external": {"eq": False}, "rentable": {"eq": True}}


def _found(call: Call, query: Any) -> Found:
    return call.world.search(query, keyed=call.account is not None)


def search(call: Call) -> Reply:
    """POST /bundles/: the body is the query object itself."""
    found = _found(call, {} if call.body is None else call.body)
    return Reply(found.to_json(), rows=len(found.rows))


def search_get(call: Call) -> Reply:
    """GET /bundles/?q=<json>."""
    found = _found(call, call.json_param("q", {}))
    return Reply(found.to_json(), rows=len(found.rows))


def search_asks(call: Call) -> Reply:
    """PUT /search/asks/: the query in ``q``, the wanted columns in ``select_cols``."""
    fields = call.fields()
    columns = fields.get("select_cols", ["*"])
    if not (isinstance(columns, list) and all(isinstance(c, str) for c in columns)):
        raise Failure(400, "bad_request", "select_cols: Input should be a valid list")
    found = _found(call, fields.get("q", {}))
    if "*" in columns:
        return Reply(found.to_json(), rows=len(found.rows))
    return Reply({"offers": found.to_rows(columns)}, rows=len(found.rows))


def _by_name(listings: Any) -> dict[str, list[Listing]]:
    named: dict[str, list[Listing]] = defaultdict(list)
    for listing in listings:
        name = listing.own.get("gpu_name") or listing.shared.get("gpu_name")
        if isinstance(name, str):
            named[name].append(listing)
    return dict(sorted(named.items()))


def gpu_types(call: Call) -> Reply:
    """GET /gpu_types/: the catalogue of names and of VRAM per card, MB."""
    types: list[dict[str, Any]] = []
    for name, listings in _by_name(call.world.market.listings()).items():
        first = listings[0]
        sizes = {x.own.get("gpu_ram") or x.shared.get("gpu_ram") for x in listings}
        for ram in sorted(size for size in sizes if isinstance(size, (int, float))):
            types.append(
                {
                    "id": 1000 + len(types),
                    "canonical_name": name,
                    "gpu_name": name,
                    "gpu_ram_mb": ram,
                    "compute_cap": first.own.get("compute_cap", first.shared.get("compute_cap")),
                    "gpu_arch": "nvidia",
                }
            )
    return Reply({"success": True, "gpu_types": types})


def gpu_names(call: Call) -> Reply:
    """GET /gpu_names/unique/."""
    return Reply({"gpu_names": list(_by_name(call.world.market.listings()))})


def _choice(call: Call, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = call.params.get(name, default)
    if value not in allowed:
        raise Failure(400, "invalid_request", f"{name} must be one of {', '.join(allowed)}")
    return value


def _population(call: Call) -> list[Listing]:
    verified = _choice(call, "verified", ("yes", "no", "all"), "yes")
    hosting = _choice(call, "hosting_type", ("all", "secure_cloud", "community"), "all")
    bucket = _choice(call, "num_gpus", ("all", "1", "2", "4", "8"), "all")

    def fits(listing: Listing) -> bool:
        columns = {**listing.shared, **listing.own}
        is_verified = columns.get("verification") == "verified"
        secure = columns.get("hosting_type") == 1
        return (
            (verified == "all" or is_verified is (verified == "yes"))
            and (hosting == "all" or secure is (hosting == "secure_cloud"))
            and (bucket == "all" or listing.num_gpus == int(bucket))
        )

    return [listing for listing in call.world.market.listings() if fits(listing)]


def metrics_current(call: Call) -> Reply:
    """GET /metrics/gpu/current/: supply, demand and prices of every GPU type now."""
    now = call.world.today()
    gpus = [snapshot(name, offers, now) for name, offers in _by_name(_population(call)).items()]
    return Reply({"success": True, "gpus": gpus})


def metrics_history(call: Call) -> Reply:
    """GET /metrics/gpu/history/: the same over time."""
    world = call.world
    wanted = call.params.get("gpu_name", "RTX 5090, RTX 4090, RTX 3090")
    named = _by_name(_population(call))
    names = (
        list(named)
        if wanted == "all"
        else [name.strip().replace("_", " ") for name in wanted.split(",")]
    )
    try:
        end = float(call.params.get("end", world.today()))
        start = float(call.params.get("start", end - 86_400))
        step = float(call.params.get("step", max(60.0, (end - start) / 20)))
    except ValueError:
        raise Failure(400, "invalid_request", "start, end and step must be numbers") from None
    if not (end > start and step > 0):
        raise Failure(400, "invalid_request", "end must be after start, and step above 0")
    step = max(step, (end - start) / 2000)
    times = [start + step * i for i in range(int((end - start) / step) + 1)]
    return Reply(
        {
            "success": True,
            "gpus": {
                name: history(world.market, world.opened(), named[name], times, world.today())
                for name in names
                if name in named
            },
        }
    )


ROUTES = (
    Route("search_offers", "POST", "/api/v0/bundles/", search, needs_key=False),
    Route("search_offers_get", "GET", "/api/v0/bundles/", search_get, needs_key=False),
    Route("search_asks", "PUT", "/api/v0/search/asks/", search_asks, needs_key=False),
    Route("gpu_types", "GET", "/api/v0/gpu_types/", gpu_types, needs_key=False),
    Route("gpu_names", "GET", "/api/v0/gpu_names/unique/", gpu_names, needs_key=False),
    Route("gpu_metrics", "GET", "/api/v0/metrics/gpu/current/", metrics_current),
    Route("gpu_metrics_history", "GET", "/api/v0/metrics/gpu/history/", metrics_history),
)

__all__ = ["ROUTES"]
