"""The ways in: with your key, with a key that you type, or on a simulated market."""

from __future__ import annotations

import getpass
import os
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vastnb.api.credentials import STRAY_VARIABLES, as_secret, find_key, keep_key
from vastnb.api.secret import Secret
from vastnb.client import Client
from vastnb.errors import AuthError


def connect(**options: Any) -> Client:
    """Connect with your key if there is one, else to a simulated market, and say which.

    Parameters
    ----------
    **options
        Passed on to `Client`. A given ``api_key``, or a key where the official client looks,
        connects to Vast.ai itself.

    Returns
    -------
    Client

    Raises
    ------
    AuthError
        If a key is not valid, or the name of its environment variable is misspelt. Falling back
        to a simulated market would hide the mistake.
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


def login(*, keep: bool = True, ask: Callable[[str], str] | None = None, **options: Any) -> Client:
    """Ask for your API key, check it, and save it where the official client looks for it.

    Nothing else in this package ever asks for the key. What you type is not shown and does not
    get into the notebook.

    Parameters
    ----------
    keep : bool
        Save the key in the official client's key file, readable only by you, so that it is found
        from now on. Otherwise only the returned client has it.
    ask : callable, optional
        Given a prompt, returns what was typed; by default `getpass.getpass`, which notebooks
        answer with a hidden field.
    **options
        Passed on to `Client`.

    Returns
    -------
    Client

    Raises
    ------
    AuthError
        If there is no prompt here (a notebook without a user), or Vast.ai does not accept the
        key. Nothing is saved.
    VastError
        If the key could not be checked. Nothing is saved.

    Examples
    --------
    >>> client = vastnb.login()  # doctest: +SKIP
    Vast.ai API key (hidden): ········
    """
    key = _asked(ask or getpass.getpass)
    client = Client(key, **options)
    try:
        client.show_user()
        kept = f" It is saved in {keep_key(key)}." if keep else ""
    except BaseException:
        client.close()
        raise
    sys.stdout.write(f"{client.base_url} accepts this key.{kept}\n")
    if keep and find_key().key.fingerprint() != key.fingerprint():
        sys.stdout.write(f"But the key from {find_key().source} takes precedence over it.\n")
    return client


def _asked(ask: Callable[[str], str]) -> Secret:
    try:
        key = as_secret(ask("Vast.ai API key (hidden): "))
    except (EOFError, NotImplementedError):  # no terminal, and no notebook that somebody sits at
        key = None
    if not key:
        raise AuthError(
            "No key was entered, or there is no prompt here. Nothing was sent or saved. Create a "
            "key at https://cloud.vast.ai/manage-keys/, and run vastnb.login() in an interactive "
            "notebook or terminal.",
            code="no_key",
        )
    return key


def demo(
    seed: int = 0,
    speed: float = 60,
    *,
    offers: str | Path | Sequence[Mapping[str, Any]] | None = None,
    history_days: float = 0,
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
        Recorded offers to serve instead of made-up ones: a JSON file with a list, or with
        ``{"offers": [...]}``, or the rows themselves.
    history_days : float
        Days of price history to give it, as if it had been searched four times a day; needs the
        extra ``history``.
    **options
        Passed on to `vastnb.sim.Server` (``payloads``, ``limits``, ``quota``, ...).

    Returns
    -------
    Client
        Its frames have ``attrs["vastnb"]["simulated"] = True``. ``client.server`` is the
        simulated service; its ``world`` can be inspected and moved in time
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
    # A notebook cell that is run again must not leave a server behind for each run.
    client.on_close(server.close)
    weakref.finalize(client, server.close)
    client.server = server
    if history_days:
        client.history.simulate(days=history_days)
    return client
