"""How ``ssh`` is called, and what its words mean.

Options on the command line come before the user's ``~/.ssh/config``, which keeps its say in all
that is not set here: keys, agent, jump hosts, ciphers. Nothing secret is ever an argument, since
every user of a computer can read them: commands travel over the standard input.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vastnb.api.secret import veil
from vastnb.errors import ConnectionLost, HostKeyChanged, LoginRefused, RemoteError

ALIVE: Final = (5, 3)
"""Seconds between two signs of life, and how many may be missed before a connection is dead."""
CONNECT: Final = 10
"""Seconds for a connection to be made."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a machine's SSH server is, and who it must be.

    Parameters
    ----------
    host, port : str, int
        Its address.
    alias : str
        The name that its host key is remembered under: an address is given to another machine
        later, an instance's id is not.
    known_hosts : Path
        The file that remembers it.
    user : str
        Who logs in.
    key_file : Path, optional
        The only key to offer; by default what ssh finds by itself.
    """

    host: str
    port: int
    alias: str
    known_hosts: Path
    user: str = "root"
    key_file: Path | None = None


def program() -> str:
    """Return the path of ``ssh``.

    Raises
    ------
    RemoteError
        If there is none.
    """
    found = shutil.which("ssh")
    if found is None:
        raise RemoteError(
            "There is no ssh on this computer, so machines cannot be reached. Install OpenSSH's "
            "client (Debian: apt install openssh-client; Windows: Optional features)."
        )
    return found


def multiplexes() -> bool:
    """Say whether ssh can share one connection here: OpenSSH on Windows cannot."""
    return os.name != "nt"


def options(target: Target) -> list[str]:
    """Return the options of a connection of its own."""
    interval, missed = ALIVE
    settings = {
        "BatchMode": "yes",  # nobody could answer a question
        "ClearAllForwardings": "yes",  # what the configuration forwards is for the user's own
        "ConnectTimeout": CONNECT,
        "ControlMaster": "no",
        "ControlPath": "none",
        "ControlPersist": "no",
        "ForwardAgent": "no",  # the host of the machine could use the agent
        "ForwardX11": "no",
        "GSSAPIDelegateCredentials": "no",
        "GlobalKnownHostsFile": os.devnull,
        "HostKeyAlias": target.alias,
        "LogLevel": "ERROR",
        "PermitLocalCommand": "no",
        "RemoteCommand": "none",
        "RequestTTY": "no",  # a terminal would land in tmux
        "SetEnv": "VASTNB=1",  # in the place of what the configuration sets
        "ServerAliveCountMax": missed,
        "ServerAliveInterval": interval,
        "StreamLocalBindUnlink": "yes",
        "StrictHostKeyChecking": "accept-new",
        "Tunnel": "no",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": f'"{target.known_hosts}"',
        "VerifyHostKeyDNS": "no",
    }
    given = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    if target.key_file is not None:
        given += ["-i", str(target.key_file), "-o", "IdentitiesOnly=yes"]
    return [*given, "-p", str(target.port), "-l", target.user]


NEEDED: Final = frozenset({
    "DISPLAY", "HOME", "LOGNAME", "PATH", "SHELL", "SSH_AGENT_PID", "SSH_ASKPASS", "SSH_AUTH_SOCK",
    "SYSTEMROOT", "TEMP", "TERM", "TMP", "TMPDIR", "USER", "USERPROFILE", "XDG_RUNTIME_DIR",
})  # fmt: skip
"""Variables without which ssh, its agent or a proxy command do not work; none holds a secret."""


def environment(target: Target) -> dict[str, str]:
    """Return the environment that ssh is started in: without what it would send to the machine.

    ``SendEnv`` of the user's configuration may name whatever it likes, and ``-o SendEnv=-*`` comes
    before the configuration, so it clears nothing.
    """
    line = [program(), "-G", *options(target), target.host]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False)
        told = done.stdout if done.returncode == 0 else "sendenv *"
    except subprocess.TimeoutExpired:
        told = "sendenv *"
    return unsent(told, os.environ)


def unsent(told: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment ``ssh -G`` does not say to send, and what is needed."""
    patterns = [
        re.escape(name).replace(r"\*", ".*").replace(r"\?", ".")
        for word, _, name in (line.partition(" ") for line in told.splitlines())
        if word == "sendenv"
    ]
    sent = re.compile("|".join(patterns) or r"(?!)", re.DOTALL | re.IGNORECASE)
    kept = {
        name: value for name, value in given.items() if name in NEEDED or not sent.fullmatch(name)
    }
    hidden: dict[str, str] = veil(kept)  # verbose tracebacks show locals
    return hidden


def master(target: Target, control: Path, command: str) -> list[str]:
    """Return the line that opens a connection which others share at `control`."""
    # The first value of an option counts, so these come before the others.
    shared = ["-o", "ControlMaster=yes", "-o", f"ControlPath={control}"]
    return [program(), *shared, *options(target), target.host, command]


def rider(target: Target, control: Path | None) -> list[str]:
    """Return the line, without a command, of a call that rides on a connection.

    Parameters
    ----------
    target : Target
        The machine.
    control : Path or None
        The connection's socket; None for a connection of its own.
    """
    if control is None:
        return [program(), *options(target), target.host]
    # Without the master this must fail at once, and not open a connection of its own. Reading no
    # configuration saves a millisecond; what it says was settled by the master.
    alone = ["-F", os.devnull, "-o", "ProxyCommand=false", "-o", "BatchMode=yes"]
    return [program(), *alone, "-S", str(control), "-T", target.host]


_MEANINGS: Final[Sequence[tuple[re.Pattern[str], type[RemoteError], str]]] = (
    (
        re.compile("IDENTIFICATION HAS CHANGED|Host key verification failed"),
        HostKeyChanged,
        "Its host key has changed since you first connected: the container was rebuilt, or "
        "somebody is intercepting the connection. Nothing was sent. If you rebuilt it, call "
        "box.forget_host_key() and connect again; if not, destroy it.",
    ),
    (
        re.compile("Too many authentication failures"),
        LoginRefused,
        "Your SSH agent offers more keys than the machine accepts. Name the right one in "
        "~/.ssh/config (IdentityFile with IdentitiesOnly yes).",
    ),
    (
        re.compile("Permission denied|No supported authentication|sign_and_send_pubkey"),
        LoginRefused,
        "Its SSH server accepts none of your keys. Add a key to your Vast.ai account before you "
        "rent, or attach one to the machine (the key icon in the console). It must work without a "
        "prompt: if it has a passphrase, load it into the agent (ssh-add).",
    ),
    (
        re.compile("Bad owner or permissions|Bad configuration option|terminating, "),
        RemoteError,
        "ssh does not accept your ~/.ssh/config; `ssh -G vast.ai` shows where it fails.",
    ),
)


_BROKEN: Final = re.compile("closed by (remote|UNKNOWN)|[Cc]onnection reset|Broken pipe")


def meaning(said: str) -> tuple[type[RemoteError], str]:
    """Return what a failed connection means.

    Parameters
    ----------
    said : str
        What ssh wrote to its standard error.

    Returns
    -------
    type, str
        The kind of error, and its meaning in words.
    """
    last = said.strip().splitlines()[-1:] or ["no answer"]
    if _BROKEN.search(last[0]):  # whatever was said before: keys are refused by an answer
        return ConnectionLost, (
            f"The connection broke while it was being made (ssh: {last[0][:200]})."
        )
    for pattern, kind, words in _MEANINGS:
        if pattern.search(said):
            return kind, f"{words} (ssh: {last[0][:200]})"
    return ConnectionLost, f"Its SSH server cannot be reached (ssh: {last[0][:200]})."


def may_come(said: str, *, keys_too: bool = False) -> bool:
    """Say whether a failed connection may succeed by waiting: no server yet, or no keys yet."""
    kind, _ = meaning(said)
    return kind is ConnectionLost or (keys_too and kind is LoginRefused)


__all__ = [
    "Target",
    "environment",
    "master",
    "may_come",
    "meaning",
    "multiplexes",
    "options",
    "program",
    "rider",
    "unsent",
]
