"""What is typed into the rent form: read, checked in words, turned into code without secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.errors import InvalidRequest
from vastnb.widgets.rent.code import code_of
from vastnb.widgets.rent.plan import RentPlan, read


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("disk", "20", 20.0),
        ("disk", "1,000 GB", 1000.0),
        ("count", "3", 3),
        ("hours", "2.5 h", 2.5),
        ("max_hours", "", None),
        ("budget_usd", "$12.50", 12.5),
        ("bid", "$0.25/h", 0.25),
        ("bid", "min + 10%", "min + 10%"),
        ("bid", " ", None),
        ("image", " pytorch/pytorch:latest ", "pytorch/pytorch:latest"),
        ("label", "  ", None),
        ("onstart", "echo hi\n", "echo hi\n"),
    ],
)
def test_what_people_type_is_understood(name: str, typed: str, value: Any) -> None:
    assert read(name, typed) == value


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("disk", "4"),
        ("disk", "much"),
        ("disk", ""),
        ("disk", "nan"),
        ("count", "1.5"),
        ("count", "0"),
        ("count", "65"),
        ("hours", "-1"),
        ("bid", "max"),
        ("bid", "-1"),
        ("bid", "1000"),
        ("image", "two words"),
        ("label", "x" * 257),
        ("onstart", "x" * 16_385),
        ("env", {"A": None}),
        ("image", 3),
        ("disk", True),
    ],
)
def test_what_cannot_be_is_refused_in_words(name: str, typed: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(name, typed)
    assert len(refused.value.message) > 10


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="max_hours"):
        RentPlan().changed({"max_hour": 3})


@given(st.sampled_from(["disk", "count", "hours", "bid", "image", "label", "max_hours"]), st.text())
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    try:
        value = read(name, text)
    except InvalidRequest:
        return
    assert value is None or isinstance(value, str | int | float)


SECRETS = {"HF_TOKEN": "hf_very_secret", "-p 8000:8000": "1"}


def test_the_code_rents_the_same_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = RentPlan().changed(
        {"image": 'odd"name', "disk": 33, "env": SECRETS, "onstart": "export K=onstart_secret\n",
         "count": 2, "label": "a'b", "max_hours": 4, "budget_usd": 7.5}
    )  # fmt: skip
    code = code_of(plan, [11, 12], 0.3333)
    assert "hf_very_secret" not in code and "onstart_secret" not in code
    assert "hf_very_secret" not in repr(plan) and "onstart_secret" not in repr(plan)

    class Recorder:
        def rent(self, offers: Any, **given: Any) -> None:
            self.said = (offers, given)

    client = Recorder()
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "onstart.sh").write_text("export K=onstart_secret\n")
    exec(code, {"client": client, "os": os})
    offers, given_ = client.said
    assert offers == [11, 12]
    assert given_ == {**plan.arguments(), "max_dph": 0.3333}


def test_short_code_is_one_line() -> None:
    plan = RentPlan().changed({"image": "a/b", "runtype": None})
    assert code_of(plan, [5], 0.2) == 'box = client.rent(5, image="a/b", disk=10, max_dph=0.2)'
