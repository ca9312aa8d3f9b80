"""An instance: the truth about it, and the record that the service shows of it.

The truth (what it costs, whether its GPUs are held, whether it still exists) is in `Instance`,
for tests to compare with. What a user sees is `record`: some of it late, some of it missing, as
with the real service.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from vastnb.sim.instances.lifecycle import Fate
from vastnb.sim.market.columns import HOURS_A_MONTH
from vastnb.sim.noise import mix, uniform, wander

OFFER_ONLY = (
    "ask_contract_id",
    "bundled_results",
    "discount_rate",
    "discounted_dph_total",
    "discounted_hourly",
    "dph_total_adj",
    "geolocode",
    "gpu_ids",
    "gpu_max_power",
    "gpu_max_temp",
    "gpu_total_ram",
    "hostname",
    "reliability",
    "reliability_mult",
    "rented",
    "rn",
    "vericode",
    "driver_vers",
    "cpu_ghz",
    "vms_enabled",
    "avail_vol_ask_id",
    "avail_vol_dph",
    "avail_vol_size",
    "search",
    "instance",
)
"""Columns of an offer that an instance record does not repeat."""


@dataclass
class Instance:
    """Everything about one instance. Times are world seconds since the world began.

    Attributes
    ----------
    id : int
        The contract's id.
    owner : str
        API key of the account.
    offer : dict
        The offer as it was when it was rented.
    machine, mask : int
        The GPUs, in the market's terms.
    is_bid : bool
        Interruptible or on demand.
    bid : float or None
        $/h for the machine.
    on_demand : float
        $/h of the GPUs on demand, as agreed.
    disk : float
        GB.
    env : list of (str, str)
        As the list call gives it back.
    fate : str
        What is in store for it, see `vastnb.sim.instances.lifecycle`.
    intended, cur_state, next_state, actual, status_msg : str or None
        What the service shows.
    container_up : bool
        Whether the container really runs: then the GPUs are billed.
    reachable : bool
        Whether one could log in.
    holds : bool
        Whether the GPUs are kept for it.
    waiting : bool
        Whether it will start by itself as soon as its GPUs are free (and its bid suffices).
    outbid : bool
        Whether it was stopped for a higher bid or an on-demand renter.
    gpu_seconds, gpu_dollars, storage_dollars, traffic_dollars, down_gb, up_gb : float
        What was billed.
    """

    id: int
    owner: str
    offer: dict[str, Any]
    machine: int
    mask: int
    num_gpus: int
    is_bid: bool
    bid: float | None
    on_demand: float
    disk: float
    image: str
    created: float
    fate: Fate
    env: list[tuple[str, str]] = field(default_factory=list)
    label: str | None = None
    runtype: str = "ssh_proxy"
    onstart: str | None = None
    args: list[str] = field(default_factory=list)
    template: dict[str, Any] | None = None
    intended: str = "running"
    cur_state: str = "running"
    next_state: str = "running"
    actual: str | None = None
    status_msg: str | None = None
    container_up: bool = False
    reachable: bool = True
    holds: bool = False
    held_since: float = 0.0
    waiting: bool = False
    outbid: bool = False
    pull_gb: float = 0.0
    pull_rate: float = 0.0
    """GB a second, while an image is fetched."""
    running_since: float | None = None
    destroyed: float | None = None
    resurrections: int = 0
    token: int = 0
    """Raised when whatever was planned for it no longer holds."""
    watched: bool = False
    """Whether the machine is looked at for it when something changes there."""
    boots: int = 0
    ends: int = 0
    containers: int = 1
    billed_to: float = 0.0
    gpu_seconds: float = 0.0
    gpu_dollars: float = 0.0
    storage_dollars: float = 0.0
    traffic_dollars: float = 0.0
    down_gb: float = 0.0
    up_gb: float = 0.0

    def __post_init__(self) -> None:
        self.billed_to = self.created

    @property
    def api_key(self) -> str:
        """The instance's own key, which its container has: it may destroy itself with it."""
        return f"simulated{mix(self.id, 71):016x}{mix(self.id, 72):016x}"

    @property
    def jupyter_token(self) -> str:
        """What lets one into its Jupyter."""
        return "".join(f"{mix(self.id, part):016x}" for part in range(4))

    # -- money

    @property
    def alive(self) -> bool:
        """Whether it exists."""
        return self.destroyed is None

    @property
    def answers(self) -> bool:
        """Whether one could log in to it."""
        return self.alive and self.container_up and self.reachable and self.actual != "rebooting"

    @property
    def dph_base(self) -> float:
        """$/h for the GPUs: a bid is charged at most what the machine costs on demand."""
        return min(self.bid, self.on_demand) if self.is_bid and self.bid else self.on_demand

    @property
    def disk_dph(self) -> float:
        """$/h for the disk, whether the instance runs or not."""
        return float(self.offer.get("storage_cost") or 0.0) / HOURS_A_MONTH * self.disk

    @property
    def billed(self) -> float:
        """All that it has cost, $."""
        return self.gpu_dollars + self.storage_dollars + self.traffic_dollars

    def traffic(self) -> tuple[float, float]:
        """Return the traffic now, GB/h down and up."""
        down, up = self.pull_rate * 3600.0, 0.0
        if self.container_up:
            down, up = down + 0.05, 0.02
        return down, up

    def rate(self, elapsed: float) -> float:
        """Return what it costs now, $/h."""
        if not self.alive:
            return 0.0
        down, up = self.traffic()
        traffic = down * float(self.offer.get("inet_down_cost") or 0.0)
        traffic += up * float(self.offer.get("inet_up_cost") or 0.0)
        return self.disk_dph + traffic + (self.dph_base if self.container_up else 0.0)

    def bill(self, until: float) -> float:
        """Bill the time up to a moment, during which nothing changed; return the dollars."""
        seconds = until - self.billed_to
        if seconds <= 0 or not self.alive:
            self.billed_to = max(self.billed_to, until)
            return 0.0
        hours = seconds / 3600.0
        down, up = (gb * hours for gb in self.traffic())
        storage = self.disk_dph * hours
        traffic = down * float(self.offer.get("inet_down_cost") or 0.0)
        traffic += up * float(self.offer.get("inet_up_cost") or 0.0)
        gpu = self.dph_base * hours if self.container_up else 0.0
        self.gpu_seconds += seconds if self.container_up else 0.0
        self.gpu_dollars += gpu
        self.storage_dollars += storage
        self.traffic_dollars += traffic
        self.down_gb += down
        self.up_gb += up
        self.billed_to = until
        return gpu + storage + traffic

    # -- what is shown

    def record(self, elapsed: float, opened: float) -> dict[str, Any]:
        """Return the record as the service shows it.

        Parameters
        ----------
        elapsed : float
            World seconds since the world began.
        opened : float
            When the world began, epoch seconds.
        """
        offer = {k: v for k, v in self.offer.items() if k not in OFFER_ONLY}
        shown = self.actual == "running"
        hour = self.dph_base if self.container_up else 0
        disk = self.disk_dph
        total = self.dph_base + disk
        idx = str(1 + self.id % 9)
        record: dict[str, Any] = {
            **offer,
            "id": self.id,
            "actual_status": self.actual,
            "intended_status": self.intended,
            "cur_state": self.cur_state,
            "next_state": self.next_state,
            "status_msg": _simulated(self.status_msg),
            "label": self.label,
            "external": False,
            "image_uuid": self.image,
            "image_args": list(self.args),
            "image_runtype": self.runtype,
            "extra_env": [list(pair) for pair in self.env],
            "onstart": self.onstart,
            "is_bid": self.is_bid,
            "num_gpus": self.num_gpus,
            "gpu_totalram": self.offer.get("gpu_total_ram"),
            "disk_space": self.disk,
            "dph_base": self.dph_base,
            "dph_total": total,
            "storage_total_cost": disk,
            "min_bid": self.offer.get("min_bid"),
            "start_date": opened + self.created,
            "duration": float(self.offer.get("end_date") or 0.0) - (opened + elapsed),
            "uptime_mins": None,
            "client_run_time": 1.1,
            "host_run_time": 2_592_000.0,
            "credit_balance": None,
            "credit_discount": None,
            "ssh_idx": idx,
            "ssh_host": f"ssh{idx}.simulated.invalid",
            "ssh_port": 10_000 + self.id % 30_000,
            "machine_dir_ssh_port": 20_000 + self.id % 9_000,
            "local_ipaddrs": "172.17.0.1 \n",
            "jupyter_token": self.jupyter_token,
            "template_id": self.template["id"] if self.template else None,
            "template_hash_id": self.template["hash_id"] if self.template else None,
            "template_name": self.template["name"] if self.template else None,
            "country_code": _country(self.offer.get("geolocation")),
            "volume_info": [],
            "disk_usage": _disk_used(self, elapsed) if shown else -1,
            "disk_util": _disk_used(self, elapsed) if shown else -1,
            "inet_down_billed": self.down_gb * 1000.0 or None,
            "inet_up_billed": self.up_gb * 1000.0 or None,
            "direct_port_start": -1,
            "direct_port_end": -1,
            "search": _breakdown(self.dph_base, disk),
            "instance": _breakdown(hour, disk),
            "cpu_util": 0.0,
            "mem_limit": None,
            "mem_usage": None,
            "vmem_usage": None,
            "gpu_util": None,
            "gpu_temp": None,
            "simulated": True,
        }
        if shown:
            record.update(self._load(elapsed))
            record.update(self._ports())
        return record

    def _load(self, elapsed: float) -> dict[str, Any]:
        """Return how busy the machine is: it changes from minute to minute."""
        curve = wander(elapsed / 420.0, self.id, 61)
        busy = min(100.0, max(0.0, 78.0 + 25.0 * curve)) if self.container_up else 0.0
        limit = float(self.offer.get("cpu_ram") or 0.0) / 1000.0
        vram = float(self.offer.get("gpu_total_ram") or 0.0) / 1000.0
        return {
            "gpu_util": round(busy, 6),
            "gpu_temp": round(34.0 + 0.38 * busy + 2.0 * math.sin(elapsed / 700.0), 6),
            "cpu_util": round(busy / 2.5, 6),
            "mem_limit": limit,
            "mem_usage": round(limit * (0.1 + busy / 400.0), 6),
            "vmem_usage": round(vram * (0.2 + busy / 180.0), 6),
        }

    def _ports(self) -> dict[str, Any]:
        inner = ["22/tcp"] if "args" not in self.runtype else []
        if "jupyter" in self.runtype:
            inner.append("8080/tcp")
        for name, _ in self.env:
            if name.startswith("-p "):
                target = name[3:].strip().rsplit(":", 1)[-1]
                inner.append(target if "/" in target else f"{target}/tcp")
        first = 30_000 + mix(self.id) % 20_000
        ports = {
            port: [
                {"HostIp": address, "HostPort": str(first + number)}
                for address in ("0.0.0.0", "::")
            ]
            for number, port in enumerate(dict.fromkeys(inner))
        }
        if not ports:
            return {"ports": {}}
        return {
            "ports": ports,
            "direct_port_start": first,
            "direct_port_end": first + len(ports) - 1,
        }


def _simulated(message: str | None) -> str | None:
    """Say so in a message, before the end of its line."""
    if not message:
        return message
    text = message.rstrip("\n")
    return f"{text} (simulated){message[len(text) :]}"


def _breakdown(gpu: float, disk: float) -> dict[str, Any]:
    return {
        "gpuCostPerHour": gpu,
        "diskHour": disk,
        "slaPremiumPerHour": 0.0 if gpu else 0,
        "totalHour": gpu + disk,
        "discountTotalHour": 0,
        "discountedTotalPerHour": gpu + disk,
    }


def _disk_used(instance: Instance, elapsed: float) -> float:
    share = 0.05 + 0.1 * uniform(instance.id, 62)
    return round(instance.disk * min(0.9, share + (elapsed - instance.created) / 4e6), 6)


def _country(geolocation: Any) -> str | None:
    if not isinstance(geolocation, str):
        return None
    code = geolocation.rsplit(",", 1)[-1].strip()
    return code if len(code) == 2 else None


__all__ = ["OFFER_ONLY", "Instance"]
