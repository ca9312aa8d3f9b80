"""Logs of an instance: asked for at the service, fetched from where it puts them.

The service answers with an address on a storage service that is not its own. That one gets neither
the key nor any other credential, and says 404 until the file is there.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from vastnb.api.secret import Secret
from vastnb.api.wire import Failure, Request, Wire
from vastnb.clock import Clock
from vastnb.errors import ServerError, WaitTimeout

FIRST_WAIT: Final = 0.3
LONGEST_WAIT: Final = 3.0


SOCKET: Final = 10.0
"""Seconds for each step on the socket."""


def fetch_log(url: str, clock: Clock, *, timeout: float = 30.0) -> str:
    """Return the text behind the address of a log, as soon as it is there.

    Parameters
    ----------
    url : str
        ``result_url`` of the service's answer.
    clock : Clock
        The time.
    timeout : float
        Seconds until the file must be there.

    Raises
    ------
    ServerError
        If there is no such address, or the storage service fails.
    WaitTimeout
        If the file does not appear.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ServerError(
            "Vast.ai gave no link to the logs. Nothing was changed. Try again in a minute.",
            code="no_result_url",
        )
    deadline, wait, last = clock.steady() + timeout, FIRST_WAIT, "not there yet"
    wire = Wire(base_url=url, key=Secret(""), timeout=SOCKET)
    try:
        while True:
            # The whole exchange is bounded: a storage that sends a byte a second is too slow.
            found = _get(wire, url, max(deadline - clock.steady(), 0.1))
            if isinstance(found, str):
                return found
            last = found.what if found else last
            if clock.steady() + wait > deadline:
                raise WaitTimeout(
                    f"The logs did not appear within {timeout:g} s ({last}). Nothing was changed. "
                    "The machine may be busy or offline; try again in a minute."
                )
            clock.sleep(wait)
            wait = min(LONGEST_WAIT, wait * 1.5)
    finally:
        wire.close()


def _get(wire: Wire, url: str, within: float) -> str | Failure | None:
    """Return the text; why there is none; None if it is not there yet."""
    got = wire.exchange(Request("GET", url, {}, None), within, cut=True)
    if isinstance(got, Failure):
        return got
    if got.status in (403, 404):
        return None  # storage services say 403 for what is not there
    if got.status != 200:
        raise ServerError(
            f"The log storage answered HTTP {got.status}. Nothing was changed. Request the logs "
            "again.",
            status=got.status,
        )
    return got.body.decode("utf-8", "replace")
