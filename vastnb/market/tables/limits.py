"""The one table of what a column's numbers can be: beyond it, they cannot be true."""

from __future__ import annotations

from typing import Final

_TINY: Final = 1e-9
_PRICE: Final = (_TINY, 1e4)
_TRAFFIC: Final = (0.0, 10.0)
_SPEED: Final = (_TINY, 1e6)
_SCORE: Final = (_TINY, 1e9)

LIMITS: Final[dict[str, tuple[float, float]]] = {
    "dph_total": _PRICE,
    "dph_base": _PRICE,
    "dph_gpu": _PRICE,
    "dph_total_adj": _PRICE,
    "discounted_dph_total": _PRICE,
    "min_bid": _PRICE,
    "vram_costperhour": _PRICE,
    "storage_cost": (0.0, 100.0),
    "storage_total_cost": (0.0, 1e4),
    "inet_down_cost": _TRAFFIC,
    "inet_up_cost": _TRAFFIC,
    "internet_down_cost_per_tb": (0.0, 1e4),
    "internet_up_cost_per_tb": (0.0, 1e4),
    "num_gpus": (1.0, 4096.0),
    "gpu_frac": (_TINY, 1.0),
    "gpu_ram": (256.0, 1e6),
    "gpu_ram_gb": (1.0, 1e3),
    "gpu_total_ram": (256.0, 1.6e7),
    "dlperf": _SCORE,
    "dlperf_per_dphtotal": _SCORE,
    "total_flops": _SCORE,
    "flops_per_dphtotal": _SCORE,
    "compute_cap": (100.0, 2000.0),
    "cuda_max_good": (1.0, 100.0),
    "gpu_mem_bw": (_TINY, 1e5),
    "gpu_max_power": (1.0, 1e4),
    "gpu_max_temp": (1.0, 130.0),
    "pci_gen": (1.0, 10.0),
    "pcie_bw": (_TINY, 1e4),
    "bw_nvlink": (0.0, 1e5),
    "disk_bw": (_TINY, 1e6),
    "disk_space": (_TINY, 1e6),
    "inet_down": _SPEED,
    "inet_up": _SPEED,
    "direct_port_count": (0.0, 65_536.0),
    "reliability": (0.0, 1.0),
    "reliability2": (0.0, 1.0),
    "cpu_ghz": (0.1, 8.0),
    "cpu_cores": (1.0, 1e5),
    "cpu_cores_effective": (_TINY, 1e5),
    "cpu_ram": (64.0, 8e6),
    "cpu_ram_gb": (0.064, 8e3),
    "duration": (0.0, 3.2e8),
    "duration_days": (0.0, 3700.0),
    "storage_gb": (0.0, 1e6),
}
"""Least and greatest value of a column that can be true, in the column's own unit."""
