"""The official command line, as it is: a process that imports it once and forks for each command.

Importing it is most of what a command costs; nothing else is shared between two commands.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, NamedTuple

SERVE = """
import json, os, sys, tempfile
from vastai.cli.main import main

def run(words):
    sys.argv = ["vastai", *words]
    try:
        return main() or 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1

for line in sys.stdin:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            code = run(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(code))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    print(json.dumps([code, *said]), flush=True)
"""


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Official:
    """Run commands of `vastai` against a server.

    Parameters
    ----------
    url, api_key : str
        The server, and whose account.
    home : str
        Where it keeps its files.
    """

    def __init__(self, url: str, api_key: str, home: str) -> None:
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
            "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": home,
            "VAST_URL": url, "VAST_API_KEY": api_key, "VASTAI_NO_UPDATE_CHECK": "1",
            "COLUMNS": "200", "NO_COLOR": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE], env=self.env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *words: str) -> Done:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer: list[Any] = json.loads(self._process.stdout.readline())
        return Done(*answer)

    def __enter__(self) -> Official:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()
