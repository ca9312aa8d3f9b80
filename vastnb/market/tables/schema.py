"""The one table of columns: name, dtype, unit, meaning, and which of them a frame shows.

Every raw column of an offer stands here under the service's own name and in its own unit; what is
worked out carries its unit in the name and says from what. `Column.default` marks the columns of
an ordinary frame; the others (twins of these, constants, internals of the service, nested values)
come with ``columns="all"``.

Sources: the published reference, the official client's help, and the values of recorded offers,
which win where these differ (``inet_up`` is in Mbit/s, for one).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Dtype = Literal["Int64", "Float64", "boolean", "string", "datetime"]
"""``string`` is ``pandas.StringDtype("python")``, ``datetime`` is ``datetime64[us, UTC]``."""


class Column(NamedTuple):
    """One column.

    Parameters
    ----------
    name : str
        As in the service's answer, or ours if `derived`.
    dtype : str
        See `Dtype`; the same in every answer.
    unit : str
        Empty if it has none.
    meaning : str
        In a few words.
    default : bool
        Whether an ordinary frame has it.
    nested : bool
        Whether the service sends a list or an object; the column then holds its JSON text.
    derived : str, optional
        What it is worked out from; `None` for a raw column.
    """

    name: str
    dtype: Dtype
    unit: str
    meaning: str
    default: bool
    nested: bool = False
    derived: str | None = None


_LETTER: Final[dict[str, Dtype]] = {
    "i": "Int64",
    "f": "Float64",
    "b": "boolean",
    "s": "string",
    "j": "string",
    "t": "datetime",
}

# A line: dtype letter (* if shown by default), name, unit in brackets, meaning[; from ...].
_TABLE: Final = """
i* id [] the offer's id, to rent it by; changes when the offer is renewed
i* machine_id [] the machine; one machine makes several overlapping offers
i* host_id [] the machine's owner
s* gpu_name [] GPU model, in the service's spelling
i* num_gpus [] GPUs in this offer
i* gpu_ram [MB] VRAM of one GPU, as its driver reports it
i* gpu_ram_gb [GB] VRAM of one GPU, as printed on the box; from gpu_ram
i* gpu_total_ram [MB] VRAM of all GPUs of the offer
f* dph_total [$/h] price of the whole offer, with a disk of storage_gb
f* dph_gpu [$/h per GPU] dph_total for each GPU; from dph_total, num_gpus
s* rental_type [] on-demand, interruptible or reserved: what the prices are for; from the search
f* storage_gb [GB] disk that dph_total includes; from the search
f* dph_base [$/h] price of the GPUs of the whole offer, without disk
f* min_bid [$/h] lowest bid for an interruptible rental
f* storage_cost [$/GB/month] disk, a month being 720 hours; billed while stopped too
f* inet_down_cost [$/GB] traffic to the machine
f* inet_up_cost [$/GB] traffic from the machine
f* reliability [0-1] the service's estimate that the machine stays up
s* verification [] verified, unverified or deverified
b* datacenter [] whether it stands in a datacenter; from hosting_type
s* country [] two letters; from geolocation
s* geolocation [] region and country, as the host gave them
f* dlperf [] the service's deep-learning score of the whole offer
f* dlperf_per_dphtotal [1/($/h)] dlperf for each $/h
f* flops_per_dphtotal [TFLOPS/($/h)] total_flops for each $/h
f* total_flops [TFLOPS] of all GPUs of the offer
f* gpu_mem_bw [GB/s] memory bandwidth of one GPU
f* gpu_frac [0-1] share of the machine's GPUs that is in this offer
f* gpu_max_power [W] power limit of one GPU
f* gpu_max_temp [°C] highest temperature seen
b* gpu_display_active [] whether a display is attached to the GPU
f* bw_nvlink [GB/s] NVLink bandwidth; 0 without
i* compute_cap [x100] CUDA compute capability; 890 is 8.9
f* cuda_max_good [] newest CUDA version that the driver supports
s* driver_version [] GPU driver
s* cpu_name [] CPU model, as the host's machine reports it
i* cpu_cores [] virtual CPUs of the machine
f* cpu_cores_effective [] virtual CPUs of this offer
f* cpu_ghz [GHz] CPU clock
i* cpu_ram [MB] memory of this offer
f* cpu_ram_gb [GB] memory of this offer, in 1,000 MB as queries count; from cpu_ram
i* has_avx [] 1 if the CPU has AVX
f* disk_space [GB] largest disk available
f* disk_bw [MB/s] disk reading
s* disk_name [] disk model, as the host's machine reports it
f* inet_down [Mbit/s] measured, to the machine
f* inet_up [Mbit/s] measured, from the machine
f* pci_gen [] PCIe generation
f* pcie_bw [GB/s] PCIe bandwidth from CPU to GPU
i* direct_port_count [] open ports
b* static_ip [] whether the IP address stays
b* vms_enabled [] whether it can run virtual machines
f* duration [s] longest rental from the time of the answer
f* duration_days [d] longest rental from the time of the answer; from duration
f* end_date [s] when the offer ends, in seconds since 1970 (UTC)
t* end_at [UTC] when the offer ends; from end_date
b* rentable [] whether it can be rented now
b* rented [] whether you have rented it
f* score [] the service's own ranking
i ask_contract_id [] the same as id
i bundle_id [] internal
i bundled_results [] internal, mostly missing
i avail_vol_ask_id [] offer of a volume on this machine
f avail_vol_dph [$/h] price of that volume
f avail_vol_size [GB] size of that volume
i cluster_id [] cluster of machines
s cpu_arch [] amd64 or arm64
f credit_discount_max [0-1] greatest discount for prepayment
f discount_rate [0-1] discount of a reserved rental
f discounted_dph_total [$/h] the same as dph_total
f discounted_hourly [$/h] discounted part of the price
f dph_total_adj [$/h] dph_total with an estimate of traffic
i driver_vers [] driver_version packed, three digits a part
f expected_reliability [0-1] internal
b external [] always missing
i geolocode [] internal
s gpu_arch [] nvidia or amd
j gpu_ids [] the GPUs of this offer; offers that share one exclude each other
i gpu_lanes [] PCIe lanes of one GPU
i hosting_type [] 1 for a datacenter
s hostname [] always missing
j instance [] price of a stopped instance, in parts
f internet_down_cost_per_tb [$/TB] inet_down_cost x 1024
f internet_up_cost_per_tb [$/TB] inet_up_cost x 1024
b is_bid [] false also in a search for bids
b is_vm_deverified [] whether virtual machines lost their verification
s logo [] path of a picture
s mobo_name [] mainboard, as the host's machine reports it
f nw_disk_avg_bw [] network disk, average bandwidth
f nw_disk_max_bw [] network disk, highest bandwidth
f nw_disk_min_bw [] network disk, lowest bandwidth
s os_version [] Ubuntu version of the host
s public_ipaddr [] the machine's address
f reliability2 [0-1] the same as reliability
f reliability_mult [] internal
s resource_type [] gpu
i rn [] internal
j search [] price of this offer, in parts
f sla_broker_rate [] internal
f sla_r_claim [] internal
f sla_sigma_x [] internal
f start_date [s] when the offer was last renewed, in seconds since 1970 (UTC)
t start_at [UTC] when the offer was last renewed; from start_date
f storage_total_cost [$/h] disk, at the disk size of the search
f target_reliability [0-1] internal
s time_remaining [] empty in offers
s time_remaining_isbid [] empty in offers
i vericode [] verification as a number
f vram_costperhour [$/h per GB] price of VRAM
s webpage [] the host's page
"""


def read_table(table: str, *, default: bool = False) -> dict[str, Column]:
    """Return the columns that a table names, in its order.

    Parameters
    ----------
    table : str
        A line for each column: a letter for its dtype (a ``*`` behind it if an ordinary frame
        has the column), its name, its unit in brackets, its meaning, and perhaps what it is
        worked out from: ``f* duration_days [d] longest rental; from duration``.
    default : bool
        `Column.default` of the columns without a ``*``.
    """
    columns = {}
    for line in table.strip().splitlines():
        letter, name, rest = line.split(" ", 2)
        unit, meaning = rest.removeprefix("[").split("] ", 1)
        meaning, _, derived = meaning.partition("; from ")
        columns[name] = Column(
            name,
            _LETTER[letter[0]],
            unit,
            meaning,
            default or letter.endswith("*"),
            letter.startswith("j"),
            derived or None,
        )
    return columns


COLUMNS: Final[dict[str, Column]] = read_table(_TABLE)
"""Every known column by name, in the order in which frames have them."""

UNITS: Final[dict[str, str]] = {name: c.unit for name, c in COLUMNS.items() if c.unit}
"""Units of the columns that have one."""


STRANGERS: Final = frozenset(
    {name for name, c in COLUMNS.items() if c.dtype == "string"} | {"status_msg"}
) - {"country", "instance", "search"}  # two letters, and names that any frame may have
"""Columns of offers and instances in which a host, or the service, can write any text."""


def shown(columns: Literal["default", "all"]) -> list[Column]:
    """Return the known columns of an ordinary frame, or of one with all columns."""
    return [column for column in COLUMNS.values() if columns == "all" or column.default]
