"""Two kernels never write a file at once, whoever opens it beside them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from vastnb.api.files import private_file

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
else:
    print("both write")
"""


def test_a_file_that_is_opened_again_stays_locked_for_other_kernels(tmp_path: Path) -> None:
    """A second client, or thread, of a kernel must not take the locks of the first away."""
    path = private_file(tmp_path / "pace.sqlite")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE lanes (name)")
    connection.execute("BEGIN IMMEDIATE")
    private_file(path)
    other = [sys.executable, "-c", OTHER, str(path)]
    said = subprocess.run(other, capture_output=True, text=True, check=True).stdout
    connection.close()
    assert said == "database is locked\n"


def test_a_log_in_use_is_not_taken_for_one_that_was_left_behind(tmp_path: Path) -> None:
    path = private_file(tmp_path / "pace.sqlite")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE lanes (name)")
    beside = sorted(one.name for one in tmp_path.glob("pace*"))
    private_file(path)
    assert sorted(one.name for one in tmp_path.glob("pace*")) == beside
    assert len(beside) == 3
    connection.close()
