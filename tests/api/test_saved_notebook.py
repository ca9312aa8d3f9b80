"""A notebook that is run with a key, saved with outputs and widget state, does not hold the key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vastnb.sim import Fault, Server

CELLS = [
    "%xmode Verbose\nimport logging, vastnb\nlogging.basicConfig(level='DEBUG', force=True)",
    "client = vastnb.connect(max_wait=8)\nclient",
    "df = client.search_offers('gpu_name=RTX_4090 num_gpus>=2')\ndf.head()",
    "display(df.attrs, client.traffic(), client.quota(), client.show_user())",
    "ui = vastnb.explore(client)\nui",
    "print(ui.to_code() if hasattr(ui, 'to_code') else '')\nvars(client)",
    "client.search_offers('num_gpu=2')",
    "client.search_offers('num_gpus=3', refresh=True)  # meets an error of the service",
    "client.transport.call('create_instance', path={'id': 1}, body={'image': 'x'})",
    "import pickle\npickle.dumps(client)",
    "import copy\ncopy.deepcopy(client)",
    "repr(copy.copy(client)), vars(client.transport)",
    "%whos",
    "1 / 0",
]


@pytest.mark.slow
def test_a_saved_notebook_and_its_widget_state_do_not_hold_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_dir: Path
) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    faults = [
        Fault("search_offers", "html", times=50, nth=3),
        Fault("create_instance", "drop-after", times=5),
    ]
    with Server(seed=2, limits=None, faults=faults) as server:
        key = server.api_key
        assert len(key) >= 32
        monkeypatch.setenv("VAST_API_KEY", key)
        monkeypatch.setenv("VAST_URL", server.url)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
        nbclient.NotebookClient(
            notebook, timeout=120, allow_errors=True, store_widget_state=True,
            kernel_name="python3", resources={"metadata": {"path": os.fspath(tmp_path)}},
        ).execute()  # fmt: skip
    saved = tmp_path / "saved.ipynb"
    nbformat.write(notebook, saved)
    text = saved.read_text(encoding="utf-8")
    errors = [
        output.ename for cell in notebook.cells for output in cell.outputs
        if output.output_type == "error"
    ]  # fmt: skip
    assert errors[0] == "QueryError" and errors[-1] == "ZeroDivisionError"
    assert "application/vnd.jupyter.widget-state+json" in text
    assert "RTX 4090" in text and "DEBUG" in text
    for secret in (key, key[4:-4], "Bearer "):
        assert secret not in text
    assert errors == [
        "QueryError", "ServerError", "OutcomeUnknown", "TypeError", "TypeError",
        "ZeroDivisionError",
    ]  # fmt: skip
    files = [one for one in cache_dir.rglob("*") if one.is_file()]
    assert files
    for one in files:
        assert key.encode() not in one.read_bytes()
