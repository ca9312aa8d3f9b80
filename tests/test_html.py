"""What a notebook shows of frames: text that strangers wrote is no formula."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SHOWN = r"""
import json
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import pandas as pd
import vastnb
from vastnb.market.frames.offers import frame_of_offers
theirs = [{"id": n, "machine_id": n, "cpu_name": r"$\href{https://x}{AMD}$", "gpu_name": "RTX 4090",
           "geolocation": "Sweden, SE", "dph_total": 0.5, "num_gpus": 1} for n in (1, 2)]
offers = frame_of_offers(theirs)
own = pd.DataFrame({"machine_id": [1, 2], "note": ["fine", "slow"]})
counted = offers.groupby(["cpu_name", "country"]).size()
frames = {
    "offers": offers,
    "cut from them": offers[["cpu_name"]].head(1),
    "joined": own.merge(offers, on="machine_id"),
    "joined with themselves": own.join(offers.merge(offers, on="id")),
    "side by side": pd.concat([offers[["cpu_name"]], own], axis=1),
    "counted": counted.to_frame("n"),
    "in columns": counted.unstack(fill_value=0),
    "turned": counted.unstack(level=0, fill_value=0),
    "pivoted": own.merge(offers).pivot_table(index="note", columns="cpu_name", values="dph_total"),
    "styled": own.merge(offers, on="machine_id").style.hide(axis="index"),
    "of others": pd.DataFrame({"formula": ["$x^2$"], "country": ["$y$"]}),
    "of others, styled": pd.DataFrame({"formula": ["$x^2$"]}).style,
}
html = {n: shell.display_formatter.format(f)[0].get("text/html", "") for n, f in frames.items()}
print(json.dumps({name: ["$" in text, "mathjax_ignore" in text] for name, text in html.items()}))
"""


@pytest.mark.slow
def test_no_frame_with_a_strangers_text_is_typeset_whatever_it_went_through() -> None:
    done = subprocess.run([sys.executable, "-c", SHOWN], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, (dollars, plain) in json.loads(done.stdout.splitlines()[-1]).items():
        assert dollars, name
        assert plain is not name.startswith("of others"), name
