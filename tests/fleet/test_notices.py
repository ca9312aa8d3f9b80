"""What costs money is said once, and not again until it has been well."""

from __future__ import annotations

from typing import Any

import pytest

from vastnb.fleet.status import TO_DO
from vastnb.fleet.watch.notices import notices, runway_hours
from vastnb.fleet.watch.picture import Desired, take_list

from .watching import NOW, rec

OCI = "Error response from daemon: failed to create shim task: OCI runtime create failed"


class Voice:
    """Tells what is to be told, look after look."""

    def __init__(self, wanted: Any = "running") -> None:
        self.picture: Any = {}
        self.meant = {1: Desired(wanted, NOW)} if wanted else {}
        self.said: Any = frozenset()
        self.now = NOW

    def look(self, *records: Any, after: float = 30.0, acted: Any = (), **more: Any) -> list[str]:
        self.now += after
        self.picture = take_list(self.picture, records, self.meant, asked_at=self.now)
        ended = {id: one.at for id, one in self.meant.items() if one.wanted == "gone"}
        self.said, found = notices(
            self.said, self.picture, at=self.now, acted=acted, ended=ended, **more
        )
        assert all(one.kind == "notice" and one.level in ("warn", "bad") for one in found)
        return [one.text for one in found]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (rec(1, "created", "stopped", status_msg=OCI), "Failed: Error response"),
        (rec(1, "exited", "stopped", is_bid=True), "Outbid; its disk is billed"),
    ],
)
def test_a_mishap_is_said_once_until_it_has_been_well(record: Any, says: str) -> None:
    voice = Voice()
    assert voice.look(rec()) == []
    (text,) = voice.look(record)
    assert text.startswith(says) and any(
        text.endswith(f". {said}.") for said in filter(None, TO_DO.values())
    )
    for _ in range(5):
        assert voice.look(record) == []
    assert voice.look(rec(1, "loading")) == []
    assert voice.look(record) == []  # it has not been well
    assert voice.look(rec()) == []
    assert len(voice.look(record)) == 1


def test_what_comes_of_an_action_is_news() -> None:
    voice = Voice()
    failed = rec(1, "created", "stopped", status_msg=OCI)
    assert len(voice.look(failed)) == 1
    assert voice.look(failed) == []
    assert len(voice.look(failed, acted={1})) == 1


def test_a_start_that_is_stuck_is_said() -> None:
    voice = Voice()
    texts = [text for _ in range(30) for text in voice.look(rec(1, None))]
    assert len(texts) == 1 and texts[0].startswith(
        "Stuck: waiting for the machine to start the container"
    )


def test_credit_that_runs_low_is_said_twice_at_most_and_again_after_it_was_filled() -> None:
    voice = Voice()
    says = [len(voice.look(rec(), credit=left)) for left in (100, 6.1, 5.9, 5, 6.2, 3, 0.9, 0.5, 0)]
    assert says == [0, 0, 1, 0, 0, 0, 1, 0, 0]
    assert voice.look(rec(), credit=50.0) == []
    (text,) = voice.look(rec(), credit=2.0)
    assert "$2.00 lasts 2 h 0 min" in text or "$2.00 lasts 120 min" in text
    assert voice.look(rec(), credit=None) == []
    urgent = Voice()
    assert [len(urgent.look(rec(), credit=0.5)) for _ in range(3)] == [1, 0, 0]


def test_the_credit_lasts_for_what_is_charged_now() -> None:
    voice = Voice(None)
    voice.look(rec(1), rec(2, "exited", "stopped"), rec(3, instance={"totalHour": 0.9}))
    assert runway_hours(voice.picture, 4.0) == pytest.approx(2.0)
    assert runway_hours(voice.picture, None) is None
    assert runway_hours({}, 4.0) is None


def test_a_machine_past_its_deadline_is_said_once_and_again_if_it_was_put_off() -> None:
    voice = Voice()
    at = {1: NOW + 100}
    assert [len(voice.look(rec(), deadlines=at)) for _ in range(6)] == [0, 0, 0, 1, 0, 0]
    assert voice.look(rec()) == []  # a look that knows of no deadline forgets none
    assert voice.look(rec(), deadlines=at) == []
    assert voice.look(rec(), deadlines={1: NOW + 300}) == []
    (text,) = voice.look(rec(), after=100, deadlines={1: NOW + 300})
    assert "Past its deadline by" in text
    stopped = Voice("stopped")
    assert stopped.look(rec(1, "exited", "stopped"), deadlines={1: NOW}) == []


def test_a_machine_that_was_destroyed_and_is_still_there_or_back_is_said() -> None:
    voice = Voice("gone")
    assert [len(voice.look(rec(), after=10)) for _ in range(6)] == [0, 0, 1, 0, 0, 0]
    long_up = Voice("running")
    assert long_up.look(rec(), after=900) == []
    long_up.meant = {1: Desired("gone", long_up.now)}
    assert long_up.look(rec(), after=5) == []  # a destroy takes a moment, however old the machine
    assert len(long_up.look(rec(), after=30)) == 1
    back = Voice("gone")
    back.look(rec(), after=1)
    assert back.look(after=5) == []
    (text,) = back.look(rec(), after=35)
    assert "came back after it was destroyed" in text
    assert back.look(rec()) == []


def test_what_is_well_is_not_spoken_of() -> None:
    voice = Voice(None)
    for record in (rec(1, "loading"), rec(), rec(1, "exited", "stopped"), rec(1, "offline")):
        assert voice.look(record, credit=1000.0, deadlines={1: NOW + 1e6}) == []
    assert voice.look() == voice.look() == []
