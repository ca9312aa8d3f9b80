"""Machines and their slices, drawn from the market's profile.

``profile.json`` holds statistics of recorded offers (no row of them): how often each GPU is
offered, its VRAM variants and prices, how machines are equipped, how often a column is null.
`draw` makes machines after it. The oddities of the real market are part of the picture and are
planted on purpose: speeds that cannot be, locations without a region, dates in the year 2100.

A machine of N GPUs is for rent in slices of 1, 2, 4, ... and N of them. All slices cost the same
per GPU, and slices that share a GPU exclude each other.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from vastnb.sim.noise import mix, quantile, uniform

SIMULATED_LOGO = "/static/logos/simulated.png"
HOSTS_PER_MACHINE = 0.39
GOLDEN = 0.6180339887498949


@cache
def profile() -> dict[str, Any]:
    """Return the statistics that the market is drawn from."""
    text = files(__package__).joinpath("profile.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@dataclass(slots=True)
class Slice:
    """Some of a machine's GPUs, for rent together.

    Parameters
    ----------
    machine : Machine
        Whose they are.
    slot : int
        Number of the slice among all slices of the market.
    mask : int
        Bit p is set if it contains the GPU in position p.
    columns : dict
        Those columns of the offer that belong to the slice (all but its id).
    """

    machine: Machine
    slot: int
    mask: int
    columns: dict[str, Any]

    @property
    def num_gpus(self) -> int:
        """How many GPUs it has."""
        return self.mask.bit_count()


@dataclass(slots=True)
class Machine:
    """A host's machine: what does not change about it, and how its prices and tenants behave."""

    index: int
    columns: dict[str, Any]
    gpu_count: int
    gpu_key: int
    host_price: float
    bid_ratio: float
    score_factor: float
    price_step: float
    bid_step: float
    epoch: float
    phase: float
    busy: float
    slices: list[Slice] = field(default_factory=list)

    @property
    def machine_id(self) -> int:
        """The id that the market knows it by."""
        return int(self.columns["machine_id"])

    @property
    def full_mask(self) -> int:
        """All its GPUs."""
        return (1 << self.gpu_count) - 1


@lru_cache(maxsize=4)
def draw(seed: int, count: int, start: float) -> tuple[Machine, ...]:
    """Draw `count` machines, or return those that were drawn for the same: nobody changes them.

    Parameters
    ----------
    seed : int
        The same seed gives the same machines.
    count : int
        How many.
    start : float
        World time at which the market opens (epoch seconds); dates are laid around it.
    """
    machines = []
    slot = 0
    names = [(name, float(gpu["weight"])) for name, gpu in profile()["gpus"].items()]
    drawn: Counter[str] = Counter()
    for index in range(count):
        rng = random.Random(mix(seed, index, 11))
        machine = _draw_machine(rng, seed, index, start, names, drawn, count)
        for mask in _slices(rng, machine.gpu_count):
            machine.slices.append(_cut(rng, machine, slot, mask))
            slot += 1
        machines.append(machine)
    return tuple(machines)


def _between(rng: random.Random, name: str) -> float:
    stats = profile()
    return float(quantile(stats["quantile_points"], stats["quantiles"][name], rng.random()))


def _choose(rng: random.Random, name: str) -> Any:
    values = profile()[name]
    return rng.choices([v[0] for v in values], [v[1] for v in values])[0]


def _null(rng: random.Random, name: str) -> bool:
    return rng.random() < float(profile()["null_rate"].get(name, 0.0))


def _price(share: float, low: float, middle: float, high: float) -> float:
    """Read a price off the recorded quantiles, on a logarithmic scale between them."""
    points = (0.0, 0.1, 0.5, 0.9, 1.0)
    known = [math.log(price) for price in (low * 0.85, low, middle, high, high * 1.15)]
    return math.exp(quantile(points, known, share))


def _packed_version(version: str) -> int:
    parts = [*version.split("."), "0", "0"][:3]
    return int("".join(part.zfill(3) for part in parts))


def _draw_machine(
    rng: random.Random,
    seed: int,
    index: int,
    start: float,
    names: Sequence[tuple[str, float]],
    drawn: Counter[str],
    count: int,
) -> Machine:
    stats = profile()
    gpu_name = rng.choices([n for n, _ in names], [w for _, w in names])[0]
    # Prices of one GPU are spread evenly over its quantiles, so that a few machines will do.
    price_share = (drawn[gpu_name] * GOLDEN + uniform(seed, *gpu_name.encode())) % 1.0
    drawn[gpu_name] += 1
    gpu = stats["gpus"][gpu_name]
    sizes = gpu["machine_gpus"]
    gpu_count = int(rng.choices([s[0] for s in sizes], [s[1] for s in sizes])[0])
    host = int(rng.random() ** 1.6 * max(3, count * HOSTS_PER_MACHINE))
    columns = _machine_columns(rng, seed, index, start, gpu_name, gpu, gpu_count, host)
    _plant_oddities(rng, index, columns)
    ratio = stats["min_bid_ratio"]
    return Machine(
        index=index,
        columns=columns,
        gpu_count=gpu_count,
        gpu_key=mix(seed, *gpu_name.encode()) & 0xFFFFFFFF,
        host_price=_price(price_share, *gpu["price"]) * 0.75,
        bid_ratio=float(quantile(ratio["points"], ratio["values"], rng.random())),
        score_factor=float(quantile(stats["quantile_points"], stats["score_factor"], rng.random())),
        price_step=3600.0 * rng.choice((1, 2, 4, 6, 8, 12)),
        bid_step=60.0 * rng.choice((10, 15, 20, 30, 60)),
        epoch=3600.0 * rng.uniform(4.0, 60.0),
        phase=rng.uniform(0.0, 400_000.0),
        busy=min(0.97, max(0.05, rng.gauss(0.55, 0.25))),
    )


def _machine_columns(
    rng: random.Random,
    seed: int,
    index: int,
    start: float,
    gpu_name: str,
    gpu: dict[str, Any],
    gpu_count: int,
    host: int,
) -> dict[str, Any]:
    stats = profile()
    host_rng = random.Random(mix(seed, host, 12))
    geolocation = _choose(host_rng, "geolocation")
    datacenter = host_rng.random() < 0.1 + 0.15 * (gpu["price"][1] > 0.7)
    address = f"198.18.{host % 250}.{1 + mix(seed, host) % 250}"
    cpu = rng.choices(stats["cpu_name"], [c[1] for c in stats["cpu_name"]])[0]
    cores = int(cpu[2])
    while cores < gpu_count:
        cores *= 2
    verification = "verified" if datacenter else _choose(rng, "verification")
    verified = verification == "verified"
    vericode = 1 if verified else (0 if verification == "unverified" else rng.choice((2, 4, 8)))
    reliability = round(_between(rng, "reliability"), 7)
    if rng.random() < 0.02:
        reliability = round(rng.uniform(0.6, 0.86), 7)
    driver = str(_choose(rng, "driver_version"))
    down_cost = _between(rng, "inet_down_cost")
    up_cost = max(down_cost, _between(rng, "inet_up_cost")) if rng.random() < 0.7 else down_cost
    hosting = 1 if datacenter else 0
    power = float(gpu["power"])
    has_discount = verified
    return {
        "compute_cap": int(gpu["compute_cap"]),
        "cpu_cores": cores,
        "cpu_ghz": None if _null(rng, "cpu_ghz") else round(_between(rng, "cpu_ghz"), 4),
        "cpu_name": None if _null(rng, "cpu_name") else cpu[0],
        "credit_discount_max": float(_choose(rng, "credit_discount_max")),
        "cuda_max_good": float(_choose(rng, "cuda_max_good")),
        "disk_bw": round(_between(rng, "disk_bw"), 3),
        "disk_name": None if _null(rng, "disk_name") else _choose(rng, "disk_name"),
        "driver_version": driver,
        "driver_vers": None if _null(rng, "driver_vers") else _packed_version(driver),
        "end_date": float(int(start + _between(rng, "duration"))),
        "geolocation": geolocation,
        "geolocode": mix(*str(geolocation).encode()) % 2_147_483_647,
        "gpu_lanes": int(gpu["lanes"]) if rng.random() < 0.7 else rng.choice((1, 4, 8, 16)),
        "gpu_mem_bw": round(float(gpu["mem_bw"]) * rng.uniform(0.9, 1.05), 1),
        "gpu_name": gpu_name,
        "gpu_ram": int(
            rng.choices([r[0] for r in gpu["gpu_ram"]], [r[1] for r in gpu["gpu_ram"]])[0]
        ),
        "gpu_max_power": power
        if rng.random() < 0.8
        else float(round(power * rng.uniform(0.6, 1.0))),
        "gpu_max_temp": float(round(_between(rng, "gpu_max_temp"))),
        "host_id": 1000 + mix(seed, host, 13) % 380_000,
        "inet_down": round(_between(rng, "inet_down"), 1),
        "inet_down_cost": down_cost,
        "inet_up": round(_between(rng, "inet_up"), 1),
        "inet_up_cost": up_cost,
        "internet_down_cost_per_tb": down_cost * 1024,
        "internet_up_cost_per_tb": up_cost * 1024,
        "machine_id": 10_000 + index * 7 + mix(seed, index) % 7,
        "mobo_name": None if _null(rng, "mobo_name") else _choose(rng, "mobo_name"),
        "os_version": None if _null(rng, "os_version") else _choose(rng, "os_version"),
        "pci_gen": float(_choose(rng, "pci_gen")),
        "pcie_bw": None if _null(rng, "pcie_bw") else round(_between(rng, "pcie_bw"), 1),
        "public_ipaddr": address,
        "reliability": reliability,
        "reliability2": reliability,
        "reliability_mult": round(reliability**9.4, 7),
        "static_ip": rng.random() < stats["true_rate"]["static_ip"],
        "storage_cost": _storage_cost(rng),
        "verification": verification,
        "vericode": vericode,
        "is_vm_deverified": verification == "deverified" and rng.random() < 0.3,
        "discount_rate": 0.0 if has_discount else None,
        "discounted_hourly": 0.0 if has_discount else 0,
        "cpu_arch": "amd64",
        "external": None,
        "gpu_arch": "nvidia",
        "gpu_display_active": rng.random() < stats["true_rate"]["gpu_display_active"],
        "has_avx": 0 if rng.random() < 0.02 else 1,
        "hosting_type": hosting,
        "hostname": None,
        "is_bid": False,
        "logo": SIMULATED_LOGO,
        "webpage": None,
        "vms_enabled": rng.random() < stats["true_rate"]["vms_enabled"],
        "expected_reliability": 0.0,
        "sla_sigma_x": None,
        "sla_broker_rate": None,
        "sla_r_claim": 0.0,
        "target_reliability": 0.0,
        "resource_type": "gpu",
        "cluster_id": None,
        "nw_disk_min_bw": None,
        "nw_disk_max_bw": None,
        "nw_disk_avg_bw": None,
        "rn": 1,
        "time_remaining": "",
        "time_remaining_isbid": "",
    }


def _storage_cost(rng: random.Random) -> float:
    return round(_between(rng, "storage_cost") * 0.75, 2) * 4 / 3 or 0.004


def _plant_oddities(rng: random.Random, index: int, columns: dict[str, Any]) -> None:
    """Give some machines what no machine can have, as often as the real market does."""
    if index % 1400 == 77:
        columns["inet_up"] = -1_788_679_061_267.4
    if index % 1100 == 31:
        columns["cpu_ghz"] = 25.5
    if index % 900 == 5 or rng.random() < 0.002:
        columns["gpu_max_temp"] = -5.0
    if index % 600 == 9 or rng.random() < 0.002:
        columns["gpu_mem_bw"] = 0.0
    if index % 300 == 12:
        columns["end_date"] = 4_102_462_754.0
    if index % 500 == 20:
        columns["geolocation"] = None


def _slices(rng: random.Random, gpu_count: int) -> Iterator[int]:
    """Yield the GPU masks of a machine's slices, smallest first."""
    smallest = rng.choices((1, 2, 4, gpu_count), (0.62, 0.12, 0.06, 0.2))[0]
    size = min(smallest, gpu_count)
    while size < gpu_count:
        for begin in range(0, gpu_count - size + 1, size):
            yield ((1 << size) - 1) << begin
        size *= 2
    yield (1 << gpu_count) - 1


def _cut(rng: random.Random, machine: Machine, slot: int, mask: int) -> Slice:
    shared = machine.columns
    count = mask.bit_count()
    share = count / machine.gpu_count
    gpu = profile()["gpus"][shared["gpu_name"]]
    points = profile()["quantile_points"]
    # Drawn from the machine, not from the slice: slices of one machine agree with each other.
    per_gpu = uniform(machine.index, 14)
    ram = int(quantile(points, profile()["cpu_ram_per_gpu"], per_gpu)) * count
    disk = quantile(points, profile()["disk_per_gpu"], uniform(machine.index, 15)) * count
    ports = int(quantile(points, profile()["quantiles"]["direct_port_count"], per_gpu) * share)
    first_gpu = 40_000 + machine.index * 16
    columns: dict[str, Any] = {
        "bundle_id": mix(machine.index, mask, 16) % 2_147_483_647,
        "bundled_results": (
            None if _null(rng, "bundled_results") else 317 + mix(machine.index, mask) % 32_000
        ),
        "bw_nvlink": (
            478.1160888671875
            if count > 1 and uniform(machine.index, 17) < float(gpu["nvlink"])
            else 0.0
        ),
        "cpu_cores_effective": shared["cpu_cores"] * share,
        "cpu_ram": ram,
        "direct_port_count": ports,
        "disk_space": round(disk, 4),
        "dlperf": float(gpu["dlperf"]) * count * (0.92 + 0.16 * uniform(machine.index, mask, 18)),
        "gpu_frac": share,
        "gpu_ids": [first_gpu + p for p in range(machine.gpu_count) if mask >> p & 1],
        "num_gpus": count,
        "gpu_total_ram": shared["gpu_ram"] * count,
        "total_flops": float(gpu["tflops"]) * count,
    }
    has_volume = uniform(machine.index, 19) < 0.85
    columns["avail_vol_ask_id"] = 60_000_000 + slot * 3 + 1 if has_volume else None
    columns["avail_vol_dph"] = shared["storage_cost"] / 720 if has_volume else None
    columns["avail_vol_size"] = round(disk * 0.6, 3) if has_volume else None
    return Slice(machine=machine, slot=slot, mask=mask, columns=columns)


__all__ = ["Machine", "Slice", "draw", "profile"]
