"""Copying without rsync: one stream for all files, written beside each file and renamed.

What a cut leaves of a large file lies beside it, under a name made of the file's size and time, and
the next stream goes on there. A file that was put together so is compared as a whole at the end.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import posixpath
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from vastnb.errors import ConnectionLost, CopyFailed
from vastnb.remote.listing import PARTIAL, Ends, Plan, Stamp, remote_stamps
from vastnb.remote.session import Call, Session, rest

RESUME_FROM: Final = 1 << 20
"""Bytes of a file from which it is worth going on with a piece."""
STALL: Final = 300.0
"""Seconds without a byte after which a connection is given up; sums of large files take minutes."""
_BLOCK: Final = 1 << 18

# Each line announces a file, and its bytes follow. `head` takes no byte more than it is told, but
# reads little at a time, so the largest file comes last, up to the stream's end.
_RECEIVE: Final = r"""
while IFS=: read -r from length last mode when sum piece name; do
name=${name%/}
[ "$from" = 0 ] && : >"$piece"
if [ "$last" = 1 ]; then cat >>"$piece"; else head -c "$length" >>"$piece"; fi || exit 3
[ "$(wc -c <"$piece")" -eq $((from+length)) ] || exit 4
if [ "$from" != 0 ] && [ "$(sha256sum <"$piece" | cut -c1-64)" != "$sum" ]; then
rm -f "$piece"; exit 5; fi
chmod "$mode" "$piece"; touch -d "@$when" "$piece" 2>/dev/null
mv -f -- "$piece" "$name" || exit 3
done
"""
_SEND: Final = r"""
while IFS=: read -r from length name; do
name=${name%/}
printf 'file %s\n' "$length"
if [ "$from" = 0 ]; then head -c "$length" -- "./$name"
else tail -c +$((from+1)) -- "./$name" | head -c "$length"; fi
s=; [ "$from" = 0 ] || s=$(sha256sum <"./$name" | cut -c1-64)
printf '\nNONCE %s\n' "$s"
done
"""


def carry(
    session: Session, what: Plan, ends: Ends, up: bool, progress: Callable[[int], None]
) -> None:
    """Copy the files of a plan."""
    (_send if up else _fetch)(session, what, ends, progress)


def _piece(name: str, stamp: Stamp) -> str:
    tag = hashlib.sha256(f"{name}\0{stamp[0]}\0{stamp[1]}".encode(errors="replace")).hexdigest()
    return posixpath.join(posixpath.dirname(name), f"{PARTIAL}-{tag[:20]}")


def _send(session: Session, what: Plan, ends: Ends, progress: Callable[[int], None]) -> None:
    named = {name: ends.name or name for name in what.files}
    pieces = {name: _piece(named[name], stamp) for name, stamp in what.files.items()}
    whole = remote_stamps(session, ends.remote, named.values())
    large = [pieces[name] for name, (size, _) in what.files.items() if size >= RESUME_FROM]
    there = remote_stamps(session, ends.remote, large)
    places = sorted({posixpath.join(ends.remote, posixpath.dirname(one)) for one in named.values()})
    listed = b"".join(one.encode(errors="surrogateescape") + b"\0" for one in places)
    session.fetch("xargs -0 mkdir -p --", listed, timeout=120)
    call = session.call(f"cd -- {shlex.quote(ends.remote)} || exit 3\n{_RECEIVE}", stdin=True)
    watchdog = session.watch(call, STALL)
    try:
        call.head()
        assert call.process.stdin is not None
        left = {
            name: stamp for name, stamp in what.files.items() if whole.get(named[name]) != stamp
        }
        done = what.size - sum(size for size, _ in left.values())  # of an earlier connection
        ordered = sorted(left.items(), key=lambda one: one[1])
        for name, stamp in ordered:
            begun = there.get(pieces[name], (0, 0))[0]
            begun = begun if begun <= stamp[0] else 0
            done += begun
            path = ends.local / name
            total = _sum(path) if begun else "-"
            mode = f"{path.stat().st_mode & 0o777:o}"
            last = int(name == ordered[-1][0])
            head = f"{begun}:{stamp[0] - begun}:{last}:{mode}:{stamp[1]}:{total}:./{pieces[name]}"
            # Without the slash, `read` would take a colon that ends a name for the field's end.
            line = f"{head}:./{named[name]}/\n".encode(errors="surrogateescape")
            call.process.stdin.write(line)
            for size in _pour(path, begun, stamp[0] - begun, call.process.stdin):
                done += size
                watchdog.touch()
                progress(done)
        call.process.stdin.close()
        said = rest(call.process.stderr)
        code = call.process.wait()
    except (OSError, EOFError) as broken:
        said = call.last_words()
        code = call.close()
        raise _failure(session, call, code, said) from broken
    except BaseException:
        call.close()
        raise
    finally:
        watchdog.cancel()
    call.close()
    if code:
        raise _failure(session, call, code, said)


def _fetch(session: Session, what: Plan, ends: Ends, progress: Callable[[int], None]) -> None:
    nonce = os.urandom(8).hex()
    begun, asked = {}, []
    for name, stamp in what.files.items():
        target = ends.local / (ends.name or name)
        piece = ends.local / _piece(ends.name or name, stamp)
        if target.exists() and _stamp(target) == stamp:
            continue
        begun[name] = piece.stat().st_size if piece.exists() and stamp[0] >= RESUME_FROM else 0
        begun[name] = begun[name] if begun[name] <= stamp[0] else 0
        asked.append(f"{begun[name]}:{stamp[0] - begun[name]}:{name}/\n")
    done = what.size - sum(what.files[name][0] for name in begun)
    script = _SEND.replace("NONCE", nonce)
    call = session.call(f"cd -- {shlex.quote(ends.remote)} || exit 3\n{script}", stdin=True)
    watchdog = session.watch(call, STALL)
    try:
        call.head()
        stdin, stdout = call.process.stdin, call.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("".join(asked).encode(errors="surrogateescape"))
        stdin.close()
        for name, start in begun.items():
            stamp = what.files[name]
            piece = ends.local / _piece(ends.name or name, stamp)
            done += start
            for size in _take(stdout, piece, start, stamp, nonce):
                done += size
                watchdog.touch()
                progress(done)
            piece.replace(ends.local / (ends.name or name))
        code = call.process.wait()
    except OSError as failed:
        call.close()
        if isinstance(failed, BrokenPipeError):
            raise _failure(session, call, 255, b"") from failed
        raise CopyFailed(
            f"The files could not be written on this computer: {failed}. Complete files are kept."
        ) from failed
    except EOFError as broken:
        said = call.last_words()
        raise _failure(session, call, call.close(), said) from broken
    except BaseException:
        call.close()
        raise
    finally:
        watchdog.cancel()
    call.close()
    if code:
        raise _failure(session, call, code, b"")


def _take(stdout: Any, piece: Path, start: int, stamp: Stamp, nonce: str) -> Iterator[int]:
    """Read one file into its piece; raise EOFError if the stream is not what it should be."""
    left = stamp[0] - start
    if stdout.readline(64) != b"file %d\n" % left:
        raise EOFError
    with piece.open("ab" if start else "wb") as file:
        while left:
            block = stdout.read(min(left, _BLOCK))
            if not block:
                raise EOFError
            file.write(block)
            left -= len(block)
            yield len(block)
    stdout.read(1)
    end = stdout.readline(256).decode(errors="replace").split()
    if end[:1] != [nonce]:
        piece.unlink()
        raise EOFError
    if start and end[1:] != [_sum(piece)]:
        piece.unlink()
        raise CopyFailed("A file changed on the machine during the copy. Call it again.")
    os.utime(piece, (stamp[1], stamp[1]))


def _failure(session: Session, call: Call, code: int, said: bytes) -> Exception:
    if (code == 255 or code < 0) and (call.pid is None or session.dropped()):
        return _lost(session, call)
    text = said.decode(errors="replace")
    if "No space left" in text or "quota" in text:
        return CopyFailed(
            f"The disk of instance {session.instance_id} is full. Complete files were copied; the "
            "others are unchanged. Free some space there and call it again to continue.",
            instance_id=session.instance_id,
        )
    if code in (4, 5, 141):  # the stream ended early, or a piece was not what it seemed
        return _lost(session, call)
    return CopyFailed(
        f"Not everything could be copied ({text.strip()[-300:] or f'code {code}'}). Complete "
        "files are kept.",
        instance_id=session.instance_id,
    )


def _lost(session: Session, call: Call) -> ConnectionLost:
    if call.pid is not None:
        # What is still on its way there must not be added to a piece that another goes on with.
        with contextlib.suppress(Exception):
            session.kill(call.pid, "KILL")
    return session.lost("What has been copied is kept; call it again to continue.")


def _pour(path: Path, begin: int, length: int, sink: IO[bytes]) -> Iterator[int]:
    """Write a part of a file to a pipe, without a copy through this process where that goes."""
    splice = getattr(os, "splice", None)
    end = begin + length
    sink.flush()
    with path.open("rb") as file:
        while begin < end:
            length = min(end - begin, _BLOCK)
            if splice is None:
                file.seek(begin)
                size = sink.write(file.read(length))
            else:
                try:
                    size = splice(file.fileno(), sink.fileno(), length, begin)
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                    splice = None  # not from this file system
                    continue
            if not size:
                raise CopyFailed(f"{path} became shorter during the copy. Call it again.")
            begin += size
            yield size


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, int(status.st_mtime)
