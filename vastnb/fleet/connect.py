"""How to connect to an instance: from its record to lines that can be pasted.

A machine with port 22 mapped is reached directly, at its public address; any other through the
service's SSH proxy, whose port is one higher for the Jupyter run types (as in the official
client). Addresses come from the record, and hosts, who are strangers, have a hand in it: one that
could be anything but a host name, an address or a port is no address, so nothing here can carry an
option, a second line of a config file, or a shell command. What the user gives is quoted.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final, Literal
from urllib.parse import quote

from vastnb.errors import InvalidRequest
from vastnb.fleet.env import is_kvm

USER: Final = "root"
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*", re.ASCII)
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}", re.ASCII)
_PROXIES: Final = ("vast.ai", "simulated.invalid")
"""Domains of proxies that a Jupyter token may be sent through."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where SSH listens.

    Parameters
    ----------
    host : str
        A host name or an IP address, and nothing else.
    port : int
        1 to 65535.
    way : {"direct", "proxy"}
        Straight to the machine, or through the service's proxy (slower, always there).
    """

    host: str
    port: int
    way: Literal["direct", "proxy"]


def ssh_address(record: Mapping[str, Any], way: str | None = None) -> Address | None:
    """Return where SSH listens, direct if there is such a way.

    Parameters
    ----------
    record : dict
        The raw record of the instance.
    way : {"direct", "proxy"}, optional
        Only this way.

    Returns
    -------
    Address or None
        None while there is no usable address: ports are mapped only when an instance runs, the
        run type ``args`` has no SSH, and the proxy does not lead to virtual machines.

    Notes
    -----
    The rule is that of the official client's ``ssh-url``.
    """
    direct = _mapped(record, "22/tcp")
    if direct is not None and way != "proxy":
        return Address(*direct, "direct")
    if way == "direct" or _is_vm(record):
        return None
    runtype = _runtype(record)
    host, port = _host(record.get("ssh_host")), _port(record.get("ssh_port"))
    if host is None or port is None or runtype.split() == ["args"]:
        return None
    port += "jupyter" in runtype
    return Address(host, port, "proxy") if port <= 65535 else None


def ssh_command(
    record: Mapping[str, Any],
    *,
    way: str | None = None,
    key_file: str | PurePath | None = None,
    forward: Sequence[int] = (),
) -> str | None:
    """Return the line that logs in.

    Parameters
    ----------
    record : dict
        The raw record of the instance.
    way : {"direct", "proxy"}, optional
        Only this way; by default direct if possible.
    key_file : path, optional
        The private key to use.
    forward : sequence of int, optional
        Ports of the instance that are to appear on this computer under the same numbers.

    Returns
    -------
    str or None
        ``ssh -p 43486 root@198.51.100.7``; None while there is no address.
    """
    address = ssh_address(record, way)
    if address is None:
        return None
    parts = ["ssh", *_key(key_file), "-p", str(address.port), f"{USER}@{address.host}"]
    for port in forward:
        number = _port(port)
        if number is None:
            raise InvalidRequest(f"{port!r} cannot be forwarded: give a port from 1 to 65535.")
        parts += ["-L", f"{number}:localhost:{number}"]
    return shlex.join(parts)


def scp_command(
    record: Mapping[str, Any],
    source: str | PurePath,
    target: str = "/workspace/",
    *,
    download: bool = False,
    way: str | None = None,
    key_file: str | PurePath | None = None,
) -> str | None:
    """Return the line that copies a file or directory with ``scp``.

    Parameters
    ----------
    record : dict
        The raw record of the instance.
    source : path
        On this computer; with `download`, on the instance.
    target : str
        On the instance; with `download`, on this computer.
    download : bool
        Copy from the instance.
    way, key_file
        As in `ssh_command`.

    Returns
    -------
    str or None
        None while there is no address.
    """
    address = ssh_address(record, way)
    if address is None:
        return None
    ends = _ends(address, source, target, download=download)
    return shlex.join(["scp", "-r", *_key(key_file), "-P", str(address.port), *ends])


def rsync_command(
    record: Mapping[str, Any],
    source: str | PurePath,
    target: str = "/workspace/",
    *,
    download: bool = False,
    way: str | None = None,
    key_file: str | PurePath | None = None,
) -> str | None:
    """Return the line that copies with ``rsync``: goes on where it was interrupted.

    Parameters and result are those of `scp_command`.
    """
    address = ssh_address(record, way)
    if address is None:
        return None
    shell = shlex.join(["ssh", *_key(key_file), "-p", str(address.port)])
    ends = _ends(address, source, target, download=download)
    return shlex.join(["rsync", "-az", "--partial", "--progress", "-e", shell, *ends])


def ssh_config(
    record: Mapping[str, Any],
    alias: str | None = None,
    *,
    way: str | None = None,
    key_file: str | PurePath | None = None,
) -> str | None:
    """Return a block for ``~/.ssh/config``, for editors and for ``ssh <alias>``.

    Parameters
    ----------
    record : dict
        The raw record of the instance.
    alias : str, optional
        Letters, digits, ``_ . -``; by default ``vast-<id>``.
    way, key_file
        As in `ssh_command`.

    Returns
    -------
    str or None
        Ends with a newline; None while there is no address.

    Raises
    ------
    InvalidRequest
        If the alias or the path of the key cannot stand in such a file.
    """
    address = ssh_address(record, way)
    if address is None:
        return None
    if alias is None:
        number = record.get("id")
        alias = f"vast-{number}" if type(number) is int and 0 <= number < 2**63 else "vast"
    if not _ALIAS.fullmatch(alias):
        raise InvalidRequest(
            f"{alias!r} is not a valid host alias: use letters, digits, '_', '.' and '-'."
        )
    lines = [f"HostName {address.host}", f"Port {address.port}", f"User {USER}"]
    if key_file is not None:
        path = str(key_file)
        # The file has no way to write these, and % would be expanded.
        if not path.isprintable() or any(c in path for c in '"%\\$') or not path:
            raise InvalidRequest(
                f"The path {path!r} has characters that an ssh config file cannot hold; "
                "rename the file."
            )
        lines += [f'IdentityFile "{path}"', "IdentitiesOnly yes"]
    return "".join([f"Host {alias}\n", *(f"    {line}\n" for line in lines)])


def jupyter_url(record: Mapping[str, Any]) -> str | None:
    """Return the address of the instance's Jupyter, with its token.

    It is a secret: whoever has it runs code on the machine. Nothing else returns it.

    Parameters
    ----------
    record : dict
        The raw record of the instance.

    Returns
    -------
    str or None
        Direct if port 8080 is mapped, else through the service's proxy; None for a run type
        without Jupyter, or while there is no address or no token.

    Notes
    -----
    The direct address has a certificate of the service's own, which browsers ask about once. The
    official client has no such verb; the proxy's address is the one that the console links to.
    """
    token = record.get("jupyter_token")
    if "jupyter" not in _runtype(record) or not isinstance(token, str):
        return None
    if not _TOKEN.fullmatch(token):
        return None
    secret = quote(token, safe="")
    direct = _mapped(record, "8080/tcp")
    if direct is not None:
        host, port = direct
        return f"https://{f'[{host}]' if ':' in host else host}:{port}/?token={secret}"
    host_name, port_number = _host(record.get("ssh_host")), _port(record.get("ssh_port"))
    index = _port(record.get("ssh_idx"))
    domain = (host_name or "").partition(".")[2].lower()
    if port_number is None or index is None or domain not in _PROXIES or _is_vm(record):
        return None
    return f"https://jupyter.{domain}/jm/{index}/{port_number}/?token={secret}"


def has_ssh_key(answer: Any) -> bool:
    """Tell whether an account has an SSH key, from the answer to ``show_ssh_keys``.

    Parameters
    ----------
    answer : JSON value
        A list of keys, or an object that holds one; also what the service says if there are none.

    Returns
    -------
    bool
        Keys that were deleted do not count. Without a key nobody can log in to a machine that is
        rented now: keys are copied there when it is created.
    """
    rows = answer
    if isinstance(answer, Mapping):
        rows = answer.get("ssh_keys", answer.get("keys", answer.get("results")))
    if not isinstance(rows, Sequence) or isinstance(rows, (str, bytes)):
        return False
    return any(_is_key(row) for row in rows)


def _is_key(row: Any) -> bool:
    if not isinstance(row, Mapping) or row.get("deleted_at"):
        return False
    text = row.get("public_key") or row.get("key") or row.get("ssh_key")
    return isinstance(text, str) and bool(text.strip())


# -- what may stand in a line


def _runtype(record: Mapping[str, Any]) -> str:
    runtype = record.get("image_runtype")
    return runtype if isinstance(runtype, str) else ""


def _is_vm(record: Mapping[str, Any]) -> bool:
    return record.get("vm") is True or is_kvm(record.get("image_uuid"))


def _host(value: Any) -> str | None:
    """Return a host name or an address, or None for anything else."""
    if not isinstance(value, str) or len(value) > 253:
        return None
    text = value.strip()
    try:
        # The canonical form; an address with a zone is none that leads anywhere.
        return None if "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return text if _HOST.fullmatch(text) else None


def _port(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value, re.ASCII):
        value = int(value)
    return value if type(value) is int and 0 < value <= 65535 else None


def _mapped(record: Mapping[str, Any], inner: str) -> tuple[str, int] | None:
    """Return where a port of the container can be reached from outside."""
    ports, host = record.get("ports"), _host(record.get("public_ipaddr"))
    outer = ports.get(inner) if isinstance(ports, Mapping) else None
    if host is None or not isinstance(outer, Sequence) or isinstance(outer, str):
        return None
    for binding in outer:
        port = _port(binding.get("HostPort")) if isinstance(binding, Mapping) else None
        if port is not None:
            return host, port
    return None


def _key(key_file: str | PurePath | None) -> list[str]:
    return [] if key_file is None else ["-i", _local(key_file)]


def _local(path: str | PurePath) -> str:
    """Return a path on this computer; no shell would expand a ``~`` that is quoted."""
    text = str(path)
    return str(Path(text).expanduser()) + "/" * text.endswith("/") if text[:1] == "~" else text


def _ends(
    address: Address, source: str | PurePath, target: str, *, download: bool
) -> tuple[str, str]:
    host = f"[{address.host}]" if ":" in address.host else address.host
    here, there = (target, str(source)) if download else (str(source), target)
    here = _local(here)
    # A leading dash would be an option, and a colon would make a local path a remote one.
    if not here.startswith(("/", "./", "../")) and here not in (".", ".."):
        here = f"./{here}"
    far = f"{USER}@{host}:{there}"
    return (far, here) if download else (here, far)
