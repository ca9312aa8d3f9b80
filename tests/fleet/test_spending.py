"""What is spent, what ends it, and what is checked before anything is spent."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import (
    BadTemplate,
    InvalidRequest,
    NoCredit,
    NoSSHKey,
    OutcomeUnknown,
    SpendLimit,
)
from vastnb.fleet.costs import COLUMNS, burn_of
from vastnb.fleet.env import MARKER
from vastnb.fleet.instance import Fleet, Instance
from vastnb.fleet.rent.account import credit_in, needs_ssh_key
from vastnb.fleet.rent.spec import Spec
from vastnb.sim import Fault, Server

from .conftest import alive, entries
from .guarding import finish
from .inside import sender_of, transport_of

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 20}

pytestmark = pytest.mark.filterwarnings("ignore:This client is closed")


def by_hand(client: vastnb.Client, place: int = 0) -> int:
    """Rent as somebody does who does not use vastnb."""
    ids = client.search_offers("num_gpus=1", refresh=True)["id"].tolist()
    body = {"image": "a", "disk": 10}
    answer = transport_of(client).call("create_instance", path={"id": ids[place]}, body=body)
    return int(answer.data["new_contract"])


# -- burn ----------------------------------------------------------------------------------------


def test_what_is_spent_is_what_the_service_bills(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.expect("cached", "cached", "cached")
    fleet = client.rent("num_gpus=1", count=3, max_hours=5, **ORDER)
    assert isinstance(fleet, Fleet)
    fleet.wait()
    fleet[1].stop()
    burn = client.burn()
    truth = {one.id: one for one in alive(server)}
    running = sum(truth[i].dph_base + truth[i].disk_dph for i in (fleet.ids[0], fleet.ids[2]))
    assert burn.running_per_hour == pytest.approx(running)
    assert burn.stopped_per_hour == pytest.approx(truth[fleet.ids[1]].disk_dph)
    assert burn.per_hour == pytest.approx(burn.running_per_hour + burn.stopped_per_hour)
    assert burn.stopped == (fleet.ids[1],)
    credit = server.world.account.credit
    assert burn.credit == pytest.approx(credit)
    assert burn.runway_hours == pytest.approx(credit / burn.per_hour, rel=1e-3)
    frame = burn.machines
    assert list(frame.columns) == list(COLUMNS) and len(frame) == 3
    assert frame["ours"].all() and frame["deadline"].notna().all()
    assert frame["deadline"].dt.tz is not None
    text = str(burn)
    assert f"${burn.per_hour:.4f}/h" in text and str(fleet.ids[1]) in text and "Credit" in text
    assert "lasts" in text and "<table" in burn._repr_html_()


def test_without_machines_nothing_is_spent(client: vastnb.Client) -> None:
    burn = client.burn()
    assert burn.per_hour == 0 and burn.stopped == () and burn.runway_hours == math.inf
    assert "Nothing is billed" in str(burn) and list(burn.machines.columns) == list(COLUMNS)
    empty, full = burn.machines.dtypes, burn_of([{"id": 1}], now=0.0).machines.dtypes
    assert (empty == full).all()


def test_without_a_credit_the_rest_is_shown(client: vastnb.Client, server: Server) -> None:
    client.rent("num_gpus=1", **ORDER)
    server.faults.add(Fault("show_user", "503", nth=1, times=100))
    burn = client.burn()
    assert burn.credit is None and burn.runway_hours is None and burn.per_hour > 0


def test_a_burn_shows_text_of_strangers_as_text() -> None:
    label = "<script>alert(1)</script>"
    burn = burn_of([{"id": 1, "label": label, "gpu_name": "<b>4090</b>"}], now=0.0)
    assert "<script>" not in burn._repr_html_() and "<b>4090" not in burn._repr_html_()


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["id", "label", "dph_total", "storage_total_cost", "intended_status",
                             "num_gpus", "extra_env", "actual_status"]),
            st.none() | st.integers(-5, 5) | st.floats() | st.text(max_size=5) | st.booleans(),
        ),
        max_size=5,
    ),
    st.none() | st.floats(-5, 100),
)  # fmt: skip
def test_any_records_make_a_burn(records: list[dict[str, Any]], credit: float | None) -> None:
    burn = burn_of(records, now=1.79e9, credit=credit)
    assert len(burn.machines) == len(records)
    assert isinstance(str(burn), str) and isinstance(burn._repr_html_(), str)


# -- sweep ---------------------------------------------------------------------------------------


def test_a_sweep_names_before_it_destroys_and_leaves_others_alone(
    client: vastnb.Client, server: Server
) -> None:
    other = by_hand(client)
    fleet = client.rent("num_gpus=1", count=2, **ORDER)
    assert isinstance(fleet, Fleet)
    plan = client.sweep()
    assert plan.dry_run and set(plan.ids) == set(fleet.ids) and plan.others == 1
    assert len(alive(server)) == 3
    text = str(plan)
    assert all(str(one) in text for one in fleet.ids) and "dry_run=False" in text
    assert str(other) not in text and f"${plan.per_hour:.4f}/h" in text
    done = client.sweep(dry_run=False)
    assert not done.dry_run and set(done.ids) == set(fleet.ids)
    assert [one.id for one in alive(server)] == [other]
    assert client.sweep().ids == ()


def test_a_sweep_that_did_not_work_is_told(client: vastnb.Client, server: Server) -> None:
    client.rent("num_gpus=1", **ORDER)
    server.faults.add(Fault("destroy_instance", "503", nth=1, times=10_000))
    with pytest.raises(OutcomeUnknown, match="may still bill"):
        client.sweep(dry_run=False)


# -- several at once -----------------------------------------------------------------------------


def test_several_are_destroyed_with_one_request(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    fleet = client.rent("num_gpus=1", count=8, **ORDER)
    assert isinstance(fleet, Fleet)
    before = clock.time()
    fleet.destroy()
    assert alive(server) == []
    assert server.calls("destroy_instances") == 1 and server.calls("destroy_instance") == 0
    assert clock.time() - before < 60


@pytest.mark.parametrize("kind", ["drop-after", "drop-before", "503", "truncate", "garbage"])
def test_a_lost_bulk_destroy_is_seen_through(
    client: vastnb.Client, server: Server, kind: Any, clock: ManualClock
) -> None:
    server.world.fleet.expect("cached", "resurrects", "cached")
    fleet = client.rent("num_gpus=1", count=3, **ORDER)
    assert isinstance(fleet, Fleet)
    server.faults.add(Fault("destroy_instances", kind, nth=1, times=5))
    fleet.destroy()
    finish(client, clock)
    assert alive(server) == []


def test_where_several_are_not_taken_each_is_destroyed(
    client: vastnb.Client, server: Server
) -> None:
    fleet = client.rent("num_gpus=1", count=3, **ORDER)
    assert isinstance(fleet, Fleet)
    client.destroy_instance([*fleet.ids, 12345])  # refused as a whole, for one of them is unknown
    assert alive(server) == []
    assert server.calls("destroy_instances") == 1 and server.calls("destroy_instance") == 4


def test_ctrl_c_while_destroying_says_what_may_bill(
    client: vastnb.Client, server: Server, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    box = client.rent("num_gpus=1", **ORDER)
    assert isinstance(box, Instance)

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sender_of(client).settler, "settle", interrupted)
        with pytest.raises(KeyboardInterrupt):
            box.destroy()
    assert str(box.id) in capsys.readouterr().err
    assert [one.instance_id for one in client.reconcile().of("destroyed")] == [box.id]


# -- before renting ------------------------------------------------------------------------------


def test_without_an_ssh_key_nothing_is_rented(client: vastnb.Client, server: Server) -> None:
    server.world.account.ssh_keys.clear()
    offer = client.search_offers("num_gpus=1").iloc[0]
    assert not client.has_ssh_key()
    with pytest.raises(NoSSHKey, match="Nothing was sent"):
        client.rent("num_gpus=1", **ORDER)
    for runtype in (None, "ssh", "ssh_direct", "jupyter", "jupyter_direct"):
        with pytest.raises(NoSSHKey):
            client.create_instance(offer, **ORDER, runtype=runtype)
    assert server.calls("create_instance") == 0 and entries(client) == []
    client.create_instance(offer, **ORDER, runtype="args")
    client.rent("num_gpus=1", **ORDER, check_ssh_key=False)
    assert len(alive(server)) == 2


def test_a_key_is_asked_for_once(client: vastnb.Client, server: Server) -> None:
    assert client.has_ssh_key()
    client.rent("num_gpus=1", **ORDER)
    client.rent("num_gpus=1", **ORDER)
    assert server.calls("show_ssh_keys") == 1


def test_a_key_that_cannot_be_asked_for_does_not_stand_in_the_way(
    client: vastnb.Client, server: Server
) -> None:
    server.faults.add(Fault("show_ssh_keys", "503", nth=1, times=100))
    with pytest.warns(RuntimeWarning, match="Could not check whether the account has an SSH key"):
        client.rent("num_gpus=1", **ORDER)
    assert len(alive(server)) == 1


def test_who_needs_a_key() -> None:
    assert needs_ssh_key(Spec("a")) and needs_ssh_key(Spec("a", runtype="jupyter"))
    assert not needs_ssh_key(Spec("a", args=["x"])) and not needs_ssh_key(Spec("a", args=[]))
    assert not needs_ssh_key(Spec(template_hash="abc"))
    assert needs_ssh_key(Spec(template_hash="abc", runtype="ssh"))


def test_a_demo_has_a_key() -> None:
    with vastnb.demo(machines=60) as client:
        assert client.has_ssh_key()


@pytest.mark.parametrize(
    ("options", "credit", "warns"),
    [
        ({}, 25.0, False),
        ({}, 0.01, True),
        ({"max_hours": 2000}, 25.0, True),
        ({"max_hours": 1}, 25.0, False),
        ({"budget_usd": 30}, 25.0, True),
        ({"budget_usd": 5}, 25.0, False),
    ],
)
def test_a_credit_that_does_not_cover_it_is_told(
    client: vastnb.Client, server: Server, options: Any, credit: float, warns: bool
) -> None:
    server.world.account.credit = credit
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.rent("num_gpus=1", **ORDER, **options)
    assert any("credit is" in str(one.message) for one in caught) is warns
    assert len(alive(server)) == 1, "a warning, and no more"


def test_the_credit_is_read_from_whatever_there_is() -> None:
    assert credit_in({"credit": 5, "balance": 1}) == 5 and credit_in({"balance": 1.5}) == 1.5
    assert credit_in({}) is None and credit_in([]) is None and credit_in({"credit": "x"}) is None


def test_a_limit_on_spending_is_told_as_what_it_is(client: vastnb.Client, server: Server) -> None:
    server.world.fleet.expect("spend-limit")
    with pytest.raises(SpendLimit, match="Nothing was rented"):
        client.rent("num_gpus=1", count=2, **ORDER)
    assert server.calls("create_instance") == 1, "it holds for every offer"
    assert issubclass(SpendLimit, NoCredit)


def test_a_template_that_does_not_exist_is_told(client: vastnb.Client, server: Server) -> None:
    with pytest.raises(BadTemplate, match="search_templates"):
        client.rent("num_gpus=1", template_hash="nonsense", image="a", disk=10)
    assert server.calls("create_instance") == 1
    assert issubclass(BadTemplate, InvalidRequest)


# -- connecting ----------------------------------------------------------------------------------


def test_a_machine_can_be_connected_to_in_every_way(client: vastnb.Client, server: Server) -> None:
    server.world.fleet.expect("cached")
    box = client.rent("num_gpus=1", **ORDER, runtype="jupyter_direct")
    assert isinstance(box, Instance)
    box.wait()
    config = box.ssh_config()
    assert config is not None and config.startswith(f"Host vast-{box.id}\n")
    assert (box.ssh_config("gpu", key_file="/k") or "").startswith("Host gpu\n")
    upload, download = box.scp("a b.txt"), box.scp("/r", "here", download=True)
    assert upload is not None and upload.startswith("scp ") and "'./a b.txt'" in upload
    assert download is not None and download.endswith(":/r ./here")
    assert (box.rsync("data/") or "").startswith("rsync ")
    token = box.record()["jupyter_token"]
    for text in (repr(box), config, upload, str(client.burn()), client.burn()._repr_html_()):
        assert token not in text


def test_another_computers_machines_are_burnt_and_never_swept(
    client: vastnb.Client, server: Server
) -> None:
    ids = client.search_offers("num_gpus=1")["id"].tolist()
    body = {"image": "a", "disk": 10, "env": {MARKER: "0" * 32}}
    transport_of(client).call("create_instance", path={"id": ids[0]}, body=body)
    frame = client.burn().machines
    assert frame["ours"].tolist() == [False] and frame["deadline"].isna().all()
    assert isinstance(frame, pd.DataFrame)
    assert client.sweep(dry_run=False).others == 1
    assert len(alive(server)) == 1


def test_renting_without_a_key_fails_before_anything_is_tried(
    server, tmp_path, monkeypatch
) -> None:
    import vastnb
    from vastnb.errors import AuthError

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("VAST_API_KEY", raising=False)
    with vastnb.Client(base_url=server.url, cache="memory") as nobody:
        offers = nobody.search_offers("num_gpus=1").head(2)
        with pytest.raises(AuthError, match="No API key"):
            nobody.rent(offers, image="a/b")
    assert server.calls("create_instance") == 0
