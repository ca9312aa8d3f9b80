"""Where the key and the server's address come from.

The order is the official client's: the argument, ``VAST_API_KEY``, the two key files. After those
come the places where hosted notebooks keep secrets, and a keyring if one is installed. Nothing
here asks the user anything, and every value is wrapped as soon as it is read.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from vastnb.api.files import at_home
from vastnb.api.secret import Secret
from vastnb.api.text import is_loopback
from vastnb.errors import AuthError, InvalidRequest

DEFAULT_URL = "https://console.vast.ai"
KEY_VARIABLE = "VAST_API_KEY"
URL_VARIABLE = "VAST_URL"
STRAY_VARIABLES = (
    "VASTAI_API_KEY",
    "VAST_AI_API_KEY",
    "VASTAI_KEY",
    "VAST_KEY",
    "VAST_APIKEY",
    "VAST_API_TOKEN",
)
"""Names that people set and nothing reads."""


class Credential(NamedTuple):
    """A key, and where it was found.

    Parameters
    ----------
    key : Secret
        The key.
    source : str
        In words, for messages: ``"argument"``, ``"VAST_API_KEY"``, a file's path.
    """

    key: Secret
    source: str


def find_key(argument: str | Secret | None = None) -> Credential:
    """Find the API key.

    Parameters
    ----------
    argument : str or Secret, optional
        A key given by the caller; it comes first.

    Returns
    -------
    Credential
        The first key found: argument, ``VAST_API_KEY``, ``$XDG_CONFIG_HOME/vastai/vast_api_key``
        (by default under ``~/.config``), ``~/.vast_api_key``, then Colab's and Kaggle's secrets
        and an installed keyring.

    Raises
    ------
    AuthError
        If there is none (the message names misspelt variables that are set), or if the first one
        found cannot be a key.
    """
    # Rebound at once: a verbose traceback prints the arguments of every frame.
    argument = as_secret(argument)
    unread: list[str] = []
    for source, read in _places(argument):
        found, trouble = _read(read)
        if trouble:
            unread.append(f"{source} ({trouble})")
        elif found:
            if not _could_be_a_key(found):
                raise AuthError(
                    f"The value of {source} is not an API key: a key is one word of plain "
                    "characters. Nothing was sent. Copy the key again from "
                    "https://cloud.vast.ai/manage-keys/.",
                    code="malformed_key",
                )
            return Credential(found, source)
    raise AuthError(_nothing_found(unread), code="no_key")


def as_secret(key: object) -> Secret | None:
    """Wrap a key that was given, so that it is not shown; None for none or an empty one.

    It never raises: the frames of the callers still hold what they gave. What is no text becomes
    a secret that cannot be a key, which `find_key` refuses.
    """
    if key is None or isinstance(key, Secret):
        return key
    return _wrap(key) if isinstance(key, str) else Secret("not text")


def base_url(argument: str | None = None) -> str:
    """Return the server's address without a trailing slash.

    Parameters
    ----------
    argument : str, optional
        The caller's choice; otherwise ``VAST_URL``, otherwise ``https://console.vast.ai``.

    Raises
    ------
    InvalidRequest
        If it is not an http(s) address, or if it carries a password or a query.
    """
    chosen = argument or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    url = chosen.strip().rstrip("/") if isinstance(chosen, str) else ""
    try:
        url.encode()  # a lone surrogate is no text
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        # Names that are not ASCII are sent in another spelling, which the library knows.
        sent = requests.Request("GET", url).prepare().url if host else ""
    except (ValueError, requests.RequestException):
        parts, host, port, sent = urlsplit(""), None, None, ""
    blank = any(character.isspace() for character in url)
    if parts.scheme not in {"http", "https"} or not host or blank:
        raise InvalidRequest(
            f"The server's address must look like {DEFAULT_URL} (it comes from base_url or "
            f"{URL_VARIABLE}). Nothing was sent.",
            code="bad_base_url",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidRequest(
            "The server's address contains a user name, a password or a query. Give only scheme, "
            f"host and port, like {DEFAULT_URL}. Nothing was sent.",
            code="bad_base_url",
        )
    if parts.scheme == "http" and not is_loopback(host):
        warnings.warn(
            f"{parts.scheme}://{host} is not encrypted: others on the network can read your "
            "API key.",
            stacklevel=3,
        )
    # One spelling: pace and answers belong to a server, and the key goes to it, by this text.
    host = urlsplit(sent or "").hostname or host
    usual = {"http": 80, "https": 443}[parts.scheme]
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}{'' if port in (None, usual) else f':{port}'}{parts.path}"


def key_files() -> tuple[Path, Path]:
    """Return the official client's key files, in its order."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return (
        at_home(config) / "vastai" / "vast_api_key",
        at_home("~/.vast_api_key"),
    )


def keep_key(key: Secret) -> Path:
    """Write a key to the official client's key file, for its owner's eyes only.

    Parameters
    ----------
    key : Secret
        The key.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    AuthError
        If it cannot be written. Whatever was there is as it was.
    """
    path = key_files()[0]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.parts[0] == "~":
            raise FileNotFoundError("you have no home directory")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(key.reveal())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise AuthError(
            f"The key was accepted but could not be saved in {path} ({type(error).__name__}). Set "
            f"{KEY_VARIABLE} instead, or use login(keep=False).",
            code="not_kept",
        ) from None
    return path


# -- the places ----------------------------------------------------------------------------------

_Reader = Callable[[], Secret | None]


def _places(argument: Secret | None) -> Iterator[tuple[str, _Reader]]:
    yield "the argument", lambda: argument
    yield KEY_VARIABLE, lambda: _wrap(os.environ.get(KEY_VARIABLE))
    for path in key_files():
        yield str(path), lambda path=path: _from_file(path)  # type: ignore[misc]
    if "google.colab" in sys.modules:
        yield "Colab's secrets", _from_colab
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        yield "Kaggle's secrets", _from_kaggle
    if importlib.util.find_spec("keyring"):
        yield "the keyring", _from_keyring


def _wrap(text: str | None) -> Secret | None:
    return Secret(text.strip()) if text and text.strip() else None


def _from_file(path: Path) -> Secret | None:
    try:
        return _wrap(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _from_colab() -> Secret | None:
    return _wrap(importlib.import_module("google.colab").userdata.get(KEY_VARIABLE))


def _from_kaggle() -> Secret | None:
    client = importlib.import_module("kaggle_secrets").UserSecretsClient()
    return _wrap(client.get_secret(KEY_VARIABLE))


def _from_keyring() -> Secret | None:
    keyring = importlib.import_module("keyring")
    # The desktop keyrings of Linux ask for a password in a window when they are locked, and a
    # search for a key must not.
    backend = keyring.get_keyring()
    members = getattr(backend, "backends", [backend])
    if any(type(one).__module__.rpartition(".")[2] in _ASKING for one in members):
        return None
    return _wrap(keyring.get_password("vastnb", "api_key"))


_ASKING = {"SecretService", "libsecret", "kwallet"}


def _read(read: _Reader) -> tuple[Secret | None, str]:
    """Return what a place holds, and why it could not be read."""
    try:
        found = read()
    except Exception as error:  # noqa: BLE001 - foreign secret stores raise anything, and one broken place must not hide the next
        return None, type(error).__name__
    return (found, "") if found else (None, "")


def _could_be_a_key(secret: Secret) -> bool:
    # Anything else would be refused by the HTTP library, in an error that quotes it.
    return all(33 <= ord(character) <= 126 for character in secret.reveal())


def _nothing_found(unread: list[str]) -> str:
    files = ", ".join(str(path) for path in key_files())
    parts = [f"No API key found (checked the argument, {KEY_VARIABLE}, {files}). Nothing was sent."]
    stray = [name for name in STRAY_VARIABLES if os.environ.get(name)]
    if stray:
        verb = "is" if len(stray) == 1 else "are"
        parts.append(f"{', '.join(stray)} {verb} set, but vastnb reads {KEY_VARIABLE}.")
    if unread:
        parts.append(f"Could not be read: {'; '.join(unread)}.")
    parts.append(
        "Create a key at https://cloud.vast.ai/manage-keys/ and set it, or try vastnb.demo(): a "
        "simulated market that needs no key."
    )
    return " ".join(parts)
