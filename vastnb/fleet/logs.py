"""Logs of an instance: asked for at the service, fetched from where it puts them.

The service answers with an address on a storage service that is not its own. That one gets neither
the key nor any other credential, and says 404 until the file is there.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import requests

from vastnb.clock import Clock
from vastnb.errors import ServerError, WaitTimeout

LARGEST: Final = 16 * 2**20
"""Bytes."""

FIRST_WAIT: Final = 0.3
LONGEST_WAIT: Final = 3.0


class _Nobody(requests.auth.AuthBase):
    """No credentials. Without it, requests would look for some in ``~/.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


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
            "The service gave no address for the logs. Nothing was changed. Try again in a while.",
            code="no_result_url",
        )
    deadline, wait, last = clock.time() + timeout, FIRST_WAIT, "it is not there"
    while True:
        try:
            found = _get(url)
        except requests.RequestException as error:
            found, last = None, type(error).__name__
        if found is not None:
            return found
        if clock.time() + wait > deadline:
            raise WaitTimeout(
                f"The logs did not appear within {timeout:g} s ({last}). Nothing was changed. The "
                "machine may be busy or away; try again in a while."
            )
        clock.sleep(wait)
        wait = min(LONGEST_WAIT, wait * 1.5)


def _get(url: str) -> str | None:
    """Return the text; None if it is not there yet."""
    with (
        requests.Session() as session,
        session.get(
            url, auth=_Nobody(), timeout=(10, 10), allow_redirects=False, stream=True
        ) as answer,
    ):
        if answer.status_code in (403, 404):
            return None  # storage services say 403 for what is not there
        if answer.status_code != 200:
            raise ServerError(
                f"The storage of the logs answered HTTP {answer.status_code}. Nothing was "
                "changed. Ask for the logs again.",
                status=answer.status_code,
            )
        parts, size = [], 0
        for part in answer.iter_content(2**16):
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                break
    return b"".join(parts).decode("utf-8", "replace")


__all__ = ["fetch_log"]
