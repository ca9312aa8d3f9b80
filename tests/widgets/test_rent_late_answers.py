"""Answers that a rent has overtaken: what the form shows is what it has rented."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pandas as pd
import pytest

from vastnb.client import Client
from vastnb.errors import JournalError, OutcomeUnknown, RateLimited
from vastnb.sim import Server
from vastnb.widgets.rent import session
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.questions import Found
from vastnb.widgets.rent.run import RentRun
from vastnb.widgets.rent.widget import RentForm, rent_form

from .renting import QUERY, Page, alive

pytestmark = pytest.mark.usefixtures("own_data")


class Held:
    """A function that answers when it is let go; in the threads of a form only."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._gate = threading.Event()

    def __call__(self, *args: Any, **options: Any) -> Any:
        if threading.current_thread().name == "vastnb-form":
            assert self._gate.wait(20)
        return self._function(*args, **options)

    def let_go(self, form: RentForm) -> None:
        self._gate.set()
        assert form.wait(20)


@pytest.fixture
def page(form: RentForm) -> Page:
    page = Page(form)
    assert form.wait(10)
    return page


def _rent(page: Page) -> RentRun:
    page.click(page.review())
    run = page.form._session.model.run
    assert run is not None and run.wait(30)
    page.form._session.drain()
    return run


def _lost(*_args: Any, **_options: Any) -> None:
    raise OutcomeUnknown("A machine may have been rented.")


def _rate_limited(*_args: Any, **_options: Any) -> None:
    raise RateLimited("Rate limited.")


def test_a_search_that_a_rent_has_overtaken_hides_no_machine(
    page: Page, form: RentForm, client: Client, market: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(client.search_offers)
    monkeypatch.setattr(client, "search_offers", held)
    page.say("search")
    _rent(page)
    held.let_go(form)
    assert page.state["phase"] == "rented" and len(form.machines) == len(alive(market)) == 1


@pytest.mark.parametrize("kind", ["search", "find out"])
def test_a_rent_under_way_is_not_disturbed(
    page: Page, form: RentForm, client: Client, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    go, real = threading.Event(), client.rent

    def rent(*args: Any, **options: Any) -> Any:
        assert go.wait(20)
        return real(*args, **options)

    monkeypatch.setattr(client, "rent", rent)
    shown = page.review()
    page.click(shown)
    page.say(kind)  # from a page that shows what was before
    assert not page.state["finding"] and not page.state["note"]
    go.set()
    assert form.wait(30)
    assert page.state["phase"] == "rented" and form._session.model.ids == shown["offers"]


def test_a_search_that_fails_late_does_not_hide_an_unknown_outcome(
    page: Page, form: RentForm, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(_rate_limited)
    shown = page.review()
    monkeypatch.setattr(client, "search_offers", held)
    monkeypatch.setattr(client, "rent", _lost)
    page.say("search")
    page.click(shown)
    held.let_go(form)
    assert page.state["outcome"]["action"] == "find out"


def test_what_was_found_out_before_a_rent_does_not_settle_it(
    page: Page, form: RentForm, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(lambda _client: Found("good", "Nothing is open."))
    monkeypatch.setattr(session, "settle", held)
    monkeypatch.setattr(client, "rent", _lost)
    page.say("find out")
    run = _rent(page)
    held.let_go(form)
    assert run.unknown and page.state["outcome"]["action"] == "find out"
    page.say("review")
    assert page.state["confirm"] is None
    page.say("find out")
    assert form.wait(10) and not run.unknown


def test_a_question_from_before_a_rent_that_fails_says_nothing_of_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_client: Client) -> Found:
        raise JournalError("The journal cannot be read.")

    held = Held(broken)
    monkeypatch.setattr(session, "settle", held)
    form = rent_form(client, QUERY, image="pytorch/pytorch", disk=20, key="form")
    page = Page(form)
    _rent(page)
    held.let_go(form)
    assert page.state["outcome"] is None and len(form.machines) == 1
    form.close()


@pytest.mark.parametrize("wrong", [RuntimeError("no memory of it"), KeyboardInterrupt()])
def test_what_goes_wrong_after_the_click_leaves_the_rent_in_its_form(
    page: Page,
    form: RentForm,
    market: Server,
    monkeypatch: pytest.MonkeyPatch,
    wrong: BaseException,
) -> None:
    def fails(*_args: Any) -> None:
        raise wrong

    monkeypatch.setattr(session, "remember", fails)
    shown = page.review()
    with suppress(KeyboardInterrupt):
        page.click(shown)
    assert form.wait(30)
    assert form.phase == "rented" and len(form.machines) == len(alive(market)) == 1


def test_a_rent_that_ctrl_c_has_met_while_it_began_stays_in_its_form(
    page: Page, form: RentForm, market: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = RentRun.start

    def interrupted(run: RentRun) -> None:
        start(run)
        assert run.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(RentRun, "start", interrupted)
    shown = page.review()
    with pytest.raises(KeyboardInterrupt):
        page.click(shown)
    assert form.wait(30)
    assert form.phase == "rented" and len(form.machines) == len(alive(market)) == 1


def test_a_rent_that_ctrl_c_has_met_before_it_began_is_called_off(
    page: Page, form: RentForm, market: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = RentRun.start

    def interrupted(run: RentRun) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", lambda _thread: None)
            start(run)
        begun.append(run)
        raise KeyboardInterrupt

    begun: list[RentRun] = []
    with monkeypatch.context() as patch:
        patch.setattr(RentRun, "start", interrupted)
        shown = page.review()
        with pytest.raises(KeyboardInterrupt):
            page.click(shown)
    begun[0]._run()  # its thread comes after all
    assert form.phase == "plan" and alive(market) == []
    assert page.rent()["phase"] == "rented" and len(alive(market)) == 1


def test_the_last_offer_stays_also_if_it_is_there_twice(page: Page, form: RentForm) -> None:
    twice = pd.concat([form.offers.head(1)] * 2, ignore_index=True)
    form.take_offers(twice)
    page.say("offers", id=int(twice["id"].iloc[0]), drop=True)
    assert len(form.offers) == 2


def test_a_form_without_offers_that_took_up_a_rent_searches_those_of_the_rent(
    form: RentForm, client: Client
) -> None:
    page = Page(form)
    page.click(page.review())
    form.close()
    other = RentForm(client, None, RentPlan())
    page = Page(other)
    other.take_up()
    assert other.wait(30) and other.phase == "rented"
    page.say("search")
    assert other.wait(20) and len(other.offers)
    other.close()


def test_a_secret_goes_to_nobody_who_has_not_said_that_he_listens(client: Client) -> None:
    form = rent_form(client, QUERY, image="pytorch/pytorch", env={"TOKEN": "hush"}, key="form")
    sent: list[Any] = []
    form.send = lambda message, buffers=None: sent.append(message)  # type: ignore[method-assign]
    reveal = {"type": "reveal", "field": "env", "name": "TOKEN"}
    form._on_message(form, reveal, [])
    assert sent == []
    form._on_message(form, {"type": "ready"}, [])
    form._on_message(form, reveal, [])
    assert [one["value"] for one in sent if one["type"] == "secret"] == ["hush"]
    form.close()
