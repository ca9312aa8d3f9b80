"""The same text means the same to us and to the official client.

Its real parser and its real `search_offers` run here, with a client object that keeps what it is
asked to send; and its real command line, in a process of its own, against a server on loopback.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.strategies import query_texts
from vastnb.errors import QueryError
from vastnb.market.query.query import parse_order, parse_query
from vastnb.market.tables.fields import DEFAULTS, FIELDS

OURS_ALONE = {"os_version"}


@cache
def language():
    """Import the official client's query language when it is asked for: it takes half a second."""
    return import_module("vastai.api.query")


class Capture:
    """Takes the place of the official client's connection."""

    def __init__(self):
        self.sent = None

    def post(self, path, json_data):
        assert path == "/bundles/"
        self.sent = json.loads(json.dumps(json_data))
        return self

    def raise_for_status(self):
        pass

    def json(self):
        return {"offers": []}


def official_body(text, *, type="on-demand", order=None, limit=None, storage=10, defaults=True):
    base = copy.deepcopy(DEFAULTS) if defaults else {}
    theirs = language()
    query = theirs.parse_query(
        text, base, theirs.offers_fields, theirs.offers_alias, theirs.offers_mult
    )
    capture = Capture()
    import_module("vastai.api.offers").search_offers(
        capture, query=query, offer_type=type, order=theirs.parse_order(order), limit=limit,
        storage=storage, no_default=True,
    )  # fmt: skip
    return capture.sent


def with_what_we_add(sent, query):
    """The one difference: `rentable=any` is sent, since the service takes its absence for true."""
    if "rentable" in query.dropped:
        return {**sent, "rentable": {"eq": "any"}}
    return sent


TEXTS = [
    "",
    "   ",
    "gpu_name=RTX_4090",
    "gpu_name=RTX_4090 num_gpus>=2 dph<1",
    "gpu_name == RTX_4090",
    'gpu_name="RTX 4090"',
    'gpu_name = "RTX_4090"',
    "gpu_name!=RTX_3090",
    "gpu_name in [RTX_3090,RTX_4090]",
    'gpu_name in ["RTX 4090", "RTX 3090"]',
    'reliability>0.99 gpu_name in ["RTX 4090", "RTX 3090"] geolocation notin [CN,VN]',
    "gpu_name in RTX_3090,RTX_4090",
    "gpu_name in [RTX 3090, RTX 4090]",
    "gpu_name=[RTX_4090]",
    "gpu_name=Tesla_V100",
    "gpu_name=RTX_PRO_6000_WS",
    "gpu_name=A100_SXM4 num_gpus=8",
    "reliability > 0.98 num_gpus=1 gpu_name=RTX_3090",
    "compute_cap > 610 total_flops > 5 datacenter=True",
    "reliability>0.99 num_gpus=4 geolocation in [TW,SE]",
    "geolocation not in [XV,XZ]",
    "geolocation nin [XV,XZ]",
    "geolocation != US",
    "disk_space>146 duration>24 gpu_ram>10 cuda_vers>=12.1 direct_port_count>=2"
    " driver_version >= 535.86.05",
    "reliability > 0.99  num_gpus>=4 verified=False",
    "cpu_arch=arm64",
    "cpu_arch=arm64 gpu_arch=amd",
    "gpu_ram>=24",
    "gpu_ram >= 23.028",
    "gpu_total_ram>=80 cpu_ram>=64",
    "cpu_ram gte 23.7",
    "duration>=2.3",
    "duration>1",
    "dph_total lte 0.5 dph_total gt 0.1",
    "dph<=0.5 dph>=0.1",
    "dlperf_usd>200 flops_usd>100 display_active=false",
    "num_gpus eq 4",
    "num_gpus neq 1 num_gpus lt 8",
    "num_gpus in [1,2,4,8]",
    "num_gpus notin [3, 5]",
    "num_gpus not eq 3",
    "num_gpus noteq 3",
    "num_gpus>=2, dph<1",
    "verified=any",
    "verified=* external=? rentable=any rented=any",
    "verified=false",
    "verified=true",
    "verified eq False",
    "verified!=false",
    "rented=true",
    "external=true",
    "rentable=any num_gpus=any",
    "verification=verified",
    "verification in [verified,deverified]",
    "has_avx=true",
    "has_avx=1",
    "static_ip=true vms_enabled=true",
    "cluster_id=None",
    "cluster_id!=null",
    "mobo_name=ROME2D32GM-2T",
    'mobo_name="ROME D8"',
    "mobo_name=a_b_c",
    "ubuntu_version=22.04",
    "ubuntu_version>=22.04",
    "driver_version=535.86.05",
    "machine_id=12345",
    "host_id in [1,2,3] id>100",
    "inet_down>=500 inet_up>=100 inet_down_cost<0.01 inet_up_cost<=.01",
    "disk_bw>1e3",
    "reliability>=0.990",
    "gpu_frac=1.0 gpu_display_active=False bw_nvlink>100 pcie_bw>10 pci_gen>=4",
    "min_bid<0.2 storage_cost<0.3 cpu_ghz>3 cpu_cores>8 cpu_cores_effective>=4",
    "gpu_mem_bw>900 gpu_max_power>300 gpu_max_temp<80 dlperf>10",
    "  gpu_name=RTX_4090   num_gpus=1  ",
    "gpu_name=RTX_3090 reliability>0.98 inet_down>200",
    "gpu_name=H100_SXM num_gpus=8 datacenter=true",
    "gpu_name in [A100_PCIE,A100_SXM4] gpu_ram>=79",
    "gpu_name=RTX_4090 geolocation in [US,CA] dph<0.6",
    "num_gpus=1 gpu_ram>=10 dph<=0.3 cuda_vers>=12.0",
    "reliability>0.95 num_gpus>=1 disk_space>=100 inet_up>=50",
    "gpu_name=L40S verified=true rentable=true",
    "gpu_total_ram>=160 gpu_mem_bw>1500",
    "dlperf>100 dlperf_usd>80",
    "cpu_cores_effective>=16 cpu_ram>=64 disk_bw>=1000",
    "geolocation=DE static_ip=true",
    "geolocation in [SE,NO,FI,DK]",
    "geolocation notin [CN,RU,VN] verified=true",
    "machine_id=5432 rentable=true",
    "machine_id in [100,200,300]",
    "host_id=999 verified=any",
    "compute_cap>=800 total_flops>=50",
    "compute_cap >= 890",
    "direct_port_count>=10 inet_down>500",
    "gpu_frac=1 num_gpus=8",
    "storage_cost<=0.15 duration>=30",
    "duration>=7 dph_total<=2.5",
    "min_bid<=0.1 num_gpus=1",
    "pcie_bw>=20 pci_gen>=4",
    "vms_enabled=true num_gpus>=4",
    "gpu_arch=nvidia cpu_arch=amd64",
    "has_avx=true cpu_ghz>=2.5",
    "gpu_max_power>=400 gpu_max_temp<=85",
    "gpu_name=Tesla_T4 dph<0.2",
    "driver_version>=550.54.15 cuda_max_good>=12.4",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_json_is_the_one_that_the_official_client_sends(text):
    query = parse_query(text)
    for defaults in (True, False):
        official = official_body(text, defaults=defaults)
        assert query.body(defaults=defaults) == with_what_we_add(official, query)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(query_texts(fields=tuple(sorted(FIELDS.keys() - OURS_ALONE))))
def test_any_valid_query_gives_the_json_that_the_official_client_sends(text):
    official = official_body(text)
    # Where its merge with a default fits no offer, the query prevails over the default.
    for field, ops in DEFAULTS.items():
        value = next(iter(ops.values()))
        if {"eq": value, "neq": value} == official.get(field):
            del official[field]["eq"]
    query = parse_query(text)
    assert query.body() == with_what_we_add(official, query)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["dph_total", "dph", "score", "num_gpus", "dlperf_usd"]).flatmap(
            lambda n: st.sampled_from([n, f"{n}-", f"-{n}", f"{n}+", f"+{n}", f" {n}- "])
        ),
        max_size=4,
    )
)
def test_an_order_gives_the_json_that_the_official_client_sends(names):
    text = ",".join(names)
    assert parse_order(text) == language().parse_order(text)


@pytest.mark.parametrize("type", ["on-demand", "bid", "interruptible", "reserved"])
def test_type_limit_and_storage_are_sent_as_by_the_official_client(type):
    mine = parse_query("num_gpus=1").body(type=type, order="dph_total", limit=7, storage=25.5)
    assert mine == official_body("num_gpus=1", type=type, order="dph_total", limit=7, storage=25.5)


def test_every_field_of_the_official_client_is_known_with_its_alias_and_unit():
    assert language().offers_fields <= FIELDS.keys()
    for alias, field in language().offers_alias.items():
        value = "true" if FIELDS[field] == "flag" else "1"
        assert parse_query(f"{alias}={value}").filters.keys() == {field}
    for field, multiplier in language().offers_mult.items():
        assert parse_query(f"{field}=1").filters == {field: {"eq": multiplier}}


@pytest.mark.parametrize(
    "text",
    [
        "num_gpus",
        "num_gpus>=",
        "gpu_name=RTX 4090",
        "num_gpus=>2",
        "num_gpus>any",
        ">=2",
        "=",
        "[1]",
    ],
)
def test_what_the_official_client_refuses_is_refused(text):
    with pytest.raises(ValueError):
        official_body(text)
    with pytest.raises(QueryError):
        parse_query(text)


@pytest.fixture
def loopback():
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            bodies.append((self.path, json.loads(self.rfile.read(length))))
            answer = b'{"offers": []}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()
    thread.join()


RUN_ALL = """
import json, os, sys
from vastai.cli.main import main
for text in json.load(sys.stdin):
    if pid := os.fork():  # its command line can be run once in a process
        os.waitpid(pid, 0)
        continue
    sys.argv = ["vastai", "search", "offers", text, "-o", "dph_total,score-",
                "--storage", "10", "--limit", "5", "--raw"]
    try:
        main()
    finally:
        os._exit(0)
"""


@pytest.mark.slow
def test_the_command_line_sends_the_same_bytes_over_a_real_socket(loopback, tmp_path):
    assert len(TEXTS) >= 100
    url, bodies = loopback
    environment = {**os.environ, "VAST_URL": url, "VAST_API_KEY": "test", "HOME": str(tmp_path),
                   "XDG_CONFIG_HOME": str(tmp_path), "NO_PROXY": "*"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", RUN_ALL], input=json.dumps(TEXTS), text=True,
                          env=environment, capture_output=True, timeout=120)  # fmt: skip
    assert len(bodies) == len(TEXTS), done.stdout + done.stderr
    for text, (path, sent) in zip(TEXTS, bodies, strict=True):
        assert path == "/api/v0/bundles/"
        query = parse_query(text)
        mine = query.body(order="dph_total,score-", storage=10.0, limit=5)
        wanted = with_what_we_add(sent, query)
        assert json.dumps(mine, sort_keys=True) == json.dumps(
            {**wanted, "allocated_storage": 10}, sort_keys=True
        ), text
