"""What the monitor decides: without a view, a browser or a thread."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vastnb.fleet.costs import burn_of
from vastnb.fleet.status import STATES, Verdict
from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.picture import Watched
from vastnb.fleet.watch.state import Snapshot
from vastnb.sim.payload_texts import PAYLOADS
from vastnb.widgets.monitor.actions import DOING, Click, Outcome, read_click, readable, refusal_of
from vastnb.widgets.monitor.model import MonitorModel
from vastnb.widgets.monitor.view import code_of, static_copy, verbs_of

NOW = 1_790_000_000.0
RECORD: dict[str, Any] = {
    "id": 7,
    "label": "train",
    "gpu_name": "RTX 4090",
    "num_gpus": 2,
    "gpu_ram": 24_564,
    "actual_status": "running",
    "intended_status": "running",
    "dph_base": 0.9,
    "dph_total": 1.0,
    "storage_total_cost": 0.1,
    "instance": {"gpuCostPerHour": 0.9, "diskHour": 0.1},
    "start_date": NOW - 3600,
    "gpu_util": 91.0,
    "gpu_temp": 63.0,
    "image_uuid": "pytorch/pytorch",
    "image_runtype": "jupyter_direc ssh_direc ssh_proxy",
    "ssh_host": "ssh4.vast.ai",
    "ssh_port": 11610,
}
STOPPED = {
    "intended_status": "stopped",
    "actual_status": "exited",
    "instance": {"gpuCostPerHour": 0, "diskHour": 0.1},
}


def watched(state: Any = "running", *, ours: bool = True, advice: Any = "nothing to do", **record):
    full = {**RECORD, **record}
    return Watched(full["id"], full, Verdict(state, state, advice), NOW - 60, ours)


def seen(*machines: Watched, changes: tuple[Change, ...] = (), **snapshot: Any) -> MonitorModel:
    model = MonitorModel()
    model.see(Snapshot(machines, asked_at=NOW, looks=1, **snapshot), changes)
    return model


def click(verb: str, **fields: Any) -> dict[str, Any]:
    return {"type": "act", "key": f"k-{verb}", "verb": verb, "id": 7, "at": NOW, **fields}


def notice(text: str = "Outbid", level: Any = "bad", id: int | None = 7) -> Change:
    return Change(NOW, id, "train", "notice", None, None, text, level)


# -- clicks


def test_a_click_is_carried_out_once_however_often_it_is_sent() -> None:
    model = seen(watched())
    assert isinstance(model.take(click("stop"), NOW), Click)
    assert model.take(click("stop"), NOW) is None
    assert model.picture(NOW)["rows"][0]["busy"]["text"] == "Stopping"


def test_a_click_that_waited_for_the_kernel_is_refused_with_words() -> None:
    model = seen(watched())
    assert model.take(click("destroy", at=NOW - 42), NOW) is None
    said = model.picture(NOW)["rows"][0]["said"]
    assert "clicked 42 s ago" in said["text"] and "Nothing was done" in said["text"]
    assert model.busy == {}


def test_while_something_is_under_way_nothing_else_is_begun() -> None:
    model = seen(watched())
    first = model.take(click("stop"), NOW)
    assert isinstance(first, Click)
    assert model.take(click("destroy"), NOW) is None
    assert "stopping" in model.rows(NOW)[0]["said"]["text"]
    assert isinstance(model.take(click("logs"), NOW), Click)  # looking is always allowed
    model.done(first, Outcome("It stops.", "good"), NOW + 2)
    row = model.rows(NOW + 2)[0]
    assert row["busy"] is None and row["said"]["text"] == "It stops."
    assert model.rows(NOW + 600)[0]["said"] is None


def test_what_failed_stays_until_it_was_read() -> None:
    model = seen(watched())
    begun = model.take(click("stop"), NOW)
    assert isinstance(begun, Click)
    model.done(begun, Outcome("The service did not answer.", "bad"), NOW)
    assert model.rows(NOW + 1e5)[0]["said"]["level"] == "bad"
    model.hush(7)
    assert model.rows(NOW)[0]["said"] is None


@pytest.mark.parametrize("verb", ["destroy", "next"])
def test_a_machine_without_our_marker_is_destroyed_only_with_its_id_typed(verb: str) -> None:
    foreign = watched("stuck", ours=False, advice="destroy and try the next offer")
    for typed in ("", "8", "train"):
        made = read_click(click(verb, typed=typed, shown=1.1))
        assert made and "to destroy it" in refusal_of(made, foreign, NOW)
    made = read_click(click(verb, typed=" 7 ", shown=1.1))
    assert made and refusal_of(made, foreign, NOW) == ""


def test_a_start_is_refused_at_another_price_than_was_shown() -> None:
    stands = watched("stopped", **STOPPED)
    for shown in (0.8, None):
        made = read_click(click("start", shown=shown))
        assert made and "more than shown" in refusal_of(made, stands, NOW)
    made = read_click(click("start", shown=1.0))
    assert made and refusal_of(made, stands, NOW) == ""


def test_what_does_not_fit_the_state_or_the_machine_is_refused() -> None:
    made = read_click(click("start", shown=9.0))
    assert made and "running now" in refusal_of(made, watched(), NOW)
    assert "7 is gone" in refusal_of(made, None, NOW)
    assert "7 is gone" in refusal_of(made, watched("gone"), NOW)
    made = read_click(click("bid"))
    assert made and "bid" in refusal_of(made, watched("outbid", is_bid=True), NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "format"},
        {"verb": None},
        {"id": "7"},
        {"id": True},
        {"id": -1},
        {"at": "now"},
        {"at": float("nan")},
        {"key": 5},
        {"key": "k" * 100},
    ],
)
def test_what_is_no_click_is_none(wrong: dict[str, Any]) -> None:
    assert read_click({**click("stop"), **wrong}) is None
    assert MonitorModel().take({**click("stop"), **wrong}, NOW) is None


def test_every_verb_that_is_offered_can_be_carried_out() -> None:
    for state in STATES:
        for meant in ("running", "stopped"):
            for bid in (True, False):
                offered = verbs_of(watched(state, intended_status=meant, is_bid=bid))
                assert set(offered) <= {*DOING, "connect"}
                assert ("destroy" in offered) == (state != "gone")
                assert not {"start", "stop"} <= set(offered) or state in ("running", "failed")


# -- what is shown


def test_the_burn_strip_tells_what_runs_from_what_only_costs() -> None:
    model = seen(watched(), watched("stopped", id=8, **STOPPED), watched("gone", id=9), credit=11.0)
    figures = model.figures(NOW)
    assert figures["per_hour"] == pytest.approx(1.1)
    assert figures["idle_per_hour"] == pytest.approx(0.1) and figures["idle"] == 1
    assert figures["runway_hours"] == pytest.approx(10.0)
    assert figures["today"] == pytest.approx(1.1)
    assert figures["counts"] == {"running": 1, "stopped": 1, "gone": 1}


def test_what_it_will_cost_is_what_burn_says() -> None:
    loading = {"instance": {"gpuCostPerHour": 0, "diskHour": 0.1}, "actual_status": "loading"}
    machines = (watched("starting", **loading), watched("stopped", id=8, **STOPPED), watched(id=9))
    figures = seen(*machines, credit=21.0).figures(NOW)
    burn = burn_of([one.record for one in machines], now=NOW, credit=21.0)
    assert figures["per_hour"] == pytest.approx(1.2)
    assert figures["full_per_hour"] == pytest.approx(burn.per_hour)
    assert figures["runway_hours"] == pytest.approx(burn.runway_hours)
    assert figures["idle_per_hour"] == pytest.approx(burn.stopped_per_hour)


def test_before_anything_is_known_nothing_is_claimed() -> None:
    picture = MonitorModel().picture(NOW)
    assert picture["asked_at"] is None and picture["rows"] == []
    assert picture["figures"]["today"] is None and picture["figures"]["credit"] is None


def test_trouble_comes_first_and_what_is_over_last() -> None:
    states = ["gone", "stopped", "running", "starting", "failed"]
    model = seen(*(watched(state, id=i + 1) for i, state in enumerate(states)))
    assert [row["state"] for row in model.rows(NOW)] == states[::-1]


def test_60_machines_fit_into_a_small_message() -> None:
    model = seen(*(watched(id=i + 1) for i in range(60)))
    for look in range(2, 60):
        machines = tuple(watched(id=i + 1) for i in range(60))
        model.see(Snapshot(machines, asked_at=NOW + look, looks=look))
    assert len(json.dumps(model.picture(NOW + 60))) < 100_000


def test_the_same_look_told_by_several_monitors_counts_once() -> None:
    model = MonitorModel()
    snapshot, change = Snapshot((watched(),), asked_at=NOW, looks=1), notice()
    for _ in range(5):
        model.see(snapshot, (change,))
    assert len(model.notices) == len(model.news) == 1
    assert list(model.trends[7]) == [91.0]


def test_notices_stay_until_they_are_put_away() -> None:
    model = seen(watched(), changes=(notice("one"), notice("two", "warn"), notice("three")))
    shown = model.picture(NOW)["notices"]
    assert [one["text"] for one in shown] == ["one", "three", "two"]
    model.dismiss(shown[0]["key"])
    assert len(model.picture(NOW)["notices"]) == 2
    model.dismiss(None)
    assert model.picture(NOW)["notices"] == []


def test_what_came_of_an_action_on_a_machine_that_is_gone_is_a_notice() -> None:
    model = seen(watched())
    begun = model.take(click("destroy"), NOW)
    assert isinstance(begun, Click)
    model.see(Snapshot((), asked_at=NOW + 9, looks=2))
    model.done(begun, Outcome("It was not seen gone.", "bad"), NOW + 10)
    assert model.picture(NOW)["notices"][0]["text"] == "It was not seen gone."

    # Whoever has put it away is told again when it fails again, in the same words.
    model.dismiss(None)
    model.done(begun, Outcome("It was not seen gone.", "bad"), NOW + 11)
    assert len(model.picture(NOW)["notices"]) == 1


def test_nothing_of_a_machine_that_is_gone_is_kept() -> None:
    model = seen(watched(), watched(id=8))
    model.take(click("stop", at=0), NOW)
    model.see(Snapshot((), asked_at=NOW + 9, looks=2))
    assert model.trends == {} and model._said == {} and model.ledger.known() == set()


# -- text from strangers


@pytest.mark.parametrize("text", PAYLOADS)
def test_hostile_text_stays_one_short_line_of_text(text: str) -> None:
    record = dict.fromkeys(("label", "gpu_name", "geolocation", "image_uuid"), text)
    model = seen(watched(**record), changes=(notice(text),))
    picture = json.loads(json.dumps(model.picture(NOW)))
    for shown in (picture["rows"][0]["label"], picture["notices"][0]["text"]):
        assert all(c.isprintable() for c in shown)
    html = static_copy(
        model.rows(NOW),
        model.figures(NOW),
        asked_at=NOW,
        trouble=text,
        simulated=False,
        css_class="c",
    )
    for tag in ("<script", "<img", "<svg", "<iframe", "<details"):
        assert tag not in html
    compile(code_of({**RECORD, **record}), "shown", "eval")


def test_a_log_is_shown_without_what_moves_a_terminals_cursor() -> None:
    raw = "a\x1b[31mred\x1b[0m\x1b]0;title\x07b\r\nc\rd\te\x00\u202ef\n"
    assert readable(raw) == "aredb\nc\nd\tef\n"
