"""Which files are meant: those of a directory here or there, and what of them has changed."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vastnb.errors import CopyFailed, InvalidRequest
from vastnb.remote.session import Session

Stamp = tuple[int, int]
"""Size in bytes, and the second of the last change."""
PARTIAL: Final = ".vastnb-partial"
"""Where pieces of files lie until they are whole, beside them."""
_ALWAYS: Final = (f"{PARTIAL}*", ".git", "__pycache__/", ".ipynb_checkpoints/", ".DS_Store")
"""Left out both ways: hooks and compiled modules from a machine would run on this computer."""

_LISTED: Final = 256 << 20
"""Bytes of a machine's list of files; a million of them are 100 MB."""
_STAMPED: Final = re.compile(r"(\d{1,18}) (-?\d{1,12}) (?:\./)?(.+)", re.ASCII)
_WINDOWS_WAY_OUT: Final = re.compile(r"[\\:]|(^|/)git~\d|[ .](/|$)", re.IGNORECASE)
"""A way up, another drive, or another name of a directory of git."""
# GNU and busybox, or BSD.
_STAT: Final = r"""
if stat -L -c %s / >/dev/null 2>&1; then st() { xargs -0 -r stat -L -c '%s %Y %n' 2>/dev/null; }
else st() { xargs -0 stat -L -f '%z %m %N' 2>/dev/null; }; fi
"""


@dataclass(frozen=True)
class Plan:
    """What is to be copied.

    Parameters
    ----------
    new, changed : dict of str to Stamp
        Files that are not there, and copies of ours that are out of date.
    same : int
        How many need nothing.
    foreign : tuple of str
        Other files that are there under these names.
    """

    new: dict[str, Stamp] = field(default_factory=dict)
    changed: dict[str, Stamp] = field(default_factory=dict)
    same: int = 0
    foreign: tuple[str, ...] = ()

    @property
    def files(self) -> dict[str, Stamp]:
        """All that are to be copied."""
        return {**self.new, **self.changed}

    @property
    def size(self) -> int:
        """Bytes to copy."""
        return sum(size for size, _ in self.files.values())


def plan(
    source: Mapping[str, Stamp],
    target: Mapping[str, Stamp],
    ours: Mapping[str, Stamp],
    *,
    overwrite: bool = False,
) -> Plan:
    """Decide what is to be copied.

    Parameters
    ----------
    source, target : mapping of str to Stamp
        What is at both ends.
    ours : mapping of str to Stamp
        How we left the files at the target: one that is still so may be replaced.
    overwrite : bool
        Replace what is not ours, too.
    """
    new, changed, foreign, same = {}, {}, [], 0
    for name, stamp in source.items():
        there = target.get(name)
        if there is None:
            new[name] = stamp
        elif there == stamp:
            same += 1
        elif overwrite or ours.get(name) == there:
            changed[name] = stamp
        else:
            foreign.append(name)
    return Plan(new, changed, same, tuple(foreign))


def local_files(root: Path, exclude: Sequence[str] = (), *, gitignore: bool) -> dict[str, Stamp]:
    """Return the files of a directory, by their path in it.

    Parameters
    ----------
    root : Path
        A directory, or one file (whose path is then its name).
    exclude : sequence of str
        Patterns, as in .gitignore.
    gitignore : bool
        Heed the .gitignore files in it.
    """
    if root.is_file():
        return {root.name: stamp_of(root)}
    if not root.is_dir():
        raise InvalidRequest(f"There is no {root} on this computer. Nothing was copied.")
    return dict(_walk(root, "", [("", _spec([*_ALWAYS, *exclude]))], gitignore))


def _walk(
    root: Path, inner: str, specs: list[tuple[str, Any]], gitignore: bool
) -> Iterator[tuple[str, Stamp]]:
    place = root / inner
    rules = place / ".gitignore"
    if gitignore and rules.is_file():
        lines = rules.read_text(encoding="utf-8", errors="replace").splitlines()
        specs = [*specs, (inner, _spec(lines))]
    with os.scandir(place) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name = posixpath.join(inner, entry.name)
            is_directory = entry.is_dir(follow_symlinks=False)
            if _excluded(name + "/" * is_directory, specs):
                continue
            if is_directory:
                yield from _walk(root, name, specs, gitignore)
            elif entry.is_file():  # of a link, what it leads to
                _check_name(name)
                yield name, stamp_of(Path(entry.path))


def _spec(lines: Iterable[str]) -> Any:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def _excluded(name: str, specs: Sequence[tuple[str, Any]]) -> bool:
    # The innermost .gitignore that says anything decides, as in git.
    for inner, spec in reversed(specs):
        verdict = spec.check_file(posixpath.relpath(name, inner or ".") + "/" * name.endswith("/"))
        if verdict.include is not None:
            return bool(verdict.include)
    return False


def kept(files: Mapping[str, Stamp], exclude: Sequence[str]) -> dict[str, Stamp]:
    """Return the files of a machine that are not excluded."""
    always, more = _spec([one.lower() for one in _ALWAYS]), _spec(exclude)
    # Some file systems do not tell .GIT from .git; and no pattern of the caller's takes it back.
    return {
        name: stamp
        for name, stamp in files.items()
        if not always.match_file(name.lower()) and not more.match_file(name)
    }


def stamp_of(path: Path) -> Stamp:
    """Return a file's stamp."""
    status = path.stat()
    return status.st_size, int(status.st_mtime)


def local_stamps(root: Path, names: Iterable[str]) -> dict[str, Stamp]:
    """Return the stamps of those of the files that are there."""
    return {name: stamp_of(root / name) for name in names if (root / name).exists()}


@dataclass(frozen=True, slots=True)
class There:
    """What is at a path of the machine.

    Parameters
    ----------
    path : str
        The path, without links.
    kind : {"dir", "file", "none"}
        What it is.
    stamp : Stamp or None
        Of a file.
    free : int or None
        Bytes that are free on its disk.
    """

    path: str
    kind: str
    stamp: Stamp | None
    free: int | None


def look_there(session: Session, path: str, name: str = "", *, room: bool = True) -> There:
    """Return what is at a path.

    Parameters
    ----------
    session : Session
        The connection.
    path : str
        The path in full.
    name : str
        Of a directory, what is at that name in it.
    room : bool
        Where links lead, and how much is free there, too: a few milliseconds more.
    """
    script = (
        f"p={shlex.quote(path)}; n={shlex.quote(name)}; q=\n"
        '[ -n "$n" ] && [ -d "$p" ] && p=${p%/}/$n\n'
        + ('q=$(readlink -f -- "$p" 2>/dev/null)\n' if room else "")
        + 'q=${q:-$p}; echo "$q"\n'
        'if [ -d "$p" ]; then echo dir; elif [ -e "$p" ]; then echo file; '
        "stat -L -c '%s %Y' -- \"$p\" 2>/dev/null || stat -L -f '%z %m' -- \"$p\"; "
        "else echo none; fi\n"
    )
    if room:
        script += (
            'while [ -n "$q" ] && [ ! -e "$q" ]; do q=${q%/*}; done\n'
            'df -Pk -- "${q:-/}" 2>/dev/null; :'
        )
    real, kind, *rest = [*session.ask(script).rstrip("\n").split("\n"), "none"]
    stamp = None
    if kind == "file":
        size, _, when = rest[0].partition(" ")
        stamp = (int(size), int(when)) if size.isdigit() and when.isdigit() else None
    free = rest[-2].split()[3:4] if room and len(rest) > 1 else []
    return There(
        real or path, kind, stamp, int(free[0]) * 1024 if free and free[0].isdigit() else None
    )


def remote_files(session: Session, root: str) -> dict[str, Stamp]:
    """Return the files of a directory of the machine, by their path in it."""
    told = session.fetch(
        f"{_STAT}cd -- {shlex.quote(root)} || exit 1\nfind -L . -type f -print0 | st",
        timeout=600,
        most=_LISTED,
    )
    return _stamps(told)


def remote_stamps(session: Session, root: str, names: Iterable[str]) -> dict[str, Stamp]:
    """Return the stamps of those of the files that are there."""
    asked = b"".join(f"./{name}\0".encode(errors="surrogateescape") for name in names)
    if not asked:
        return {}
    told = session.fetch(
        f"{_STAT}cd -- {shlex.quote(root)} 2>/dev/null || exit 0\nst; :",
        asked,
        timeout=600,
        most=_LISTED,
    )
    return _stamps(told)


def _stamps(told: bytes) -> dict[str, Stamp]:
    found = {}
    for line in told.decode(errors="surrogateescape").split("\n")[:-1]:
        known = _STAMPED.fullmatch(line)
        if known is None:
            raise CopyFailed(
                f"A file on the machine has a line break in its name, before {line[:80]!r}. "
                "Nothing was copied; rename it there."
            )
        if _is_inside(known[3]):
            found[known[3]] = (int(known[1]), int(known[2]))
    return found


def _is_inside(name: str, *, windows: bool = os.name == "nt") -> bool:
    """Say whether a name that a stranger gave stays in its directory."""
    if windows and _WINDOWS_WAY_OUT.search(name):
        return False
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _check_name(name: str) -> None:
    if "\n" in name or "\r" in name:
        raise CopyFailed(f"{name!r} has a line break in its name. Nothing was copied; exclude it.")


def guard(path: str, home: str, *, directory: bool) -> None:
    """Refuse a target that the machine lives on.

    Parameters
    ----------
    path : str
        The target in full.
    home : str
        Where one logs in.
    directory : bool
        Whether it is the directory that receives, or a file in one.
    """
    place = posixpath.normpath(path if directory else posixpath.dirname(path))
    inside = (f"{home}/.ssh", "/root/.ssh", "/etc", "/proc", "/sys", "/dev", "/boot")
    if place in ("/", "/root", home) or any(f"{place}/".startswith(f"{one}/") for one in inside):
        raise InvalidRequest(
            f"vastnb does not copy to {place}: on these machines that breaks the permissions that "
            "SSH needs. Nothing was copied; choose another directory, such as /workspace."
        )


@dataclass(frozen=True, slots=True)
class Ends:
    """Two directories, and the one file in them that is meant, or all.

    Parameters
    ----------
    local, remote : Path, str
        The directories.
    only : str
        The file's name at the source; empty for all.
    name : str
        The file's name at the target.
    target : str
        How the target is called in messages.
    found : dict of str to Stamp
        The one file, if it is on the machine.
    free : int or None
        Bytes that are free on the machine's disk.
    """

    local: Path
    remote: str
    only: str
    name: str
    target: str
    found: dict[str, Stamp]
    free: int | None

    def renamed(self, files: Mapping[str, Any]) -> list[str]:
        """Return the names at the target."""
        return [self.name] if self.only and self.name else list(files)

    def as_source(self, stamps: dict[str, Stamp]) -> dict[str, Stamp]:
        """Return stamps of the target under the names at the source."""
        return dict(zip([self.only], stamps.values(), strict=False)) if self.only else stamps

    def key(self, up: bool) -> str:
        """Return what this copy is remembered under."""
        end = self.remote if up else str(self.local.absolute())
        return f"{'up' if up else 'down'}:{end}:{self.name}"


__all__ = [
    "PARTIAL",
    "Ends",
    "Plan",
    "Stamp",
    "There",
    "guard",
    "kept",
    "local_files",
    "local_stamps",
    "look_there",
    "plan",
    "remote_files",
    "remote_stamps",
]
