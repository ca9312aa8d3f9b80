"""The one table of what a search can filter by, and the units in which one writes it.

The names are those of the official client, and `os_version`, which only the published reference
knows. `MULTIPLIER` is why the same name has two units: in a query, as in the official client,
memory is written in GB and a duration in days; in the JSON that is sent, and in the columns that
come back, they are MB and seconds.
"""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["number", "text", "flag", "version", "gpu", "country"]
"""What a field holds.

``version`` is a driver version, sent packed; ``gpu`` a model name; ``country`` two letters.
"""

_NUMBERS: Final = """
    bw_nvlink cluster_id compute_cap cpu_cores cpu_cores_effective cpu_ghz cpu_ram cuda_max_good
    direct_port_count disk_bw disk_space dlperf dlperf_per_dphtotal dph_total duration
    flops_per_dphtotal gpu_frac gpu_max_power gpu_max_temp gpu_mem_bw gpu_ram gpu_total_ram host_id
    id inet_down inet_down_cost inet_up inet_up_cost machine_id min_bid num_gpus pci_gen pcie_bw
    reliability storage_cost total_flops
"""
_FLAGS: Final = """
    datacenter external gpu_display_active has_avx rentable rented static_ip verified vms_enabled
"""
_TEXTS: Final = "cpu_arch gpu_arch mobo_name os_version ubuntu_version verification"

FIELDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(_NUMBERS.split(), "number"),
    **dict.fromkeys(_FLAGS.split(), "flag"),
    **dict.fromkeys(_TEXTS.split(), "text"),
    "driver_version": "version",
    "gpu_name": "gpu",
    "geolocation": "country",
}
"""Every field that the service is known to filter by, and its kind."""

ALIASES: Final[dict[str, str]] = {
    "cuda_vers": "cuda_max_good",
    "display_active": "gpu_display_active",
    "dlperf_usd": "dlperf_per_dphtotal",
    "dph": "dph_total",
    "flops_usd": "flops_per_dphtotal",
    # Ours: columns that this package derives, where they mean the same in the same unit.
    "country": "geolocation",
    "cpu_ram_gb": "cpu_ram",
    "duration_days": "duration",
}
"""Other names for fields. The first five are the official client's."""

MULTIPLIER: Final[dict[str, float]] = {
    "cpu_ram": 1000,
    "gpu_ram": 1000,
    "gpu_total_ram": 1000,
    "duration": 86400.0,
}
"""What a number in a query is multiplied by before it is sent (GB to MB, days to seconds)."""

NOMINAL_VRAM: Final = "gpu_ram_gb"
"""The field that we add: VRAM as it is printed on the box. It is sent as a range of `gpu_ram`."""

DEFAULTS: Final[dict[str, dict[str, bool]]] = {
    "verified": {"eq": True},
    "external": {"eq": False},
    "rentable": {"eq": True},
}
"""Filters that the official command line adds; ``field=any`` drops one.

The service adds ``rentable`` itself where it is missing, so dropping that one must be sent (`ANY`).
"""

ANY: Final[dict[str, dict[str, str]]] = {"rentable": {"eq": "any"}}
"""What is sent to drop a default that the service would add by itself."""

RENAMED: Final[dict[str, str]] = {
    "reliability2": "reliability",
    "driver_vers": "driver_version",
    "ask_contract_id": "id",
    "hosting_type": "datacenter=true",
    "discounted_dph_total": "dph_total",
    "price": "dph_total",
    "price_per_hour": "dph_total",
    "bid_price": "min_bid",
    "dlperf/$": "dlperf_usd",
    "flops/$": "flops_usd",
    "gpu": "gpu_name",
    "gpus": "num_gpus",
    "vram": "gpu_ram_gb",
    "region": "geolocation",
    "cuda": "cuda_vers",
    "direct": "direct_port_count>=1",
}
"""Names that people try, and what does it: a field, or a whole filter."""

NO_FILTERS: Final[dict[str, str]] = {
    "no_default": "Drop the defaults one by one: verified=any external=any rentable=any.",
    "ssh": "Every offer can be reached by SSH; for direct SSH filter by direct_port_count>=1. "
    "Choose runtype= when you rent.",
    "jupyter": "Every offer can run Jupyter. Choose runtype= when you rent.",
    "entrypoint": "It belongs to the image, which you choose when you rent.",
    "image": "Choose the image when you rent.",
    "template": "client.search_templates() lists templates; choose one when you rent.",
    "chunked": "It rounds values for another tool. Leave it out.",
}
"""Words that are no filters at all, and what to do instead."""

OPERATORS: Final[dict[str, str]] = {
    "=": "eq",
    "==": "eq",
    "eq": "eq",
    "!=": "neq",
    "neq": "neq",
    "not eq": "neq",
    "noteq": "neq",
    ">": "gt",
    "gt": "gt",
    ">=": "gte",
    "gte": "gte",
    "<": "lt",
    "lt": "lt",
    "<=": "lte",
    "lte": "lte",
    "in": "in",
    "notin": "notin",
    "nin": "notin",
    "not in": "notin",
}
"""Every spelling of an operator, and its name in the JSON."""

SYMBOLS: Final[dict[str, str]] = {
    "eq": "=",
    "neq": "!=",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "in": " in ",
    "notin": " notin ",
}
"""The operator as canonical text writes it."""

GEOREGION: Final = "georegion"
"""With ``georegion=true``, a code of `regions.REGIONS` stands for its countries."""

ARGUMENTS: Final[dict[str, str]] = {
    "bid": "type=",
    "interruptible": "type=",
    "type": "type=",
    "order": "order=",
    "limit": "limit=",
    "allocated_storage": "storage=",
    "storage": "storage=",
}
"""Keys of a request that are not filters, and the argument that sets each."""


def canonical(name: str) -> str:
    """Return the field's own name for an alias; any other name unchanged."""
    return ALIASES.get(name, name)
