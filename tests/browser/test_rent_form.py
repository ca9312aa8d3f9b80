"""The rent form in JupyterLab, in a real browser, on the simulated market."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Opener
from .harness import OpenNotebook

ROW = ".vnb-rows .vnb-row:visible"
ALIVE = "[one.id for one in client.server.world.instances.values() if one.alive]"
MARKET = """\
import vastnb
from vastnb.sim import Fault
client = vastnb.demo(seed=5, speed=60, cap=None, limits=None)
"""
FORM = (
    MARKET
    + """\
form = vastnb.rent_form(client, "gpu_name=RTX_4090 num_gpus=1", image="pytorch/pytorch", disk=20)
form"""
)


def opened(opener: Opener, *cells: str) -> OpenNotebook:
    nb = opener(*(cells or (FORM,)))
    nb.page.wait_for_selector(".vnb-rentpanel:visible", timeout=15_000)
    return nb


def review(nb: OpenNotebook) -> None:
    """Open the confirm step, and wait until its button counts."""
    nb.page.click("button:has-text('Review and rent')")
    nb.page.wait_for_selector(".vnb-question:visible")
    nb.page.wait_for_timeout(600)


def destroy(page: Any) -> None:
    """Destroy the first machine that is there, from the form's monitor."""
    page.click(".vnb-machine:has(.vnb-dots:visible:enabled) >> nth=0 >> .vnb-dots")
    page.click(".vnb-menu button:has-text('Destroy…')")
    page.wait_for_selector(".vnb-dialog:has-text('This cannot be undone')")
    assert page.evaluate("document.activeElement.textContent") == "Cancel"
    page.click(".vnb-dialog .vnb-go")
    page.wait_for_selector(".vnb-dialog", state="detached")


def test_two_wanted_and_one_rented_is_said_and_ended_in_the_monitor_of_the_form(
    open_notebook,
) -> None:
    nb = opened(open_notebook, FORM.replace("disk=20", "disk=20, count=2, max_hours=3"))
    page: Any = nb.page
    nb.evaluate("0", code="form.take_offers(form.offers.head(1), count=2)")
    nb.evaluate("0", code="import warnings; warnings.simplefilter('ignore')")
    page.wait_for_function("document.querySelectorAll('.vnb-cand').length === 1")
    assert page.locator(".vnb-machine").count() == 0
    review(nb)
    page.click(".vnb-rentgo")
    page.wait_for_selector(".vnb-machine .vnb-sshrow:visible", timeout=60_000)
    assert page.text_content(".vnb-rent .vnb-title") == (
        "Rented 1 of 2 \N{MULTIPLICATION SIGN} RTX 4090"
    )
    assert "1 of 2 machines were rented" in page.text_content(".vnb-rentnotice")
    (number,) = nb.evaluate(ALIVE)
    assert page.locator(".vnb-rentprogress .vnb-monitor .vnb-machine").count() == 1
    assert page.get_attribute(".vnb-machine", "data-id") == str(number)
    assert "ends in 2 h 59 min" in page.text_content(".vnb-endchip")

    # One of them asks, and there is no other poller in the page.
    asked = """() => { window.asked = 0; const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (data) {
          const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
          if (text.includes('"type":"ask"') || text.includes('"type":"look"')) window.asked += 1;
          return send.call(this, data); }; }"""
    page.evaluate(asked)
    before = nb.evaluate("client.server.calls('show_instances')")
    page.click(".vnb-few > .vnb-top button:text-is('Refresh')")
    page.wait_for_timeout(2000)
    looks = nb.evaluate("client.server.calls('show_instances')") - before
    assert looks == page.evaluate("window.asked") == 1

    destroy(page)
    page.wait_for_selector("text=/Ran .*no longer billed/", timeout=60_000)
    assert nb.evaluate(ALIVE) == [] and nb.evaluate("form.machines") == []


def saved_with_widget_state(nb: OpenNotebook) -> str:
    """Save the notebook with the state of its widgets, and return the file's text."""
    toggle = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
    saved = nb.save()
    if "widgets" not in saved["metadata"]:
        nb.command(toggle)
        nb.page.wait_for_timeout(500)
        saved = nb.save()
        nb.command(toggle)
        nb.page.wait_for_timeout(300)
    assert "application/vnd.jupyter.widget-state+json" in saved["metadata"]["widgets"]
    return json.dumps(saved)


def test_from_an_offer_in_the_explorer_to_a_line_that_logs_in_and_to_its_end(open_notebook) -> None:
    nb = open_notebook(
        MARKET + "explorer = vastnb.explore(client, 'gpu_name=RTX_4090 num_gpus=1')\nexplorer"
    )
    page: Any = nb.page
    page.wait_for_selector(ROW, timeout=15_000)
    button = page.locator(".vnb-rentbutton")
    box = button.bounding_box()
    assert button.is_disabled() and box["y"] + box["height"] < 900
    page.locator(f"{ROW} >> nth=2").click()
    page.locator(f"{ROW} >> nth=4").click(modifiers=["Control"])
    button.click()
    page.wait_for_selector(".vnb-rentdrawer .vnb-cand >> nth=1")
    assert not page.locator(".vnb-gridframe").is_visible()
    drawer = page.locator(".vnb-rentdrawer").bounding_box()
    assert drawer["height"] <= 600

    # A form that lacks something says so where it is missing.
    page.click("button:has-text('Review and rent')")
    page.wait_for_selector("text=Enter an image")
    assert page.input_value("input[aria-label=Machines]") == "2"  # as many as were selected
    page.fill("input[aria-label=Machines]", "1")
    page.fill("input[aria-label=Image]", "pytorch/pytorch")
    page.fill("input[aria-label='End after']", "5")
    page.press("input[aria-label='End after']", "Enter")
    page.wait_for_selector("text=No limit set", state="detached")
    review(nb)
    asked = page.text_content(".vnb-asked")
    limit = nb.evaluate("explorer.rent_form.max_dph")
    assert f"Up to ${limit:.4f}/h each" in asked and "Destroyed after 5 h" in asked
    page.keyboard.press("Escape")
    page.wait_for_selector(".vnb-question", state="hidden")
    assert nb.evaluate("client.server.calls('create_instance')") == 0
    review(nb)
    page.keyboard.press("Enter")  # the button has the focus
    page.wait_for_selector(".vnb-sshrow:visible", timeout=30_000)

    (number,) = nb.evaluate(ALIVE)
    page.click(".vnb-copyssh")
    page.wait_for_selector("text=Copied")
    line = page.evaluate("navigator.clipboard.readText()")
    assert line == nb.evaluate(f"client.show_instance({number}).ssh_command")
    assert "ends in 4 h 59 min" in page.text_content(".vnb-endchip")
    assert nb.evaluate("[one.id for one in explorer.rent_form.machines]") == [number]

    destroy(page)
    for _ in range(50):
        if nb.evaluate(ALIVE) == []:
            break
        page.wait_for_timeout(100)
    assert nb.evaluate(ALIVE) == []
    page.click("button:has-text('← Offers')")
    assert page.locator(".vnb-gridframe").is_visible()


def test_a_taken_offer_a_lost_answer_and_a_double_click_give_one_machine(open_notebook) -> None:
    nb = opened(open_notebook, "1 + 1", FORM, "2 + 2")
    page = nb.page
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    for label in ("Image", "Label", "Bid, $/h", "Disk"):
        field = page.locator(f"input[aria-label='{label}']")
        if field.is_visible():
            field.fill("")
            field.type("xddab")
    page.click("text=No variables")
    page.keyboard.type("xdd")
    page.fill("input[aria-label='Image']", "pytorch/pytorch")
    page.fill("input[aria-label='Disk']", "20")
    page.click("button[aria-label='Remove the variable']")
    page.wait_for_timeout(400)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells

    faults = "client.server.world.fleet.expect('gone')\n"
    nb.evaluate(
        "0", code=faults + "client.server.faults.add(Fault('create_instance','drop-after',nth=2))"
    )
    first, second = nb.evaluate("form.offers['id'].head(2).tolist()")
    review(nb)
    page.dblclick(".vnb-rentgo")
    page.wait_for_selector(".vnb-machine", timeout=60_000)
    said = page.text_content(".vnb-steps")
    assert f"{first}" in said and f"{second}" in said and "lost" in said
    assert page.locator(".vnb-steps [data-level=warn]").count() >= 2
    assert len(nb.evaluate(ALIVE)) == 1
    assert nb.evaluate("client.server.calls('create_instance')") == 2


def test_a_click_made_while_a_cell_runs_rents_nothing(open_notebook) -> None:
    nb = opened(open_notebook, FORM, "import time", "time.sleep(globals().get('nap', 0))")
    page = nb.page
    nb.evaluate("0", code="nap = 5\nimport vastnb.widgets.rent.model as m\nm.STALE = 2.0")
    review(nb)
    status = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    page.wait_for_function(f"{status} === 'idle'")
    page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    nb.command("notebook:run-cell")
    page.wait_for_function(f"{status} === 'busy'")
    page.click(".vnb-rentgo")
    assert page.locator(".vnb-rentgo").is_disabled()
    page.wait_for_selector("text=The kernel is busy")
    page.wait_for_selector("text=/You clicked \\d+ s ago/", timeout=15_000)
    assert nb.evaluate("client.server.calls('create_instance')") == 0
    assert nb.evaluate("form.phase") == "plan"


def test_a_reload_in_the_middle_loses_nothing_and_a_saved_notebook_holds_no_secret(
    open_notebook,
) -> None:
    nb = opened(open_notebook)
    page = nb.page
    secret, password = "hf_secret_of_a_user", "password_in_a_script"
    page.click("text=No variables")
    page.fill("input[aria-label='Variable\\'s name']", "HF_TOKEN")
    page.fill("input[aria-label='Variable\\'s value']", secret)
    page.fill("textarea[aria-label='Start script']", f"export P={password}")
    page.wait_for_selector("code:has-text('HF_TOKEN')")
    masked = "getComputedStyle(document.querySelector('.vnb-script')).webkitTextSecurity"
    page.click("input[aria-label=Label]")
    assert page.evaluate(masked) == "disc"
    assert page.get_attribute("input[aria-label='Variable\\'s value']", "type") == "password"
    saved = saved_with_widget_state(nb)
    assert "RentForm" in saved and "SIMULATED" in saved
    for hidden in (secret, password, nb.evaluate("client.server.api_key")):
        assert hidden not in saved

    nb.evaluate(
        "0", code="client.server.faults.add(Fault('create_instance', 'delay', seconds=2.5))"
    )
    review(nb)
    page.click(".vnb-rentgo")
    page.wait_for_selector("text=/renting offer/")
    page.goto(nb.server.url(nb.name).replace("&reset", ""))
    page.wait_for_selector(".vnb-machine", timeout=40_000)
    (number,) = nb.evaluate(ALIVE)
    assert page.get_attribute(".vnb-machine", "data-id") == str(number)
    page.click("button:has-text('Rent another')")
    value = page.locator("input[aria-label='Variable\\'s value']")
    assert value.input_value() == ""
    page.click(".vnb-eye")
    page.wait_for_function(
        '() => document.querySelector("input[aria-label=\\"Variable\'s value\\"]").value !== \'\''
    )
    assert value.input_value() == secret
    assert nb.evaluate("dict(form._session.model.plan.env)") == {"HF_TOKEN": secret}
