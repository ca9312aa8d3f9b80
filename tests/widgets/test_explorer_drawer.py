"""The explorer's rent button: one form for each explorer, for what is selected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vastnb.client import Client
from vastnb.errors import InvalidRequest
from vastnb.sim import Fault, Server
from vastnb.widgets.explorer.widget import Explorer, explore
from vastnb.widgets.rent.widget import rent_form

from .renting import Page, alive

pytestmark = pytest.mark.usefixtures("own_data")


@pytest.fixture
def explorer(client: Client) -> Iterator[Explorer]:
    explorer = explore(client, "gpu_name=RTX_4090 num_gpus=1", storage=30)
    yield explorer
    explorer.close()


def press(explorer: Explorer) -> None:
    explorer._on_message(explorer, {"type": "rent"}, [])


def test_the_button_opens_the_form_for_what_is_selected_in_its_order(explorer: Explorer) -> None:
    ids = explorer.df["id"].tolist()
    explorer.selected_ids = [ids[4], ids[1]]
    press(explorer)
    form = explorer.rent_form
    assert explorer.renting == form.model_id
    assert form.offers["id"].tolist() == [ids[4], ids[1]]
    assert form._session.model.plan.disk == 30
    form.set(image="a/b", label="kept")
    explorer.renting = ""

    press(explorer)  # the same selection: nothing is lost
    explorer.selected_ids = [ids[2]]
    assert explorer.rent_form is form and form.offers["id"].tolist() == [ids[4], ids[1]]
    press(explorer)
    assert form.offers["id"].tolist() == [ids[2]]
    assert form._session.model.plan.label == "kept"


def test_bids_are_opened_as_bids_and_reserved_offers_are_refused(client: Client) -> None:
    explorer = explore(client, "gpu_name=RTX_4090", type="bid")
    explorer.selected_ids = explorer.df["id"].head(2).tolist()
    press(explorer)
    assert explorer.rent_form._session.model.plan.bid == "min+10%"
    explorer.close()
    reserved = explore(client, "gpu_name=RTX_4090", type="reserved")
    press(reserved)
    assert reserved.renting == "" and "prepaid" in reserved.status["problem"]["text"]
    with pytest.raises(InvalidRequest, match="prepaid"):
        _ = reserved.rent_form
    reserved.close()


@pytest.mark.slow
def test_closing_the_explorer_ends_the_form_and_not_the_rent(
    explorer: Explorer, client: Client, market: Server
) -> None:
    explorer.selected_ids = explorer.df["id"].head(2).tolist()
    press(explorer)
    form = explorer.rent_form.set(image="a/b")
    page = Page(form)
    market.faults.add(Fault("create_instance", "delay", seconds=0.4))
    page.click(page.review())
    explorer.close()
    assert form._closed
    again = explore(client, "gpu_name=RTX_4090")
    assert again.renting == again.rent_form.model_id  # it is open, and shows the rent
    after = again.rent_form
    beside = rent_form(client, None)
    assert beside.phase == "plan"  # somebody looks after it
    beside.close()
    assert after.phase == "renting" and after.wait(30)
    assert [one.id for one in after.machines] == [one.id for one in alive(market)]
    again.close()
