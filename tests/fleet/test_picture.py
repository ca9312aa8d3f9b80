"""What one more list makes of the picture: what is believed, what is doubted, what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vastnb.fleet.env import MARKER, env_names
from vastnb.fleet.records import WATCH_COLUMNS
from vastnb.fleet.watch.changes import changes_between
from vastnb.fleet.watch.picture import DOUBTED_FOR, Desired, Doubt, doubt, take_list, trimmed

from .watching import NOW, pictured, rec


class Eye:
    """Takes lists in, one after the other, as the watcher does."""

    def __init__(self) -> None:
        self.picture: Any = {}
        self.meant: dict[int, Desired] = {}
        self.doubt: Doubt | None = None
        self.now = NOW
        self.said: list[Any] = []

    def take(self, *records: Any, after: float = 5.0) -> dict[int, str]:
        self.now += after
        ids = {one["id"] for one in records}
        self.doubt = doubt(self.picture, ids, self.meant, self.doubt, asked_at=self.now)
        taken = take_list(self.picture, records, self.meant, asked_at=self.now, doubted=self.doubt)
        first = not self.picture
        self.said += changes_between(self.picture, taken, self.meant, self.now, first=first)
        self.picture = taken
        return {number: one.watched.verdict.state for number, one in taken.items()}

    def means(self, number: int, wanted: Any) -> None:
        self.meant[number] = Desired(wanted, self.now)


# -- secrets


def test_a_picture_holds_no_secret_and_knows_what_is_ours() -> None:
    raw = rec(
        extra_env=[["TOKEN", "hunter2"], ["-p 80:80", "1"], [MARKER, "m" * 32], ["A=hunter2", ""]],
        jupyter_token="hunter2",
        instance_api_key="hunter2",
        onstart="echo hunter2",
        image_args=["hunter2"],
    )
    one = pictured([raw])[1].watched
    assert one.ours
    assert "hunter2" not in repr(one) + json.dumps(dict(one.record))
    assert env_names(one.record["extra_env"]) == ["TOKEN", "-p 80:80", MARKER, "A"]
    assert one.record["extra_env"][2] == [MARKER, "m" * 32]
    assert not pictured([rec(extra_env={"X": "hunter2"})])[1].watched.ours
    assert "jupyter_token" not in WATCH_COLUMNS and "onstart" not in WATCH_COLUMNS


def test_recorded_records_are_kept_without_their_secrets(recorded_dir: Path) -> None:
    rows = json.loads((recorded_dir / "data" / "instances_7_states.json").read_text("utf-8"))
    for row in rows:
        kept = trimmed(row)
        assert set(kept) <= set(WATCH_COLUMNS)
        assert env_names(kept["extra_env"]) == env_names(row.get("extra_env"))


texts = st.text("AB=x-p: \n8", max_size=6) | st.just(MARKER)


@settings(deadline=None)
@given(
    st.none()
    | texts
    | st.lists(st.lists(texts | st.none() | st.integers(), max_size=3) | texts, max_size=3)
    | st.dictionaries(texts, texts, max_size=3)
)
def test_whatever_an_environment_looks_like_its_values_stay_out(env: Any) -> None:
    for pair in trimmed({"extra_env": env})["extra_env"]:
        assert len(pair) == 2
        assert pair[1] == "" or pair[0] == MARKER


# -- lists that are cut short


def test_an_empty_list_is_doubted_and_only_several_in_a_row_are_believed() -> None:
    eye = Eye()
    eye.take(rec(1), rec(2), rec(3))
    for _ in range(2):
        assert set(eye.take().values()) == {"running"}
        assert eye.doubt is not None and "is empty" in eye.doubt.text
        assert not any(one.watched.verdict.settled for one in eye.picture.values())
    assert set(eye.take().values()) == {"gone"}
    assert eye.doubt is None
    assert [change.kind for change in eye.said] == ["gone"] * 3


def test_a_machine_that_is_alone_and_vanishes_is_doubted_too() -> None:
    eye = Eye()
    eye.take(rec(1))
    assert eye.take() == {1: "running"}
    assert eye.take() == {1: "running"}
    assert eye.take() == {1: "gone"}


def test_lists_that_come_at_once_prove_no_more_than_one() -> None:
    eye = Eye()
    eye.take(rec(1), rec(2))
    for _ in range(20):
        assert set(eye.take(after=DOUBTED_FOR / 25).values()) == {"running"}


def test_a_list_that_was_cut_short_costs_nothing_when_the_next_one_is_whole() -> None:
    eye = Eye()
    everything = [rec(n) for n in range(1, 26)]
    eye.take(*everything)
    for _ in range(30):
        eye.take(*everything[:10])
        assert eye.doubt is not None and "missing 15 of 25" in eye.doubt.text
        assert set(eye.take(*everything).values()) == {"running"}
    assert eye.said == []


def test_one_of_many_that_vanishes_is_gone_after_two_lists() -> None:
    eye = Eye()
    eye.take(*[rec(n) for n in range(1, 10)])
    assert eye.take(*[rec(n) for n in range(2, 10)])[1] == "running"
    assert eye.doubt is None
    assert eye.take(*[rec(n) for n in range(2, 10)])[1] == "gone"


def test_what_was_to_go_is_not_missed() -> None:
    eye = Eye()
    eye.take(rec(1), rec(2))
    for number in (1, 2):
        eye.means(number, "gone")
    assert eye.take() == {1: "gone", 2: "gone"}
    assert eye.doubt is None and [change.level for change in eye.said] == ["good", "good"]
    assert eye.take(after=61) == {}  # seen gone for a minute: nobody needs to see it


def test_a_list_from_before_an_action_knows_nothing_of_it() -> None:
    eye = Eye()
    eye.take(rec(1))
    eye.meant[1] = Desired("gone", eye.now + 8)
    assert "destroy" not in eye.picture[1].watched.verdict.advice
    eye.take(rec(1), after=5)
    assert eye.picture[1].watched.verdict.reason == "running"
    eye.take(rec(1), after=5)
    assert eye.picture[1].watched.verdict.advice == "destroy it again"


def test_a_machine_that_was_just_rented_may_be_missing_for_a_while() -> None:
    eye = Eye()
    eye.means(7, "running")
    for _ in range(5):
        assert eye.take(rec(1))[7] == "starting"
    assert eye.take(rec(1), rec(7, "loading"))[7] == "starting"
    lost = Eye()
    lost.means(7, "running")
    states = [lost.take(rec(1))[7] for _ in range(10)]
    assert states[-1] == "gone" and states.index("gone") >= 5


def test_a_machine_that_is_gone_is_shown_for_a_while_and_then_forgotten() -> None:
    eye = Eye()
    for _ in range(3):
        eye.take(rec(1), rec(2), rec(3))
    for _ in range(3):
        states = eye.take(rec(1), rec(2))
    assert states[3] == "gone" and len(eye.take(rec(1), rec(2), after=500)) == 3
    assert len(eye.take(rec(1), rec(2), after=200)) == 2


# -- changes


def test_changes_are_told_and_states_are_not() -> None:
    eye = Eye()
    eye.take(rec(1, "loading", label="a"))
    eye.take(rec(1, "loading", label="a", gpu_util=9.0))
    assert eye.said == []
    eye.take(rec(1, label="a"), rec(2))
    eye.take(rec(1, label="a"), rec(2))
    (first, second) = eye.said
    assert (first.kind, first.id, first.label, first.before, first.after, first.level) == (
        "state", 1, "a", "starting", "running", "good",
    )  # fmt: skip
    assert (second.kind, second.id, second.before) == ("appeared", 2, None)


def test_how_long_it_has_been_so_is_kept() -> None:
    eye = Eye()
    eye.take(rec(1, "loading"))
    began = eye.now
    eye.take(rec(1, "loading"), after=100)
    assert eye.picture[1].watched.since == began
    eye.take(rec(1))
    assert eye.picture[1].watched.since == eye.now


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.integers(1, 6)), st.sampled_from([1.0, 5.0, 30.0, -3.0])),
        min_size=1,
        max_size=12,
    )
)
def test_no_machine_is_gone_because_of_one_list(lists: list[tuple[set[int], float]]) -> None:
    eye = Eye()
    absent: dict[int, int] = {}
    for shown, after in lists:
        states = eye.take(*[rec(n) for n in sorted(shown)], after=after)
        for number in states:
            absent[number] = 0 if number in shown else absent.get(number, 0) + 1
            assert states[number] == "running" or absent[number] >= 2
        assert set(states) >= shown
