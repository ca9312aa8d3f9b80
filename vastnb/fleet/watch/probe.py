"""Whether SSH answers: the only proof that a machine which is shown as running can be used.

A probe connects, reads the first bytes that an SSH server says of itself, and hangs up. It sends
nothing. All machines are tried at once, in one thread, and none is waited for longer than a few
seconds. Where to connect comes from the record, in which hosts, who are strangers, have a hand: an
address that is not a public one is not tried, so that nobody is made to knock at doors in the
user's own network. The simulated service lives on this computer, and there the rule is the
opposite: only doors of this computer are tried.
"""

from __future__ import annotations

import errno
import ipaddress
import selectors
import socket
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from vastnb.fleet.connect import Address, ssh_address
from vastnb.fleet.looks import look_at

TIMEOUT: Final = 4.0
"""Seconds for all machines together, the looking up of names aside."""
BANNER: Final = b"SSH-"
_MOST_BEFORE: Final = 4096
"""Bytes that may come before it: a server may greet first."""
_UNDER_WAY: Final = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0))


def reach(
    addresses: Mapping[int, Address], *, local: bool = False, timeout: float = TIMEOUT
) -> dict[int, bool]:
    """Try to reach SSH servers.

    Parameters
    ----------
    addresses : mapping of int to Address
        Where, by instance.
    local : bool
        Try addresses of this computer, and no others.
    timeout : float
        Real seconds.

    Returns
    -------
    dict of int to bool
        Whether each has answered as an SSH server does. One that may not be tried is left out.
    """
    found: dict[int, bool] = {}
    heard: dict[int, bytes] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for number, address in addresses.items():
                ends = _resolved(address, local=local)
                if ends is None:
                    continue
                found[number] = False
                begun = _begin(*ends) if ends else None
                if begun is not None:
                    heard[number] = b""
                    selector.register(begun, selectors.EVENT_READ, number)
            deadline = time.monotonic() + timeout
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    break
                for key, _ in ready:
                    verdict = _hear(key.fileobj, heard, key.data)  # type: ignore[arg-type]
                    if verdict is not None:
                        found[key.data] = verdict
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
        finally:
            for key in list((selector.get_map() or {}).values()):
                key.fileobj.close()  # type: ignore[union-attr]
    return found


def doors_of(
    records: Iterable[Mapping[str, Any]], ids: Collection[int] | None
) -> dict[int, Address]:
    """Return where SSH should answer: of machines that are shown as running, and meant to run.

    Parameters
    ----------
    records : iterable of mapping
        Raw records.
    ids : collection of int or None
        Only of these; None for all.
    """
    found = {}
    for record in records:
        if (ids is not None and record["id"] not in ids) or not look_at(record).runs:
            continue
        address = ssh_address(record)
        if address is not None:
            found[record["id"]] = address
    return found


def may_be_tried(ip: str, *, local: bool) -> bool:
    """Say whether an address may be connected to.

    Parameters
    ----------
    ip : str
        An IP address.
    local : bool
        Whether it is to be one of this computer; otherwise a public one.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped if mapped is not None else address
    return address.is_loopback if local else address.is_global and not address.is_multicast


def _resolved(
    address: Address, *, local: bool
) -> tuple[socket.AddressFamily, tuple[str, int]] | tuple[()] | None:
    """Return where to connect: empty if the name leads nowhere, None if it may not be tried."""
    try:
        rows = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        # The simulated proxy's name leads nowhere on purpose: that says nothing of a machine.
        return None if local else ()
    allowed = [row for row in rows if may_be_tried(str(row[4][0]), local=local)]
    if not allowed:
        return None
    family, _, _, _, end = allowed[0]
    return family, (str(end[0]), address.port)


def _begin(family: socket.AddressFamily, end: tuple[str, int]) -> socket.socket | None:
    try:
        door = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    door.setblocking(False)
    try:
        said = door.connect_ex(end)
    except OSError:
        said = -1
    if said in _UNDER_WAY:
        return door
    door.close()
    return None


def _hear(door: socket.socket, heard: dict[int, bytes], number: int) -> bool | None:
    """Read what came; None if it is too early to tell."""
    try:
        part = door.recv(256)
    except BlockingIOError:
        return None
    except OSError:
        return False
    heard[number] += part
    if any(line.startswith(BANNER) for line in heard[number].split(b"\n")):
        return True
    return False if not part or len(heard[number]) > _MOST_BEFORE else None
