"""The rent form on a real server: one machine for one click, and nothing lost on the way."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vastnb.client import Client
from vastnb.clock import ManualClock
from vastnb.errors import InvalidRequest, OutcomeUnknown
from vastnb.fleet.instance import Fleet
from vastnb.market.query.query import parse_query
from vastnb.sim import Fault, Server
from vastnb.widgets.monitor import monitor
from vastnb.widgets.rent.run import RentRun
from vastnb.widgets.rent.widget import RentForm, rent_form

from . import test_monitor
from .renting import QUERY, Page, alive

pytestmark = pytest.mark.usefixtures("own_data")


@pytest.fixture
def page(form: RentForm) -> Page:
    return Page(form)


def test_a_click_rents_one_machine_at_the_price_that_was_shown(
    page: Page, form: RentForm, market: Server
) -> None:
    shown = page.review()
    assert shown["max_dph"] == form.max_dph
    page.click(shown)
    assert form.wait(30)
    (machine,) = alive(market)
    assert machine.offer["id"] == shown["offers"][0]
    assert machine.dph_base + machine.disk_dph <= shown["max_dph"]
    assert form.phase == "rented" and form.result is not None
    assert [one.id for one in form.machines] == [machine.id]
    assert "sending" in page.steps() and page.steps()[-1] == "done"
    assert page.state["machines"][0]["id"] == machine.id


def test_two_clicks_and_two_pages_rent_one_machine(
    page: Page, form: RentForm, market: Server
) -> None:
    other = Page(form, "other")
    shown = page.review()
    page.click(shown)
    page.click(shown)
    other.click(shown)
    assert form.wait(30)
    other.click(shown)
    page.say("review")
    assert form.wait(30)
    assert len(alive(market)) == 1 and market.calls("create_instance") == 1


def test_a_stale_click_rents_nothing(page: Page, form: RentForm, market: Server) -> None:
    shown = page.review()
    page.click(shown, at=time.time() - 31)
    assert "while the kernel was busy" in page.state["note"]
    assert page.state["phase"] == "plan"
    page.click(shown)
    assert form.wait(5) and market.calls("create_instance") == 0


def test_a_click_on_another_price_or_other_offers_rents_nothing(
    page: Page, form: RentForm, market: Server
) -> None:
    for wrong in ({"max_dph": 0.01}, {"offers": [1]}, {"count": 5}, {"token": "x"}):
        page.click(page.review(), **wrong)
        assert "Nothing was rented" in page.state["note"]
    form.set(disk=100)
    assert market.calls("create_instance") == 0


@pytest.mark.slow
def test_the_kernel_is_never_blocked_by_a_click(page: Page, form: RentForm, market: Server) -> None:
    market.faults.add(Fault("create_instance", "delay", seconds=2.0))
    shown = page.review()
    before = time.perf_counter()
    page.click(shown)
    assert time.perf_counter() - before < 1.5
    assert form.phase == "renting"
    assert form.wait(30) and len(alive(market)) == 1


def test_a_taken_offer_falls_back_to_the_next_and_it_is_told(
    page: Page, form: RentForm, market: Server
) -> None:
    market.world.fleet.expect("gone")
    ids = page.state["offers"]
    page.say("change", field="max_dph", value="5")
    state = page.rent()
    (machine,) = alive(market)
    assert machine.offer["id"] == ids[1]["id"]
    assert "refused" in page.steps()
    refused = next(one for one in state["run"]["steps"] if one["kind"] == "refused")
    assert str(ids[0]["id"]) in refused["text"] and refused["level"] == "warn"


def test_a_lost_answer_is_found_out_and_adopted(page: Page, form: RentForm, market: Server) -> None:
    market.faults.add(Fault("create_instance", "drop-after"))
    page.rent()
    assert len(alive(market)) == 1
    assert {"finding out", "adopted"} <= set(page.steps())
    assert [one.id for one in form.machines] == [alive(market)[0].id]


def test_an_unknown_outcome_is_found_out_before_anything_else(
    page: Page, form: RentForm, market: Server
) -> None:
    market.faults.add(Fault("create_instance", "drop-after"))
    market.faults.add(Fault("show_instances", "503", times=10_000))
    state = page.rent()
    assert isinstance(form.error, OutcomeUnknown)
    assert state["outcome"]["action"] == "find out" and state["outcome"]["level"] == "bad"
    assert "may" in state["outcome"]["text"]
    page.say("back")
    page.say("review")
    assert page.state["confirm"] is None and "First check" in page.state["note"]

    market.faults.clear()
    page.say("find out")
    assert page.state["finding"]
    assert form.wait(30)
    (machine,) = alive(market)
    assert "Found" in page.state["found"]["text"] and page.state["outcome"] is None
    assert [one.id for one in form.machines] == [machine.id]
    assert page.state["machines"][0]["id"] == machine.id
    assert market.calls("create_instance") == 1


def test_a_machine_that_was_found_out_is_shown_even_if_it_cannot_be_asked_for(
    page: Page, form: RentForm, market: Server
) -> None:
    market.faults.add(Fault("create_instance", "drop-after"))
    market.faults.add(Fault("show_instances", "503", times=10_000))
    page.rent()
    market.faults.clear()
    market.faults.add(Fault("show_instance", "503", times=10_000))
    page.say("find out")
    assert form.wait(30)
    (machine,) = alive(market)
    assert [one.id for one in form.machines] == [machine.id]
    assert [one["id"] for one in page.state["machines"]] == [machine.id]
    market.faults.clear()


def test_machines_that_were_rented_before_an_unknown_outcome_are_shown(
    client: Client, market: Server
) -> None:
    form = rent_form(client, QUERY, image="a/b", disk=20, count=3)
    page = Page(form)
    market.faults.add(Fault("create_instance", "drop-after", nth=3))
    market.faults.add(Fault("show_instances", "503", times=10_000))
    state = page.rent()
    assert isinstance(form.error, OutcomeUnknown)
    rented = {one.id for one in form.error.machines}
    assert len(rented) == 2 and rented < {one.id for one in alive(market)}
    assert {one["id"] for one in state["machines"]} == rented
    assert {one.id for one in form.machines} == rented
    market.faults.clear()
    form.close()


def test_what_nobody_foresaw_is_treated_as_a_machine_that_may_exist(
    page: Page, form: RentForm, market: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rent = client.rent

    def breaks(*given: Any, **options: Any) -> None:
        rent(*given, **options)
        raise ZeroDivisionError

    monkeypatch.setattr(client, "rent", breaks)
    state = page.rent()
    assert state["outcome"]["action"] == "find out"
    page.say("back")
    page.say("review")
    assert page.state["confirm"] is None
    page.say("find out")
    assert form.wait(20)
    assert str(alive(market)[0].id) in page.state["found"]["text"]
    page.say("back")
    page.say("review")
    assert page.state["confirm"] is not None


def test_a_price_that_rose_is_refused_and_nothing_is_rented(
    client: Client, market: Server, clock: ManualClock
) -> None:
    seen = client.search_offers(QUERY, order="dph_total", storage=20)
    cheaper = seen.head(1).copy()
    cheaper["dph_base"] = cheaper["dph_base"] * 0.5
    clock.advance(120)
    form = rent_form(client, cheaper, image="a/b", disk=20)
    state = Page(form).rent()
    assert "more than max_dph" in state["outcome"]["text"]
    assert state["outcome"]["action"] == "search"
    assert market.calls("create_instance") == 0 and alive(market) == []
    page = Page(form, "again")
    page.say("search")
    assert form.wait(20)
    assert page.state["phase"] == "plan" and page.state["outcome"] is None
    assert page.state["offers"][0]["dph"] == pytest.approx(float(seen["dph_total"].iloc[0]))
    form.close()


@pytest.mark.parametrize(
    ("fate", "title", "action"),
    [("no-credit", "Not enough credit", "change"), ("forbidden", "The offer", "search")],
)
def test_refusals_say_what_happened_and_what_to_do(
    client: Client, market: Server, fate: str, title: str, action: str
) -> None:
    market.world.fleet.expect(fate)
    offer = client.search_offers(QUERY, order="dph_total", storage=20).head(1)
    form = rent_form(client, offer, image="a/b", disk=20)
    state = Page(form).rent()
    outcome = state["outcome"]
    if fate == "no-credit":
        assert outcome["title"].startswith(title) and outcome["action"] == action
    assert outcome["text"] and outcome["level"] in ("warn", "bad")
    assert alive(market) == [] and form.machines == []
    form.close()


def test_several_machines_and_a_fleet_that_falls_short(client: Client, market: Server) -> None:
    offers = client.search_offers(QUERY, order="dph_total", storage=20)
    offers = offers.drop_duplicates("machine_id").head(2)
    form = rent_form(client, offers, image="a/b", disk=20, count=3)
    with pytest.warns(RuntimeWarning, match="2 of 3"):
        state = Page(form).rent()
    assert isinstance(form.result, Fleet) and len(form.machines) == 2
    assert state["outcome"]["title"] == "2 of 3 machines were rented"
    assert len(state["machines"]) == 2
    form.close()


def test_machines_are_followed_to_running_connected_to_and_destroyed(
    page: Page, form: RentForm, market: Server, clock: ManualClock, client: Client
) -> None:
    form.set(runtype="jupyter_direct")
    page.rent()
    monitor = test_monitor.Page(form._monitor)
    assert form.monitoring == form._monitor.model_id
    number = form.machines[0].id
    assert monitor.row(number)["state"] == "starting" and monitor.row(number)["ours"]
    clock.advance(120)
    market.world.advance(minutes=5)
    monitor.says(type="ask", at_once=True)
    test_monitor.settled(monitor.widget)
    card, row = page.state["machines"][0], monitor.row(number)
    assert card["dph"] == pytest.approx(card["dph_run"])
    assert card["state"] == "running" and row["ssh"] == client.show_instance(number).ssh_command
    assert "HostName" in row["config"] and row["jupyter"]
    assert str(number) in form._repr_mimebundle_()["text/html"]

    monitor.clicks("jupyter", number)
    test_monitor.settled(monitor.widget)
    token = monitor.sent[-2]["url"].split("token=")[1]
    assert token not in str(form.get_state()) and token not in str(page.state)

    monitor.clicks("destroy", number, at=clock.time() - 300)
    assert "5 min" in monitor.row(number)["said"]["text"]
    monitor.clicks("destroy", number)
    monitor.clicks("destroy", number)
    test_monitor.settled(monitor.widget)
    assert alive(market) == [] and form.machines == []
    assert page.state["machines"][0]["state"] == "gone"


def test_the_form_destroys_only_what_it_has_rented(
    page: Page, form: RentForm, market: Server, client: Client
) -> None:
    other = client.create_instance(
        int(client.search_offers(QUERY)["id"].iloc[-1]), image="a/b", check_ssh_key=False
    )
    page.rent()
    monitor = test_monitor.Page(form._monitor)
    monitor.says(type="ask", at_once=True)
    test_monitor.settled(monitor.widget)
    assert [row["id"] for row in monitor.picture["rows"]] == [form.machines[0].id]
    for number in (other.id, 999):
        monitor.clicks("destroy", number, typed=str(number))
    test_monitor.settled(monitor.widget)
    assert len(alive(market)) == 2


def test_a_machine_that_is_rented_in_the_place_of_another_is_shown(
    page: Page, form: RentForm, market: Server, clock: ManualClock
) -> None:
    market.world.fleet.expect("stuck")
    page.rent()
    monitor = test_monitor.Page(form._monitor)
    row: dict[str, Any] = {"verbs": []}
    while "next" not in row["verbs"]:
        clock.advance(60)
        market.world.advance(minutes=1)
        monitor.says(type="ask", at_once=True)
        test_monitor.settled(monitor.widget)
        (row,) = monitor.picture["rows"]
    monitor.clicks("next", row["id"], shown=row["again"]["max_dph"])
    test_monitor.settled(monitor.widget)
    (machine,) = alive(market)
    assert [one.id for one in form.machines] == [machine.id]
    states = {one["id"]: one["state"] for one in page.state["machines"]}
    assert states[machine.id] == "starting" and states[row["id"]] == "gone"


def test_notices_put_away_in_a_form_stay_where_other_machines_are_shown(
    page: Page, form: RentForm, market: Server, client: Client, clock: ManualClock
) -> None:
    market.world.fleet.expect("stuck")
    client.create_instance(
        int(client.search_offers(QUERY)["id"].iloc[-1]), image="a/b", check_ssh_key=False
    )
    watching = monitor(client)
    page.rent()
    shown = test_monitor.Page(form._monitor)
    while not watching.notices:
        clock.advance(60)
        market.world.advance(minutes=1)
        watching.refresh()
    before = watching.notices
    shown.says(type="dismiss", key=None)
    assert watching.notices == before
    watching.close()


def test_one_list_call_a_tick_serves_forms_and_monitors(
    client: Client, market: Server, clock: ManualClock
) -> None:
    forms = [rent_form(client, QUERY, image="a/b", disk=20, key=key) for key in "ab"]
    assert market.calls("show_instances") == 0
    for form in forms:
        Page(form).rent()
    pages = [
        test_monitor.Page(one) for one in (*(form._monitor for form in forms), monitor(client))
    ]
    for _ in range(3):
        clock.advance(60)
        calls = market.calls("show_instances")
        for page in pages:
            page.says(type="ask")
        test_monitor.settled(pages[0].widget)
        assert market.calls("show_instances") == calls + 1
        for page in pages:
            page.widget.drain()
    assert [len(page.picture["rows"]) for page in pages] == [1, 1, 2]
    for page in pages:
        page.widget.close()
    for form in forms:
        form.close()


def test_a_cell_that_is_run_again_takes_the_rent_over(
    client: Client, market: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = iter([("cell", "1"), ("cell", "2")])
    monkeypatch.setattr("vastnb.widgets.kit.widget.this_cell", lambda: next(runs))
    market.faults.add(Fault("create_instance", "delay", seconds=0.6))
    first = rent_form(client, QUERY, image="a/b", disk=20)
    page = Page(first)
    page.click(page.review())
    second = rent_form(client, QUERY, image="other", disk=99)
    assert first._closed and second.phase == "renting"
    again = Page(second)
    assert "continues here" in again.state["note"]
    again.say("review")
    assert again.state["confirm"] is None
    assert second.wait(30)
    assert [one.id for one in second.machines] == [one.id for one in alive(market)]
    assert len(alive(market)) == 1
    second.close()


def test_a_rent_that_ended_unseen_is_shown_by_the_next_form(client: Client, market: Server) -> None:
    market.faults.add(Fault("create_instance", "delay", seconds=0.2))
    first = rent_form(client, QUERY, image="a/b", disk=20)
    page = Page(first)
    page.click(page.review())
    run = first._session.model.run
    first.close()
    assert run is not None and run.wait(20)
    second = rent_form(client, QUERY, image="a/b", disk=20)
    assert [one.id for one in second.machines] == [one.id for one in alive(market)]
    Page(second)
    second.close()
    third = rent_form(client, QUERY, image="a/b", disk=20)
    assert third.phase == "plan"
    third.close()


def test_two_forms_do_not_rent_at_the_same_time(client: Client, market: Server) -> None:
    market.faults.add(Fault("create_instance", "delay", seconds=0.5))
    one = rent_form(client, QUERY, image="a/b", disk=20, key="one")
    two = rent_form(client, QUERY, image="a/b", disk=20, key="two")
    first, second = Page(one), Page(two)
    shown = second.review()
    first.click(first.review())
    second.click(shown)
    assert "in progress" in second.state["note"] and second.state["phase"] == "plan"
    assert one.wait(30) and len(alive(market)) == 1
    for form in (one, two):
        form.close()


def test_what_an_earlier_kernel_left_open_is_said(client: Client, market: Server) -> None:
    client.create_instance(
        int(client.search_offers(QUERY)["id"].iloc[0]), image="a/b", check_ssh_key=False
    )
    form = rent_form(client, QUERY, image="a/b")
    page = Page(form)
    assert form.wait(20)
    assert page.state["found"]["level"] == "info"
    assert str(alive(market)[0].id) in page.state["found"]["text"]
    form.close()


def test_account_and_templates_are_asked_for_in_threads(
    clock: ManualClock,
) -> None:
    with (
        Server(seed=3, speed=0, clock=clock, cap=None, limits=None, machines=200, credit=0.5,
               ssh_key=False) as market,
        Client(market.api_key, base_url=market.url, cache="memory", clock=clock) as client,
    ):  # fmt: skip
        form = rent_form(client, QUERY, image="a/b", disk=20, hours=24)
        assert market.calls("show_user") == 0
        page = Page(form)
        assert form.wait(20)
        texts = " ".join(one["text"] for one in page.state["warnings"])
        assert "no SSH key" in texts and "credit" in texts
        assert len(page.state["templates"]) > 3
        hash_id, name, _, disk = page.state["templates"][0]
        page.say("template", hash=hash_id)
        values = page.state["values"]
        assert (values["template"], values["image"], values["runtype"]) == (name, None, None)
        assert values["disk"] == max(20, disk)
        page.say("change", field="runtype", value="ssh_direct")
        state = page.rent()
        assert state["outcome"]["title"] == "Your account has no SSH key"
        assert alive(market) == []
        form.close()


def test_without_a_key_offers_can_be_looked_at_and_it_is_said(
    market: Server, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("VAST_API_KEY", "HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Client(base_url=market.url, cache="memory", clock=clock) as client:
        form = rent_form(client, QUERY, image="a/b")
        page = Page(form)
        assert form.wait(10)
        assert page.state["has_key"] is False and len(page.state["offers"]) > 0
        form.close()


SECRET = "hf_a_very_secret_value"
SCRIPT = "export PASSWORD=also_very_secret\n"


def test_secrets_are_in_no_trait_copy_repr_or_picture(page: Page, form: RentForm) -> None:
    page.say("env", rows=[{"name": "HF_TOKEN", "value": SECRET, "was": ""}])
    page.say("change", field="onstart", value=SCRIPT)
    page.review()
    page.say("back")
    page.rent()
    everything = "".join(
        [
            repr(form), str(form.get_state()), str(form._repr_mimebundle_()), form.to_code(),
            str(page.messages), repr(form._session.model.plan), repr(form._session.model.run),
        ]
    )  # fmt: skip
    for secret in (SECRET, "also_very_secret"):
        assert secret not in everything
    assert 'os.environ["HF_TOKEN"]' in form.to_code()
    assert form._session.model.run is not None and form._session.model.run.arguments == {}
    page.say("reveal", field="env", name="HF_TOKEN")
    assert page.messages[-2] == {
        "type": "secret", "field": "env", "name": "HF_TOKEN", "value": SECRET, "page": "page",
    }  # fmt: skip
    assert SECRET not in str(form.get_state())


def test_the_static_copy_says_what_it_would_cost(form: RentForm) -> None:
    html = form._repr_mimebundle_()["text/html"]
    assert "SIMULATED" in html and f"up to ${form.max_dph:.4f}/h" in html
    assert "client.rent(" in html and "<script" not in html
    assert len(html) < 12_000


def test_offers_are_taken_in_every_form(client: Client) -> None:
    frame = client.search_offers(QUERY, order="dph_total").head(3)
    ids = frame["id"].tolist()
    given: list[tuple[Any, list[int]]] = [
        (frame, ids),
        (frame.iloc[1], ids[1:2]),
        (ids[2], ids[2:3]),
        (ids, ids),
        ([ids[1], ids[0]], [ids[1], ids[0]]),
        (frame.iloc[0].to_dict(), ids[:1]),
        (iter(ids), ids),
        ({"gpu_name": "RTX 4090", "num_gpus": 1}, ids),
        (frame.head(0), []),
        (None, []),
    ]
    for offers, wanted in given:
        form = rent_form(client, offers, key="x")
        assert form.offers.get("id", []).__class__ is not None
        assert form._session.model.ids[: len(wanted)] == wanted
        if not wanted:
            assert "No offer" in form._repr_mimebundle_()["text/html"]
        form.close()
    with pytest.raises(InvalidRequest, match="not an offer"):
        rent_form(client, object())
    with pytest.raises(InvalidRequest, match="max_hours"):
        rent_form(client, ids[0], max_hour=3)
    with pytest.raises(InvalidRequest, match="bid"):
        rent_form(client, ids[0], type="reserved")


def test_bids_are_rented_as_bids(client: Client, market: Server) -> None:
    form = rent_form(client, QUERY, type="bid", image="a/b", disk=20)
    page = Page(form)
    assert page.state["of_bid_search"] and page.state["price"]["at_most"]
    assert page.state["values"]["bid"] == "min+10%"
    page.rent()
    (machine,) = alive(market)
    assert machine.is_bid
    form.close()


def test_a_service_that_fails_is_shown_and_asked_again(client: Client, market: Server) -> None:
    market.faults.add(Fault("search_offers", "500", times=60))
    form = rent_form(client, QUERY, image="a/b")
    page = Page(form)
    assert page.state["outcome"]["action"] == "again" and page.state["offers"] == []
    market.faults.clear()
    page.say("search")
    assert form.wait(30)
    assert page.state["outcome"] is None and len(page.state["offers"]) > 0
    form.close()


def test_a_query_is_searched_again_as_a_query(client: Client) -> None:
    form = rent_form(client, parse_query(QUERY), image="a/b")
    page = Page(form)
    ids = [one["id"] for one in page.state["offers"]]
    page.say("offers", id=ids[0], drop=True)
    assert [one["id"] for one in page.state["offers"]] == ids[1:]
    page.say("search")
    assert form.wait(30)
    assert [one["id"] for one in page.state["offers"]] == ids
    form.close()


def test_strange_messages_are_ignored(page: Page, form: RentForm, market: Server) -> None:
    for content in ({"type": "change"}, {"type": "change", "field": "disk", "value": []},
                    {"type": "env", "rows": [1, {"name": 3}]}, {"type": "offers", "id": "x"},
                    {"type": "confirm"}, {"type": "destroy", "id": 1}, {"type": ["x"]},
                    {"type": "template", "hash": {}}, {"type": "nothing"},
                    {"type": "change", "field": "disk", "value": 10**400}):  # fmt: skip
        form._on_message(form, content, [])
    form._on_message(form, "text", [])
    assert form.wait(5) and market.calls("create_instance") == 0
    page.say("change", field="disk", value="20")
    assert page.state["acked"] == {"page": page.seq}
    assert page.state["outcome"] is None
    page.click(page.review(), at=10**400)
    assert form.phase == "plan" and "unknown time" in page.state["note"]


def test_a_rental_that_cannot_be_started_blocks_no_other(
    page: Page, form: RentForm, market: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RentRun, "start", no_thread)
        page.click(page.review())
    assert form.phase == "plan" and page.state["outcome"] is not None
    page.rent()
    assert [one.id for one in form.machines] == [one.id for one in alive(market)]


def no_thread(run: RentRun) -> None:
    raise RuntimeError("can't start new thread")


def test_in_a_kernel_what_happens_arrives_without_being_asked_for(
    client: Client, market: Server
) -> None:
    async def session() -> list[str]:
        form = rent_form(client, QUERY, image="a/b", disk=20)
        page = Page(form)
        page.click(page.review())
        for _ in range(400):
            await asyncio.sleep(0.02)
            if page.state["phase"] == "rented":
                break
        assert threading.current_thread() is not threading.main_thread()
        form.close()
        return page.steps()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, session()).result(60)[-1] == "done"
    assert len(alive(market)) == 1


def test_offers_say_their_kind_and_disk_to_the_form(client: Client, market: Server) -> None:
    found = client.search_offers("num_gpus=1", type="bid", order="dph_total", storage=40)
    joined = found.join(found.vast.cost(hours=1)).nsmallest(3, "total_usd")
    form = rent_form(client, joined, image="pytorch/pytorch", key="kind")
    try:
        plan = form._session.model.plan
        assert plan.disk == 40 and plan.bid == "min+10%"
        Page(form).rent()
        (machine,) = alive(market)
        assert machine.is_bid and machine.disk == 40
    finally:
        form.close()
