"""The two ways in: with your key, or on a simulated market."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vastnb.api.credentials import STRAY_VARIABLES, as_secret, find_key
from vastnb.client import Client
from vastnb.errors import AuthError


def connect(**options: Any) -> Client:
    """Connect with your key if there is one, else to a simulated market, and say which.

    Parameters
    ----------
    **options
        Passed on to `Client`. An ``api_key`` that is given, or found where the official client
        looks, decides for the real service.

    Returns
    -------
    Client

    Raises
    ------
    AuthError
        If a key was all but found: one that cannot be a key, or an environment variable whose
        name is misspelt. Falling back to a simulated market would hide the mistake.
    """
    # Replaced at once: a verbose traceback prints the arguments of every frame.
    options["api_key"] = as_secret(options.get("api_key"))
    try:
        credential = find_key(options["api_key"])
    except AuthError as none:
        if none.code != "no_key" or any(name in os.environ for name in STRAY_VARIABLES):
            raise
        sys.stdout.write(
            "No Vast.ai key found: this is a simulated market (prices and machines are made up).\n"
        )
        return demo()
    client = Client(**options)
    sys.stdout.write(f"Connected to {client.base_url} with the key from {credential.source}.\n")
    return client


def demo(
    seed: int = 0,
    speed: float = 60,
    *,
    offers: str | Path | Sequence[Mapping[str, Any]] | None = None,
    **options: Any,
) -> Client:
    """Return a client on a simulated Vast.ai that runs inside this process.

    The simulated service is a real HTTP server on the loopback interface: the same calls, the
    same limits, and no key or network needed. It ends with the client.

    Parameters
    ----------
    seed : int
        Which market: the same seed gives the same machines and prices.
    speed : float
        Market seconds per real second. Prices drift and offers come and go at this pace; the
        rate limits stay real.
    offers : path or sequence of dict, optional
        Recorded offers to serve instead of the made-up ones: a JSON file with a list, or with
        ``{"offers": [...]}``, or the rows themselves.
    **options
        Passed on to `vastnb.sim.Server` (``payloads``, ``limits``, ``quota``, ...).

    Returns
    -------
    Client
        Its frames carry ``attrs["vastnb"]["simulated"] = True``. ``client.server`` is the
        simulated service, whose ``world`` can be looked at and moved in time
        (``client.server.world.advance(hours=6)``).

    Raises
    ------
    ImportError
        Without the extra ``sim`` (``pip install 'vastnb[sim]'``).
    """
    try:
        from vastnb.sim import Server
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.partition(".")[0] == "vastnb":
            raise
        raise ImportError(
            f"the simulated market needs {missing.name}: pip install 'vastnb[sim]'"
        ) from missing

    # Its machines answer where their records say: a wait for SSH ends here as it would there.
    server = Server(seed=seed, speed=speed, offers=offers, **{"doors": True, **options})
    client = Client(server.api_key, base_url=server.url, cache="memory", clock=options.get("clock"))
    client.server = server
    # A notebook cell that is run again must not leave a server behind for each run.
    client.on_close(server.close)
    weakref.finalize(client, server.close)
    return client
