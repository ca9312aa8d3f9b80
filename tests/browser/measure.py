"""How quickly the offer table is on screen: measured in a real page, for tests and benchmark.

The kernel notes the time before it sends, the page notes it in the frame after the wanted text
stands in the first row; both read the same machine's clock.
"""

from __future__ import annotations

import json
from typing import Any

from .harness import OpenNotebook

ROWS = """
import time
import numpy as np
import pandas as pd


def synthetic(rows, columns=25, seed=0):
    '''Make offers of common shape: an id, texts with few values, flags, counts, prices.'''
    rng = np.random.default_rng(seed)
    names = ["RTX 4090", "RTX 3090", "A100 SXM4", "H100 SXM", "RTX 5090", "L40S", "RTX A6000"]
    places = [f"Region {i}, {c}" for i in range(40) for c in ("US", "NO", "KR")]
    gpus = rng.choice([1, 2, 4, 8], rows)
    price = np.exp(rng.normal(-0.5, 0.9, rows)) * gpus
    found = {
        "gpu_name": pd.Series(rng.choice(names, rows), dtype="string"),
        "id": np.arange(rows) * 37 + 10_000_000 + seed,
        "num_gpus": gpus,
        "gpu_ram_gb": rng.choice([12, 24, 48, 80], rows),
        "dph_total": price,
        "dph_gpu": price / gpus,
        "dlperf": rng.lognormal(4, 1, rows),
        "reliability": 1 - rng.beta(1, 60, rows),
        "verification": pd.Series(rng.choice(["verified", "unverified"], rows), dtype="string"),
        "datacenter": rng.random(rows) < 0.3,
        "geolocation": pd.Series(rng.choice(places, rows), dtype="string"),
        "disk_space": rng.lognormal(5.5, 1, rows),
        "inet_down": rng.lognormal(6.5, 1, rows),
        "duration": rng.random(rows) * 1e7,
    }
    for i in range(columns - len(found)):
        found[f"extra_{i}"] = rng.random(rows) * 1000
    frame = pd.DataFrame(found).iloc[:, :columns]
    frame["gpu_name"] = frame["gpu_name"].where(frame.index > 0, f"First {seed}")
    return frame
"""

_WATCH = """(wanted) => {
  window.__seen = new Promise((done) => {
    const look = () => {
      const cell = document.querySelector('.vnb-rows .vnb-row .vnb-pick + .vnb-cell');
      if (cell && cell.textContent === wanted) requestAnimationFrame(() => done(Date.now()));
      else requestAnimationFrame(look);
    };
    look();
  });
}"""


def _until_seen(nb: OpenNotebook, wanted: str, code: str, result: str = "0") -> dict[str, Any]:
    nb.page.evaluate(_WATCH, wanted)
    answer = nb.evaluate(
        f"[_began, {result}]", code=f"import time; _began = time.time()\n{code}", timeout=60
    )
    seen = nb.page.evaluate("window.__seen")
    return {"ms": seen - answer[0] * 1000, "result": answer[1]}


def first_paint(nb: OpenNotebook, rows: int, columns: int = 25) -> float:
    """Return ms from making the table (frame at hand) until its first row is painted.

    The notebook's last cell must display ``table`` and note ``_began`` before making it.
    """
    nb.page.evaluate(_WATCH, "First 0")
    nb.run_all()
    seen = nb.page.evaluate("window.__seen")
    return float(seen - nb.evaluate("_began") * 1000)


def table_cells(rows: int, columns: int = 25) -> list[str]:
    """Return the cells of a notebook for `first_paint` and `update`."""
    make = (
        f"{ROWS}\nfrom vastnb.widgets.table import OfferTable\nframe = synthetic({rows}, {columns})"
    )
    return [make, "_began = time.time()\ntable = OfferTable(frame)\ntable"]


def update(nb: OpenNotebook, rows: int, columns: int = 25, seed: int = 1) -> tuple[float, int]:
    """Return ms from ``table.update(frame)`` until painted, and the bytes of its buffers."""
    nb.evaluate("0", code=f"_next = synthetic({rows}, {columns}, seed={seed})")
    found = _until_seen(nb, f"First {seed}", "_sent = table.update(_next)", "_sent")
    return found["ms"], found["result"]


def show_rows(nb: OpenNotebook, every: int, wanted: str) -> float:
    """Return ms from a local filter (row numbers only) until it is painted."""
    code = f"table.show_rows(range({every}, len(table._frame), {every}))"
    return float(_until_seen(nb, wanted, code)["ms"])


def filter_change(nb: OpenNotebook, steps: list[str]) -> list[float]:
    """Return ms from a click in the explorer's panel until the new rows are painted, a step each.

    `steps` are values for the number of GPUs (the segmented control).
    """
    return nb.page.evaluate(
        """async (steps) => {
          const times = [];
          const figure = () => document.querySelector('.vnb-figure b').textContent;
          for (const step of steps) {
            await new Promise((r) => setTimeout(r, 400));
            const button = [...document.querySelectorAll('.vnb-filters [role=radio]')]
              .find((b) => b.textContent === step);
            const body = document.querySelector('.vnb-grid');
            const before = body.getAttribute('aria-rowcount');
            const began = performance.now();
            button.click();
            await new Promise((done) => {
              const look = () => body.getAttribute('aria-rowcount') !== before
                ? requestAnimationFrame(done) : requestAnimationFrame(look);
              look();
            });
            times.push(performance.now() - began);
          }
          return times;
        }""",
        steps,
    )


def report(nb: OpenNotebook, rows: int = 5000) -> str:
    """Return measurements of the table as JSON: first paint, updates, a local filter."""
    found: dict[str, Any] = {"rows": rows, "first_paint_ms": first_paint(nb, rows)}
    times = [update(nb, rows, seed=seed) for seed in range(1, 6)]
    found["update_ms"] = sorted(ms for ms, _ in times)[2]
    found["bytes"] = times[0][1]
    return json.dumps(found)
