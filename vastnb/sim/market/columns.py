"""The columns of an offer, and the arithmetic that ties the prices together.

What an offer says falls into three parts: what belongs to the machine, what belongs to the
slice of it that is for rent, and what depends on the moment and on the question (prices at the
disk size that was asked for). Only the third part is worked out for every search.

The formulas reproduce recorded answers to the last bit: the disk costs
``storage_cost / 720 * GB`` an hour, and the total is that plus ``dph_base``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HOURS_A_MONTH = 720
DEFAULT_STORAGE_GB = 8.0
"""What the service reckons with when a search does not say how much disk is wanted."""

PRICED = (
    "dph_base",
    "dph_total",
    "discounted_dph_total",
    "dph_total_adj",
    "storage_total_cost",
    "vram_costperhour",
    "dlperf_per_dphtotal",
    "flops_per_dphtotal",
    "min_bid",
    "search",
    "instance",
)
"""Columns that follow from the price and the disk size."""

OF_THE_MOMENT = frozenset((*PRICED, "score", "duration", "rentable", "rented", "start_date"))
"""Columns that are worked out anew for every search."""

ALIASES = {"ubuntu_version": "os_version", "cuda_vers": "cuda_max_good", "dph": "dph_total"}
"""Other spellings that a query may use."""

VIRTUAL = frozenset({"verified", "datacenter", "country"})
"""What can be asked for without being a column of the answer."""

TYPES: dict[str, type] = {
    **dict.fromkeys(
        [
            "id",
            "ask_contract_id",
            "bundle_id",
            "bundled_results",
            "compute_cap",
            "cpu_cores",
            "cpu_ram",
            "direct_port_count",
            "driver_vers",
            "geolocode",
            "gpu_lanes",
            "gpu_ram",
            "gpu_total_ram",
            "has_avx",
            "host_id",
            "hosting_type",
            "machine_id",
            "num_gpus",
            "rn",
            "vericode",
            "avail_vol_ask_id",
            "cluster_id",
        ],
        int,
    ),
    **dict.fromkeys(
        [
            "bw_nvlink",
            "cpu_cores_effective",
            "cpu_ghz",
            "credit_discount_max",
            "cuda_max_good",
            "discount_rate",
            "discounted_dph_total",
            "discounted_hourly",
            "disk_bw",
            "disk_space",
            "dlperf",
            "dlperf_per_dphtotal",
            "dph_base",
            "dph_total",
            "dph_total_adj",
            "duration",
            "end_date",
            "flops_per_dphtotal",
            "gpu_frac",
            "gpu_max_power",
            "gpu_max_temp",
            "gpu_mem_bw",
            "inet_down",
            "inet_down_cost",
            "inet_up",
            "inet_up_cost",
            "internet_down_cost_per_tb",
            "internet_up_cost_per_tb",
            "min_bid",
            "pci_gen",
            "pcie_bw",
            "reliability",
            "reliability2",
            "reliability_mult",
            "score",
            "start_date",
            "storage_cost",
            "storage_total_cost",
            "total_flops",
            "vram_costperhour",
            "avail_vol_dph",
            "avail_vol_size",
            "expected_reliability",
            "nw_disk_avg_bw",
            "nw_disk_max_bw",
            "nw_disk_min_bw",
            "sla_broker_rate",
            "sla_r_claim",
            "sla_sigma_x",
            "target_reliability",
        ],
        float,
    ),
    **dict.fromkeys(
        [
            "cpu_arch",
            "cpu_name",
            "disk_name",
            "driver_version",
            "geolocation",
            "gpu_arch",
            "gpu_name",
            "hostname",
            "logo",
            "mobo_name",
            "os_version",
            "public_ipaddr",
            "time_remaining",
            "time_remaining_isbid",
            "verification",
            "webpage",
            "resource_type",
        ],
        str,
    ),
    **dict.fromkeys(
        [
            "external",
            "gpu_display_active",
            "is_bid",
            "rentable",
            "rented",
            "static_ip",
            "vms_enabled",
            "is_vm_deverified",
        ],
        bool,
    ),
    "gpu_ids": list,
    "instance": dict,
    "search": dict,
}
"""Every column of the current schema (100 of them) with its JSON type; most may be null."""


def priced(
    *,
    dph_base: float,
    min_bid: float,
    storage_cost: float,
    storage_gb: float,
    inet_down_cost: float,
    gpu_total_ram: float,
    dlperf: float,
    total_flops: float,
    sla: bool = True,
) -> dict[str, Any]:
    """Work out every price column of one offer.

    Parameters
    ----------
    dph_base, min_bid : float
        $/h for the GPUs of the whole offer, and the lowest bid for them.
    storage_cost : float
        $/GB/month of 720 h.
    storage_gb : float
        Disk that was asked for, GB.
    inet_down_cost : float
        $/GB.
    gpu_total_ram : float
        MB.
    dlperf, total_flops : float
        Of the whole offer; TFLOPS for the latter.
    sla : bool
        Whether the two price breakdowns have the newer field for a service-level premium.

    Returns
    -------
    dict
        The columns of `PRICED`.
    """
    disk = storage_cost / HOURS_A_MONTH * storage_gb
    total = dph_base + disk
    premium: dict[str, Any] = {"slaPremiumPerHour": 0.0} if sla else {}
    free: dict[str, Any] = {"slaPremiumPerHour": 0} if sla else {}
    return {
        "dph_base": dph_base,
        "dph_total": total,
        "discounted_dph_total": total,
        "dph_total_adj": total + inet_down_cost * storage_gb / 4,
        "storage_total_cost": disk,
        "vram_costperhour": dph_base / (gpu_total_ram / 1024) if gpu_total_ram else 0.0,
        "dlperf_per_dphtotal": dlperf / total if total else 0.0,
        "flops_per_dphtotal": total_flops / total if total else 0.0,
        "min_bid": min_bid,
        "search": {
            "gpuCostPerHour": dph_base,
            "diskHour": disk,
            **premium,
            "totalHour": total,
            "discountTotalHour": 0,
            "discountedTotalPerHour": total,
        },
        "instance": {
            "gpuCostPerHour": 0,
            "diskHour": disk,
            **free,
            "totalHour": disk,
            "discountTotalHour": 0,
            "discountedTotalPerHour": disk,
        },
    }


def country_of(geolocation: Any) -> str | None:
    """Return the country code: the last comma-separated part of a location."""
    if not isinstance(geolocation, str):
        return None
    return geolocation.rsplit(",", 1)[-1].strip() or None


def reprice(row: Mapping[str, Any], storage_gb: float, kind: str) -> dict[str, Any]:
    """Return the price columns of a recorded row for another disk size or kind of rental.

    With the disk size it was recorded with, and on demand, they come back as they were.

    Parameters
    ----------
    row : mapping
        An offer as the service gave it. Columns that it lacks are not invented.
    storage_gb : float
        GB.
    kind : str
        ``"on-demand"``, ``"bid"`` or ``"reserved"``.
    """
    storage_cost = float(row.get("storage_cost") or 0.0)
    recorded_disk = float(row.get("storage_total_cost") or 0.0)
    same_disk = storage_cost / HOURS_A_MONTH * storage_gb == recorded_disk
    min_bid = row.get("min_bid")
    if same_disk and not (kind == "bid" and min_bid != row.get("dph_base")):
        return {}
    base = min_bid if kind == "bid" and min_bid is not None else row.get("dph_base")
    if base is None:
        return {}
    breakdown = row.get("search")
    new = priced(
        dph_base=float(base),
        min_bid=min_bid,  # type: ignore[arg-type]
        storage_cost=storage_cost,
        storage_gb=storage_gb,
        inet_down_cost=float(row.get("inet_down_cost") or 0.0),
        gpu_total_ram=float(row.get("gpu_total_ram") or 0.0),
        dlperf=float(row.get("dlperf") or 0.0),
        total_flops=float(row.get("total_flops") or 0.0),
        sla=isinstance(breakdown, dict) and "slaPremiumPerHour" in breakdown,
    )
    return {name: value for name, value in new.items() if row.get(name) is not None}


__all__ = [
    "ALIASES",
    "DEFAULT_STORAGE_GB",
    "HOURS_A_MONTH",
    "OF_THE_MOMENT",
    "PRICED",
    "TYPES",
    "VIRTUAL",
    "country_of",
    "priced",
    "reprice",
]
