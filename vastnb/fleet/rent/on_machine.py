"""A machine that ends itself: one line before the user's start script.

It is the second line of defence, for a computer that is switched off. Every container has its own
id and a key that is good for itself alone in its environment (``CONTAINER_ID``,
``CONTAINER_API_KEY``). The line leaves a loop running that compares the clock with the deadline,
and then asks the service to destroy the instance, again and again until there is nothing left to
ask. The deadline is a moment and not a duration, for the script runs at every start. A file on the
machine moves it (`FILE`), for nothing else can once the machine is made.
"""

from __future__ import annotations

import math
import shlex
from typing import Final

from vastnb.api.secret import veil
from vastnb.errors import InvalidRequest

FILE: Final = "/root/.vastnb_deadline"
"""On the machine: epoch seconds that count instead of the deadline in the line."""

EVERY: Final = 30
"""Seconds from one look at the clock to the next, and from one request to the next."""

# The environment of a start script may lack what the first process has. Of three programs one is
# there in any image; each of them fails without a word if it is not.
_LINE: Final = (
    "(P() {{ tr '\\0' '\\n' </proc/1/environ|sed -n \"s/^$1=//p\"; }};"
    "I=${{CONTAINER_ID:-$(P CONTAINER_ID)}};K=${{CONTAINER_API_KEY:-$(P CONTAINER_API_KEY)}};"
    'U={url}/api/v0/instances/$I/;A="Authorization: Bearer $K";'
    'while [ -n "$I" ];do D=$(cat {file} 2>/dev/null);'
    'if [ "$(date +%s)" -ge "${{D:-{deadline}}}" ];then '
    'curl -fsS -m 20 -X DELETE -H "$A" -H "Content-Type: application/json" -d "{{}}" "$U"'
    '||wget -qO- -T 20 -t 1 --method=DELETE --header="$A" "$U"'
    '||python3 -c "import sys,urllib.request as r;'
    "r.urlopen(r.Request(sys.argv[1],method='DELETE',"
    'headers=dict([sys.argv[2].split(\': \',1)])),timeout=20)" "$U" "$A";'
    "fi;sleep {every};done) >/dev/null 2>&1 & # vastnb: ends this machine at its deadline\n"
)


def line(deadline: float, base_url: str, *, every: float = EVERY, file: str = FILE) -> str:
    """Return the line, with its newline.

    Parameters
    ----------
    deadline : float
        Epoch seconds; rounded up.
    base_url : str
        The service.
    every : float
        Seconds between two looks.
    file : str
        Where a later deadline is looked for.
    """
    return _LINE.format(
        url=shlex.quote(base_url.rstrip("/")),
        file=shlex.quote(file),
        deadline=math.ceil(deadline),
        every=f"{every:g}",
    )


def with_line(onstart: str | None, deadline: float, base_url: str) -> str:
    """Return a start script with the line in it; the user's own script follows unchanged.

    Parameters
    ----------
    onstart : str or None
        The user's script. Its first line stays the first if it names an interpreter, which must
        be a shell.

    Raises
    ------
    InvalidRequest
        If the script is for something that is no shell.
    """
    added = line(deadline, base_url)
    if not onstart or not onstart.startswith("#!"):
        return _hidden(added + (onstart or ""))
    first, _, rest = veil(onstart.partition("\n"))
    if not first.split("/")[-1].split()[-1].endswith("sh"):
        raise InvalidRequest(
            f"onstart is a script for {first[2:].strip()!r}, so the line that destroys the "
            "machine at its deadline cannot be added to it. Nothing was sent or rented. Leave out "
            "deadline_on_machine, or give a shell script.",
            code="invalid_args",
        )
    return _hidden(f"{first}\n{added}{rest}")


def _hidden(script: str) -> str:
    hidden: str = veil(script)
    return hidden


def move_command(deadline: float) -> str:
    """Return the shell command that moves the deadline, to be run on the machine."""
    return f"echo {math.ceil(deadline)} > {FILE}"
