"""The offer table in JupyterLab and Chromium against itables: seconds until rows are on screen.

Time is taken in the page: from the moment at which a cell is run (or code is sent to the kernel)
until the expected row is in the document and two frames have been drawn. Bytes are those of the
messages that the page received from the kernel meanwhile.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import report
from bench.rows import rows_for

COLUMNS = 25
LOCAL = 2000
SIZES = (64, 1000, 5000)

SETUP = """
import json
import numpy as np
from vastnb.market.frames.offers import frame_of_offers
from vastnb.widgets.table import OfferTable
from itables.widget import ITable

def prepare(count):
    "Two frames of the same rows, one upside down, each with its mark in the first row."
    global frames
    frame = frame_of_offers(json.load(open(f"rows-{count}.json")), provenance={})
    frame = frame[list(frame.columns[:COLUMNS])]
    frames = []
    for mark, part in (("mark-A", frame), ("mark-B", frame.iloc[::-1])):
        part = part.reset_index(drop=True)
        part.loc[0, "gpu_name"] = mark
        frames.append(part)

def prepare_filter(count):
    "One frame, and a filter that leaves its second half."
    global frame, limit, table
    prepare(count)
    frame = frames[0].sort_values("dph_total", ignore_index=True)
    limit = float(frame["dph_total"].iloc[count // 2])
    mask = (frame["dph_total"] > limit).to_numpy(dtype=bool, na_value=False)
    frame["gpu_name"] = frame["gpu_name"].replace(["mark-A", "mark-B"], "RTX 4090")
    frame.loc[0, "gpu_name"] = "mark-all"
    frame.loc[int(np.flatnonzero(mask)[0]), "gpu_name"] = "mark-some"

# By default itables keeps what fits into 64 KB; here it shows every row, too.
makers = {"vastnb": OfferTable, "itables": lambda frame: ITable(frame, maxBytes=0)}
table = None

def update(kind, frame):
    table.update(frame, **({"maxBytes": 0} if kind == "itables" else {}))

def show(kind, which):
    global table
    table = makers[kind](frames[which])
    return table

def narrow(kind, some):
    mask = (frame["dph_total"] > limit).to_numpy(dtype=bool, na_value=False)
    if kind == "vastnb":
        table.show_rows(np.flatnonzero(mask) if some else None)
    else:
        update(kind, frame[mask] if some else frame)

def explorer(count):
    "An explorer on a complete answer of so many offers; nothing is paced or capped."
    global client
    import vastnb
    client = vastnb.demo(offers=f"rows-{count}.json", limits=None, cap=None)
    return vastnb.explore(client, "verified=any external=any rentable=any rented=any")
"""

COUNTING = """
window.received = 0;
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({ data }) => {
      window.received += data.byteLength ?? data.size ?? data.length;
    });
  }
};
"""

PAGE = """
window.cellsOf = {
  vastnb: ".vnb-rows .vnb-cell",
  itables: "table.dataTable tbody td",
};
window.until = async (kind, mark) => {
  const seen = () => [...document.querySelectorAll(window.cellsOf[kind])]
    .some((cell) => cell.textContent.includes(mark) && cell.offsetParent !== null);
  const deadline = performance.now() + 90_000;
  const frame = () => new Promise(requestAnimationFrame);
  while (!seen()) {
    if (performance.now() > deadline) throw new Error(`never saw ${mark} of ${kind}`);
    await frame();
  }
  await frame();
  await frame();
};
window.timed = async (kind, mark, start) => {
  await new Promise((done) => setTimeout(done, 250));
  const bytes = window.received;
  const begun = performance.now();
  start();
  await window.until(kind, mark);
  const ms = performance.now() - begun;
  await new Promise((done) => setTimeout(done, 250));
  return [ms, window.received - bytes];
};
window.paint = (kind, mark, source) => window.timed(kind, mark, () => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = 1;
  content.activeCell.model.sharedModel.setSource(source);
  window.jupyterapp.commands.execute("notebook:run-cell");
});
window.change = (kind, mark, code) => window.timed(kind, mark, () => {
  window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
    .requestExecute({ code, silent: true });
});
window.rowCount = () =>
  Number(document.querySelector(".vnb-explorer .vnb-grid")?.getAttribute("aria-rowcount") ?? 0);
window.price = async (value) => {
  const field = document.querySelector(".vnb-explorer input[type=text][aria-label='Max price']");
  await new Promise((done) => setTimeout(done, 250));
  const [before, bytes] = [window.rowCount(), window.received];
  const begun = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  const frame = () => new Promise(requestAnimationFrame);
  while (window.rowCount() === before) {
    if (performance.now() > begun + 30_000) throw new Error("the rows did not change");
    await frame();
  }
  await frame();
  await frame();
  const ms = performance.now() - begun;
  await new Promise((done) => setTimeout(done, 250));
  return [ms, window.received - bytes, window.rowCount() - 1];
};
"""


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--paints", type=int, default=5, help="of each measurement (default 5)")


def run(options: argparse.Namespace) -> None:
    from tests.browser.harness import find_chromium

    if find_chromium() is None:
        report.note("Left out: no Chromium was found.")
        return
    what = rows_for()[1]
    with _page() as (notebook, page):
        _sizes(notebook, page, options.paints)
        _local(notebook, page, options.paints)
    report.note(f"Rows: {what}, repeated with new ids where more are asked for.")


@contextmanager
def _page() -> Iterator[tuple[Any, Any]]:
    from tests.browser.harness import Browser, NotebookServer, OpenNotebook, notebook

    with (
        tempfile.TemporaryDirectory(prefix="vastnb-bench-") as folder,
        NotebookServer("lab", Path(folder)) as server,
        Browser() as browser,
    ):
        for size in {*SIZES, LOCAL}:
            rows = rows_for(size)[0]
            (server.work / f"rows-{size}.json").write_text(json.dumps(rows))
        name = "bench.ipynb"
        notebook(f"COLUMNS = {COLUMNS}\n{SETUP}", "pass", path=server.work / name)
        with browser.page() as page:
            page.add_init_script(COUNTING)
            page.set_default_timeout(120_000)
            opened = OpenNotebook(server, page, name).open()
            page.evaluate(f"() => {{ {PAGE} }}")
            yield opened, page
            opened.close()
        away = browser.left_the_machine()
        if away:
            report.note(f"Requests that left the machine: {away[:3]}")


def _sizes(notebook: Any, page: Any, repeats: int) -> None:
    cells: list[list[report.Cell]] = []
    for size in SIZES:
        measured: dict[str, list[list[float]]] = {}
        for kind in ("vastnb", "itables"):
            notebook.evaluate("1", code=f"prepare({size})", timeout=60)
            paints, updates = [], []
            for turn in range(repeats + 1):
                first, second = ("A", "B") if turn % 2 else ("B", "A")
                source = f"show({kind!r}, {int(first == 'B')})"
                paint = page.evaluate(
                    "([k, m, s]) => window.paint(k, m, s)", [kind, f"mark-{first}", source]
                )
                code = f"update({kind!r}, frames[{int(second == 'B')}])"
                update = page.evaluate(
                    "([k, m, c]) => window.change(k, m, c)", [kind, f"mark-{second}", code]
                )
                notebook.evaluate("1", code="table.close()")
                if turn:
                    paints.append(paint)
                    updates.append(update)
            measured[kind] = [
                [report.median([x[i] for x in values]) for i in (0, 1)]
                for values in (paints, updates)
            ]
        peer = measured["itables"]
        for kind, label in (("vastnb", "vastnb OfferTable"), ("itables", "itables ITable, paged")):
            (paint_ms, paint_bytes), (update_ms, update_bytes) = measured[kind]
            cells.append(
                [
                    f"{size:,} rows: {label}",
                    paint_ms,
                    report.ratio(paint_ms, peer[0][0]),
                    update_ms,
                    report.ratio(update_ms, peer[1][0]),
                    paint_bytes / 1e6,
                    update_bytes / 1e6,
                    report.ratio(update_bytes, peer[1][1]),
                ]
            )
    columns = [
        f"{COLUMNS} columns", "first paint ms", "to itables", "update ms", "to itables",
        "paint MB", "update MB", "to itables",
    ]  # fmt: skip
    report.table("Tables in JupyterLab", columns, cells)


def _local(notebook: Any, page: Any, repeats: int) -> None:
    cells: list[list[report.Cell]] = []
    medians: dict[str, tuple[float, float]] = {}
    for kind in ("itables", "vastnb"):
        notebook.evaluate("1", code=f"prepare_filter({LOCAL}); frames[0] = frame", timeout=60)
        page.evaluate(
            "([k, m, s]) => window.paint(k, m, s)", [kind, "mark-all", f"show({kind!r}, 0)"]
        )
        changes = []
        for turn in range(2 * repeats + 2):
            some = turn % 2 == 0
            mark = "mark-some" if some else "mark-all"
            change = page.evaluate(
                "([k, m, c]) => window.change(k, m, c)", [kind, mark, f"narrow({kind!r}, {some})"]
            )
            if turn > 1:
                changes.append(change)
        notebook.evaluate("1", code="table.close()")
        ms, size = (report.median([x[i] for x in changes]) for i in (0, 1))
        medians[kind] = ms, size
    labels = {"vastnb": "vastnb OfferTable, rows picked in Python", "itables": "itables ITable"}
    for kind, (ms, size) in reversed(medians.items()):
        ratio = report.ratio(ms, medians["itables"][0])
        cells.append([labels[kind], ms, ratio, size / 1e3])
    explored = _explored(page, repeats)
    ms, size = (report.median([x[i] for x in explored]) for i in (0, 1))
    label = "vastnb explorer, a price typed into its panel"
    cells.append([label, ms, report.ratio(ms, medians["itables"][0]), size / 1e3])
    report.table(
        f"A local filter change on {LOCAL:,} offers, to be seen and back",
        ["", "ms", "to itables", "kB"],
        cells,
    )


def _explored(page: Any, repeats: int) -> list[list[float]]:
    """Type prices into the explorer's panel; it filters, draws table and chart, and tells."""
    page.evaluate(
        """(source) => {
          const { content } = window.jupyterapp.shell.currentWidget;
          content.activeCellIndex = 1;
          content.activeCell.model.sharedModel.setSource(source);
          window.jupyterapp.commands.execute("notebook:run-cell");
        }""",
        f"explorer({LOCAL})",
    )
    page.wait_for_function(f"window.rowCount() > {LOCAL // 2}", timeout=60_000)
    changes = [
        page.evaluate("(value) => window.price(value)", "0.5" if turn % 2 == 0 else "20")
        for turn in range(2 * repeats + 2)
    ]
    return changes[2:]
