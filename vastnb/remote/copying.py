"""Files to and from a machine: only what has changed, and nothing that is not ours to replace.

Both ends are listed, a pure function (`listing.plan`) decides, and an engine copies just those
files: rsync where both ends have it, else a stream of our own (`plain`). Either writes beside the
file and renames, so that a file is whole or as it was before; after a cut it goes on where it was.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from vastnb.errors import ConnectionLost, CopyFailed, InvalidRequest, WouldOverwrite
from vastnb.remote import listing, plain
from vastnb.remote.listing import PARTIAL, Ends, Plan, Stamp
from vastnb.remote.session import Listener, Session

SAY_FROM: Final = 0.03
"""$ of traffic from which it is said first."""
TRIES: Final = 8
"""Connections in a row that may break without any progress."""
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied.

    Parameters
    ----------
    new, changed, same : int
        Files.
    bytes : int
        Size of the new and changed files.
    seconds : float
        How long it took.
    usd : float or None
        Cost of this traffic, $; None if the price is not known.
    target : str
        Where it is now.
    """

    new: int
    changed: int
    same: int
    bytes: int
    seconds: float
    usd: float | None
    target: str

    def __repr__(self) -> str:
        cost = "" if self.usd is None else f", ${self.usd:.4f} of traffic"
        return (
            f"<{self.target}: {self.new} new, {self.changed} changed, {self.same} unchanged; "
            f"{size_of(self.bytes)} in {self.seconds:.1f} s{cost}>"
        )


def copy(
    session: Session,
    here: str | Path | None,
    there: str | None,
    *,
    up: bool,
    memory: Path,
    price: float | None = None,
    exclude: Sequence[str] | str = (),
    gitignore: bool = True,
    overwrite: bool = False,
    show: bool = True,
    engine: str | None = None,
) -> Copied:
    """Copy a file, or a directory, to a machine or from it.

    Parameters
    ----------
    session : Session
        The connection.
    here, there : path, str
        The ends, on this computer and on the machine. The target is the copy itself, or, if it
        ends in ``/`` (or is a directory, for a file), what it is put into.
    up : bool
        Which way.
    memory : Path
        A file that remembers what we have copied.
    price : float, optional
        $ per GB of traffic.
    exclude : sequence of str
        Patterns, as in .gitignore, that are left out.
    gitignore : bool
        Leave out what .gitignore files say, on the way to the machine.
    overwrite : bool
        Replace files that differ and were not put there by an earlier copy, too.
    show : bool
        Show progress, and the price of the traffic if it is more than a few cents.
    engine : {"rsync", "plain"}, optional
        What copies; by default rsync if both ends have it.

    Raises
    ------
    WouldOverwrite
        If other files are there under these names. Nothing was copied.
    CopyFailed
        If a disk is full, or a file cannot be read or written. Files that are whole stay.
    ConnectionLost
        If it breaks again and again. What has been copied stays, and is not copied again.
    """
    begun = time.monotonic()
    patterns = [exclude] if isinstance(exclude, str) else list(exclude)
    ends = _ends_up(session, here, there) if up else _ends_down(session, here, there)
    if up:
        source = listing.local_files(ends.local / ends.only, patterns, gitignore=gitignore)
        target = (
            ends.found if ends.only else listing.remote_stamps(session, ends.remote, list(source))
        )
    else:
        source = (
            ends.found
            if ends.only
            else listing.kept(listing.remote_files(session, ends.remote), patterns)
        )
        target = listing.local_stamps(ends.local, ends.renamed(source))
        target = ends.as_source(target)
    kept = _Memory(memory, ends.key(up))
    what = listing.plan(source, target, kept.stamps, overwrite=overwrite)
    if what.foreign:
        raise _would_overwrite(what, ends.target)
    cost = None if price is None else what.size / 1e9 * price
    _check_space(session, what, ends, up)
    if show and cost is not None and cost >= SAY_FROM:
        sys.stdout.write(
            f"{size_of(what.size)} {'to' if up else 'from'} instance {session.instance_id}: "
            f"${cost:.2f} of traffic at ${price:.3f}/GB.\n"
        )
        sys.stdout.flush()
    if what.files:
        _carry(session, what, ends, up, show, engine)
        kept.add(_whole(session, what, ends, up))
    return Copied(
        len(what.new), len(what.changed), what.same, what.size,
        time.monotonic() - begun, cost, ends.target,
    )  # fmt: skip


def _ends_up(session: Session, here: str | Path | None, there: str | None) -> Ends:
    if here is None:
        raise InvalidRequest("Say what to copy.")
    source = Path(here).expanduser().absolute()
    single = source.is_file()
    given = path = session.path(there if there is not None else "./")
    # Into a directory goes what is named so, and a file goes into whatever is one.
    contents = str(here).endswith("/") and not single
    name = source.name if single or (path.endswith("/") and not contents) else ""
    if path.endswith("/") and name:
        path = posixpath.join(path, name)
        found = listing.look_there(session, path)
    else:
        found = listing.look_there(session, path, name if single else "")
        if single and posixpath.basename(found.path) == name and found.kind != "dir":
            path = path if posixpath.basename(path) == name else posixpath.join(path, name)
    whole = posixpath.normpath(path)
    for one in (whole, posixpath.normpath(found.path)):
        listing.guard(one, session.facts.home, directory=not single)
    if path != given:  # the directory that was named
        listing.guard(given, session.facts.home, directory=True)
    if single:
        if found.kind == "dir":
            raise InvalidRequest(f"{whole} is a directory there. Nothing was copied.")
        stamps = {source.name: found.stamp} if found.stamp else {}
        return Ends(
            source.parent, posixpath.dirname(whole), source.name, posixpath.basename(whole),
            whole, stamps, found.free,
        )  # fmt: skip
    return Ends(source, whole, "", "", whole, {}, found.free)


def _ends_down(session: Session, here: str | Path | None, there: str | None) -> Ends:
    if not there:
        raise InvalidRequest("Say what to copy.")
    path = session.path(there)
    found = listing.look_there(session, path, room=False)
    if found.kind == "none":
        raise InvalidRequest(
            f"There is no {path} on instance {session.instance_id}. Nothing was copied."
        )
    name = posixpath.basename(posixpath.normpath(path))
    target = Path(here if here is not None else f"./{name}").expanduser()
    single = found.kind == "file"
    into = here is not None and str(here).endswith(("/", os.sep))
    if (single and (into or target.is_dir())) or (into and not there.endswith("/")):
        target = target / name
    target = target.absolute()
    if single:
        stamps = {name: found.stamp} if found.stamp else {}
        return Ends(
            target.parent, posixpath.dirname(path), name, target.name, str(target), stamps, None
        )
    return Ends(target, posixpath.normpath(path), "", "", str(target), {}, None)


def _whole(session: Session, what: Plan, ends: Ends, up: bool) -> dict[str, Stamp]:
    """Return how the files are at the target, of those that did not change meanwhile."""
    names = ends.renamed(what.files)
    if up:  # both engines give the copy the time of the file
        now = listing.local_stamps(ends.local, what.files)
        return {name: stamp for name, stamp in what.files.items() if now.get(name) == stamp}
    found = listing.local_stamps(ends.local, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise CopyFailed(
            f"{missing[0]} disappeared from instance {session.instance_id} during the copy. The "
            "other files were copied."
        )
    return ends.as_source(found)


def _would_overwrite(what: Plan, target: str) -> WouldOverwrite:
    names = ", ".join(what.foreign[:5]) + (", ..." if len(what.foreign) > 5 else "")
    error = WouldOverwrite(
        f"{len(what.foreign)} files with other contents already exist at {target}, and vastnb did "
        f"not copy them there: {names}. Nothing was copied. overwrite=True replaces them; choose "
        "another target to keep them."
    )
    error.paths = what.foreign
    return error


def _check_space(session: Session, what: Plan, ends: Ends, up: bool) -> None:
    if up:
        free = ends.free
        where = f"instance {session.instance_id}"
    else:
        place = ends.local
        while not place.exists():
            place = place.parent
        free, where = shutil.disk_usage(place).free, "this computer"
    if free is not None and free < what.size:
        raise CopyFailed(
            f"The disk of {where} has {size_of(free)} free, but the copy needs "
            f"{size_of(what.size)}. Nothing was copied. A machine's disk cannot grow: free some "
            "space there, or rent with a larger disk=."
        )


# -- engines ---------------------------------------------------------------------------------


def _carry(
    session: Session, what: Plan, ends: Ends, up: bool, show: bool, engine: str | None
) -> None:
    """Copy, over as many connections as it takes."""
    chosen = engine or ("rsync" if session.facts.rsync and rsync_here() else "plain")
    if not up:
        for name in ends.renamed(what.files):
            (ends.local / name).parent.mkdir(parents=True, exist_ok=True)
    bar = _bar(what, ends, up) if show else None
    left, furthest = TRIES, 0
    again = False

    def progress(done: int) -> None:
        nonlocal furthest
        furthest = max(furthest, done)
        if bar is not None:
            bar.update(min(done, what.size) - bar.n)

    try:
        while True:
            before = furthest
            try:
                if chosen == "rsync":
                    _rsync(session, what, ends, up, progress, again)
                else:
                    plain.carry(session, what, ends, up, progress)
                progress(what.size)
                return
            except ConnectionLost as lost:
                left = TRIES if furthest > before else left - 1
                if left <= 0 or lost.ended:
                    raise
                again = True
                _reopen(session, left)
    finally:
        if bar is not None:
            bar.close()


def _reopen(session: Session, left: int) -> None:
    for again in (True, True, True, False):
        try:
            session.open(patience=4.0)
            return
        except ConnectionLost as lost:
            if lost.ended or (left <= 1 and not again):
                raise


def _bar(what: Plan, ends: Ends, up: bool) -> Any:
    if threading.current_thread() is not threading.main_thread():
        return None
    from tqdm import tqdm

    return tqdm(
        total=what.size, unit="B", unit_scale=True, leave=False, delay=0.5,
        desc=f"{'upload' if up else 'download'} {posixpath.basename(ends.target)}",
    )  # fmt: skip


@cache
def rsync_here() -> str | None:
    """Return the path of an rsync that can do what is asked of it; Apple's cannot."""
    found = shutil.which("rsync")
    if found is None:
        return None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"rsync +version +v?(\d+)\.(\d+)(?:\.(\d+))?", told)
    # Earlier ones write whatever files the other end names (CVE-2022-29154).
    good = version and "openrsync" not in told and tuple(int(n or 0) for n in version.groups()) >= (
        3, 2, 5,
    )  # fmt: skip
    return found if good else None


def _rsync(
    session: Session, what: Plan, ends: Ends, up: bool, progress: Progress, again: bool
) -> None:
    host = f"[{session.host}]" if ":" in session.host else session.host
    local, remote = str(ends.local), f"{host}:{ends.remote}"
    line = [
        rsync_here() or "rsync", "-tpL", "-s", "--no-implied-dirs", "--omit-dir-times",
        f"--partial-dir={PARTIAL}", "--info=progress2", f"--timeout={plain.STALL:.0f}",
        "-e", session.rsync_shell(),
    ]  # fmt: skip
    if up:  # its remote half makes the directories within it, but not the one itself
        line.append(f"--rsync-path=mkdir -p -- {shlex.quote(ends.remote)} && rsync")
    else:  # a program that acts as this user for whoever starts it
        line.append("--chmod=ug-s,o-w")
    if not what.changed and not again:
        line.append("--whole-file")  # nothing is there to compare with
    if ends.only:
        slash = "/" if up else os.sep
        source = f"{local}/{ends.only}" if up else f"{remote}/{ends.only}"
        target = f"{remote}/{ends.name}" if up else f"{local}{slash}{ends.name}"
        listed = b""
    else:
        line += ["--files-from=-", "--from0"]
        source, target = (f"{local}/", f"{remote}/") if up else (f"{remote}/", f"{local}/")
        listed = b"\0".join(name.encode(errors="surrogateescape") for name in what.files)
    process = subprocess.Popen(
        [*line, "--", source, target],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, env=session.environment,
    )  # fmt: skip
    errors = Listener(process.stderr)
    reader = threading.Thread(target=_progress_of, args=(process.stdout, progress), daemon=True)
    reader.start()
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(listed)
            process.stdin.close()
        except OSError:
            pass
        code = process.wait()
    except BaseException:
        process.terminate()  # it keeps the piece that it has
        process.wait()
        raise
    reader.join(5)
    if code == 0:
        return
    raise _failure(session, code, errors.last.decode(errors="replace"), up)


def _progress_of(stream: Any, progress: Progress) -> None:
    while part := stream.read1(1 << 12):
        # The last whole report: "     32,768   0%  ..." after a carriage return.
        number = re.findall(rb"\r *([\d,]+) +\d+%", part)
        if number:
            progress(int(number[-1].replace(b",", b"")))


def _failure(session: Session, code: int, said: str, up: bool) -> Exception:
    where = f"instance {session.instance_id}" if up else "this computer"
    if "No space left" in said or "Disk quota" in said:
        return CopyFailed(
            f"The disk of {where} is full. Complete files were copied; the others are unchanged. "
            "Free some space there and call it again to continue."
        )
    # 10, 12, 30: the stream ended, 255: ssh itself.
    if code in (10, 12, 30, 35, 255) and session.dropped():
        return session.lost("What has been copied is kept; call it again to continue.")
    last = [line for line in said.strip().splitlines() if "rsync error" not in line][-2:]
    return CopyFailed(
        f"Not everything could be copied (rsync: {'; '.join(last)[-300:]}; code {code}). Complete "
        "files are kept.",
        instance_id=session.instance_id,
    )


class _Memory:
    """What was copied where, and how we left it: one file, rewritten whole."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._all: dict[str, dict[str, list[int]]] = {}
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(told, dict):
                self._all = told
        except (OSError, ValueError):
            pass  # nothing is known then, so nothing is replaced
        self.stamps: dict[str, Stamp] = {
            name: (int(size), int(when)) for name, (size, when) in self._all.get(key, {}).items()
        }

    def add(self, stamps: Mapping[str, Stamp]) -> None:
        self.stamps.update(stamps)
        self._all[self._key] = {name: list(stamp) for name, stamp in self.stamps.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=self._path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._all, file)
        Path(name).replace(self._path)


def size_of(count: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


__all__ = ["Copied", "Ends", "copy", "rsync_here", "size_of"]
