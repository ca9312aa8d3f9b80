"""Whatever a stranger answers: a typed error, bounded memory and time, and nothing kept of it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from vastnb.errors import OutcomeUnknown, ServerError, VastError

from .conftest import KEY
from .hostile import DRIPS, HEADERS, SHAPES, WHOLE, cut, sizes
from .peer import answer

CHILD = """
import json, re, sys, time
import vastnb
from vastnb.api.progress import silent
from vastnb.clock import ManualClock

url, names, slow = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
found = {}


def peak():  # MB, of this process alone: what getrusage says begins with the parent's
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1]) // 1024


for number, name in enumerate(names):
    client = vastnb.Client(
        "k" * 40, base_url=f"{url}/case{number}", timeout=0.5, max_wait=0.5, clock=ManualClock(),
        on_wait=silent, history=False,
    )
    verbs = {
        "search": lambda: client.search_offers(columns="all"),
        "types": client.gpu_types,
        "user": client.show_user,
        "instance": lambda: client.show_instance(7),
        "instances": client.show_instances,
        "templates": client.search_templates,
        "metrics": client.gpu_metrics,
    }
    for verb in list(verbs)[: 2 if name in slow else None]:
        begun = time.monotonic()
        try:
            outcome = type(verbs[verb]()).__name__
        except vastnb.errors.VastError as error:
            outcome = "VastError"
            shown = str(error)
            assert len(shown) < 2000, (name, verb, len(shown))
        except BaseException as error:
            outcome = f"{type(error).__name__}: {str(error)[:200]}"
        found[f"{name} / {verb}"] = [outcome, time.monotonic() - begun, peak()]
    client.close()
print(json.dumps({"found": found, "peak": peak()}))
"""


def run(peer, cases, brief, cache_dir, tmp_path):
    acts = list(cases.values())

    def by_case(asked, handler):
        acts[int(asked.path.split("/")[1].removeprefix("case"))](asked, handler)

    peer.default = by_case
    done = subprocess.run(
        [sys.executable, "-c", CHILD, peer.url, json.dumps(list(cases)), json.dumps(brief)],
        env={**os.environ, "VASTNB_DATA_DIR": str(tmp_path / "data")},
        capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    kept = sqlite3.connect(cache_dir / "answers.sqlite")
    rows = kept.execute("SELECT count(*) FROM answers").fetchone()[0]
    kept.close()
    return result["found"], result["peak"], rows


@pytest.mark.slow
def test_odd_shapes_are_typed_errors_and_not_kept(peer, cache_dir, tmp_path):
    found, _, kept = run(peer, SHAPES, [], cache_dir, tmp_path)
    assert kept == 0
    wrong = {name: outcome for name, (outcome, *_) in found.items() if outcome != "VastError"}
    assert wrong.pop("fields of objects / instance") == "Instance", "which is an object"
    # Of an account little is expected: what it says of money is read with care.
    assert {name for name in wrong if not name.endswith("/ user")} == set()


@pytest.mark.slow
def test_hostile_answers_end_in_typed_errors_within_bounds(peer, cache_dir, tmp_path):
    great = sizes()
    cases = {**SHAPES, **great, **HEADERS, **DRIPS}
    assert len(cases) >= 60
    found, peak, kept = run(peer, cases, [*DRIPS, *great], cache_dir, tmp_path)
    odd = {
        n: o
        for n, (o, *_) in found.items()
        if o not in {"VastError", "DataFrame", "dict", "Instance"}
    }
    assert odd == {}
    assert kept == 0
    assert peak <= 300, f"{peak} MB"
    late = {name: seconds for name, (_, seconds, _) in found.items() if seconds > 5}
    assert late == {}


@pytest.mark.slow
def test_an_answer_that_is_reset_at_any_byte_is_never_taken_for_whole(make, peer, clock):
    for at in range(len(WHOLE)):
        transport = make(api_key=f"{KEY}{at}", cache="memory", max_wait=0.1)
        peer.default = cut(at)
        for name in ("search_offers", "show_instances"):
            with pytest.raises(ServerError):
                transport.call(name, body={} if name == "search_offers" else None)
        seen = len(peer.asked)
        with pytest.raises(OutcomeUnknown):
            transport.call("create_instance", path={"id": 1}, body={})
        assert len(peer.asked) == seen + 1, "a create is not sent twice"
        peer.default = answer({"offers": [{"id": 1}]})
        clock.advance(100)
        assert not transport.call("search_offers", body={}).from_cache
        transport.close()


@pytest.mark.parametrize(
    ("endpoint", "data"),
    [
        ("search_offers", {"offers": None}), ("search_offers", {"offers": "x"}),
        ("search_offers", {"offers": [1, None, "x"]}), ("search_offers", {}),
        ("search_offers", {"offers": {"id": 1}}), ("gpu_types", {"gpu_types": [None]}),
        ("show_instances", {"instances": None}), ("show_instance", {"instances": [{"id": 1}]}),
        ("show_user", {}), ("show_user", []), ("create_instance", ["x"]),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_trouble(make, peer, endpoint, data):
    transport = make(max_wait=0.1)
    peer.default = answer(data)
    with pytest.raises(VastError) as caught:
        transport.call(endpoint, path={"id": 7})
    expected = OutcomeUnknown if endpoint == "create_instance" else ServerError
    assert type(caught.value) is expected


def test_an_answer_of_another_shape_is_replaced_by_an_older_one_and_not_kept(make, peer, clock):
    peer.default = answer({"offers": [{"id": 1}]})
    make().call("search_offers", body={})
    clock.advance(200)
    peer.default = answer({"offers": None})
    older = make().call("search_offers", body={}, max_wait=1)
    assert older.stale and older.data == {"offers": [{"id": 1}]}
    assert "offers" in older.stale_reason


def test_a_command_that_is_answered_with_nothing_was_carried_out(make, peer):
    peer.default = answer("", 204)
    assert make().call("destroy_instance", path={"id": 7}, body={}).data == {}
