"""Files: only what has changed, nothing that is not ours, whole or not at all."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from vastnb.errors import CopyFailed, InvalidRequest, WouldOverwrite
from vastnb.remote import listing
from vastnb.remote.copying import Copied, copy, rsync_here
from vastnb.remote.listing import local_files, plan
from vastnb.remote.session import Session

from .conftest import Machine
from .cutting import Proxy


@pytest.fixture(params=["rsync", "plain"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "rsync" and rsync_here() is None:
        pytest.skip("no sshd or rsync on this machine")
    return str(request.param)


class Copier:
    def __init__(self, session: Session, engine: str, memory: Path) -> None:
        self.session = session
        self._options: dict[str, Any] = {"engine": engine, "memory": memory, "show": False}

    def up(self, here: Path | str, there: str | None = None, **options: Any) -> Copied:
        return copy(self.session, here, there, up=True, **{**self._options, **options})

    def down(self, there: str, here: Path | str | None = None, **options: Any) -> Copied:
        return copy(self.session, here, there, up=False, **{**self._options, **options})


@pytest.fixture
def copier(session: Session, engine: str, tmp_path: Path, machine: Machine) -> Copier:
    for one in machine.workspace.iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    return Copier(session, engine, tmp_path / "memory.json")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    base = tmp_path / "data set"
    (base / "deep" / "er").mkdir(parents=True)
    (base / "train.py").write_text("print(1)\n")
    (base / "train.py").chmod(0o755)
    (base / "deep" / "er" / "é: x;$(y)'\".txt").write_text("odd name")
    (base / "empty").touch()
    (base / "run.log").write_text("left out")
    (base / ".gitignore").write_text("*.log\n!kept.log\n")
    (base / "deep" / "kept.log").write_text("kept")
    return base


def tree(base: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(base)): one.read_bytes() for one in base.rglob("*") if one.is_file()
    }


def test_a_directory_arrives_whole_and_goes_again_only_where_it_changed(
    copier: Copier, data: Path, machine: Machine
) -> None:
    first = copier.up(f"{data}/", "/workspace/data")
    assert (first.new, first.changed, first.same) == (5, 0, 0)
    there = tree(machine.workspace / "data")
    assert there == {name: text for name, text in tree(data).items() if name != "run.log"}
    assert os.access(machine.workspace / "data" / "train.py", os.X_OK)
    again = copier.up(data, "data")
    assert (again.new, again.changed, again.same, again.bytes) == (0, 0, 5, 0)
    (data / "train.py").write_text("print(22)\n")
    assert copier.up(data, "data").changed == 1
    assert (machine.workspace / "data" / "train.py").read_text() == "print(22)\n"


def test_what_comes_back_is_what_was_sent(copier: Copier, data: Path, tmp_path: Path) -> None:
    copier.up(data, "data")
    back = tmp_path / "back"
    assert copier.down("data", back).new == 5
    assert tree(back) == {name: text for name, text in tree(data).items() if name != "run.log"}
    assert copier.down("data", back).same == 5
    assert copier.down("data", tmp_path / "few", exclude=["deep/", "*.py"]).new == 2


def test_one_file_goes_under_its_name_or_another(
    copier: Copier, data: Path, machine: Machine, tmp_path: Path
) -> None:
    script = data / "train.py"
    assert copier.up(script).target == str(machine.workspace / "train.py")
    assert copier.up(script, "into/").target == str(machine.workspace / "into" / "train.py")
    assert copier.up(script, "into").target == str(machine.workspace / "into" / "train.py")
    assert copier.up(script, "into/other.py").target == str(machine.workspace / "into" / "other.py")
    assert copier.up(script).same == 1
    copier.down("train.py", f"{tmp_path}/here/")
    assert (tmp_path / "here" / "train.py").read_text() == "print(1)\n"
    copier.down("train.py", tmp_path / "here" / "other.py")
    assert (tmp_path / "here" / "other.py").read_text() == "print(1)\n"


def test_files_that_are_not_our_copies_are_not_replaced(
    copier: Copier, data: Path, machine: Machine, tmp_path: Path
) -> None:
    copier.up(data, "data")
    (machine.workspace / "data" / "train.py").write_text("edited on the machine")
    (data / "train.py").write_text("edited here, later")
    (data / "new").write_text("new")
    with pytest.raises(WouldOverwrite, match=r"train\.py") as refused:
        copier.up(data, "data")
    assert refused.value.paths == ("train.py",)
    assert not (machine.workspace / "data" / "new").exists()
    assert (machine.workspace / "data" / "train.py").read_text() == "edited on the machine"
    mine = tmp_path / "mine.py"
    mine.write_text("my own work")
    with pytest.raises(FileExistsError):
        copier.down("data/train.py", mine)
    assert mine.read_text() == "my own work"
    copier.up(data, "data", overwrite=True)
    assert (machine.workspace / "data" / "train.py").read_text() == "edited here, later"


@pytest.mark.parametrize("bad", ["/", "/root", "/root/", "~", "~/.ssh/authorized_keys", "/etc/x"])
def test_nothing_is_copied_to_where_it_would_break_the_machine(
    session: Session, data: Path, bad: str, tmp_path: Path
) -> None:
    for source in (data, data / "train.py"):
        if source == data / "train.py" and bad in ("/root", "~"):
            continue  # a file of that name, which is refused as a directory
        with pytest.raises(InvalidRequest, match="Nothing was copied"):
            copy(session, source, bad, up=True, memory=tmp_path / "m")


def test_a_link_to_a_forbidden_place_is_no_way_around(
    session: Session, data: Path, machine: Machine, tmp_path: Path
) -> None:
    (machine.workspace / "innocent").symlink_to(machine.home)
    try:
        with pytest.raises(InvalidRequest, match="Nothing was copied"):
            copy(session, data, "innocent", up=True, memory=tmp_path / "m")
    finally:
        (machine.workspace / "innocent").unlink()


def test_the_price_is_said_first(
    session: Session, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "big").write_bytes(bytes(2_000_000))
    copied = copy(session, data, "priced", up=True, memory=tmp_path / "m", price=50.0)
    assert copied.usd == pytest.approx(copied.bytes / 1e9 * 50)
    assert "$0.10 of traffic at $50.000/GB" in capsys.readouterr().out
    copy(session, data, "cheap", up=True, memory=tmp_path / "m", price=0.02)
    assert "traffic" not in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_said_before(
    session: Session, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = listing.look_there

    def full(*given: Any, **options: Any) -> Any:
        found = real(*given, **options)
        return listing.There(found.path, found.kind, found.stamp, 10)

    monkeypatch.setattr(listing, "look_there", full)
    with pytest.raises(CopyFailed, match="10 B free"):
        copy(session, data, "full", up=True, memory=tmp_path / "m")


@pytest.mark.skipif(os.getuid() != 0, reason="needs a small file system of its own")
def test_a_disk_that_fills_up_leaves_no_half_file(
    copier: Copier, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = machine.workspace / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=2m none {small} 2>/dev/null"):
        pytest.skip("cannot mount here")
    try:
        big = tmp_path / "big"
        big.write_bytes(os.urandom(5_000_000))
        monkeypatch.setattr("vastnb.remote.copying._check_space", lambda *given: None)
        with pytest.raises(CopyFailed, match="is full"):
            copier.up(big, "small/")
        assert not (small / "big").exists()
    finally:
        os.system(f"umount {small}")


def test_a_cut_is_gone_over_and_the_file_is_whole(
    weak: Session, proxy: Proxy, engine: str, machine: Machine, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 40)
    timers = [threading.Timer(0.15 * n, proxy.cut) for n in range(1, 5)]
    for timer in timers:
        timer.start()
    memory = tmp_path / "m"
    (machine.workspace / "cut").unlink(missing_ok=True)
    copy(weak, big, "cut", up=True, memory=memory, engine=engine, show=False)
    assert (machine.workspace / "cut").read_bytes() == big.read_bytes()
    for timer in timers:
        timer.join()
    threading.Timer(0.2, proxy.cut).start()
    copy(weak, tmp_path / "back", "cut", up=False, memory=memory, engine=engine, show=False)
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    assert not list(machine.workspace.glob(f"{listing.PARTIAL}*"))


def test_names_from_a_stranger_stay_in_their_directory() -> None:
    told = b"1 2 ./ok\n1 2 ./../../.ssh/authorized_keys\n1 2 /etc/passwd\n"
    assert listing._stamps(told) == {"ok": (1, 2)}
    for name in ("..\\x", "C:/x", "a/git~1/hooks/x", ".git /hooks/x"):
        assert not listing._is_inside(name, windows=True)
    assert listing._is_inside("a/b.txt", windows=True)


def test_names_are_split_at_line_ends_only_and_a_line_break_in_one_is_said() -> None:
    assert listing._stamps("1 -2 ./a\u2028b\x0cc\n".encode()) == {"a\u2028b\x0cc": (1, -2)}
    with pytest.raises(CopyFailed, match="line break"):
        listing._stamps(b"1 2 ./a\nb\n")


def test_what_would_run_here_by_itself_is_not_downloaded(
    copier: Copier, machine: Machine, tmp_path: Path
) -> None:
    """A hook runs at the next commit, a compiled module at the next import of its source."""
    project = machine.workspace / "project"
    for name in (".git/hooks/post-commit", ".GIT/config", "sub/.git", "__pycache__/m.pyc", "m.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    copier.down("project/", tmp_path / "here", exclude=["!.git"])
    assert tree(tmp_path / "here") == {"m.py": b"x"}


def test_a_download_gives_other_users_of_this_computer_no_rights(
    copier: Copier, machine: Machine, tmp_path: Path
) -> None:
    (machine.workspace / "tool").write_text("x")
    (machine.workspace / "tool").chmod(0o6777)
    copier.down("tool", tmp_path / "tool")
    assert (tmp_path / "tool").stat().st_mode & 0o6002 == 0


def test_odd_names_are_not_taken_for_others(
    copier: Copier, machine: Machine, tmp_path: Path
) -> None:
    there, here = machine.workspace / "odd", tmp_path / "odd"
    here.mkdir()
    names = ("a:", "a\u2028b", "a\x0bb", "-x/f", " b ", "back\\slash")
    for name in names:
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(f"mine {name}")
    copier.up(f"{here}/", "odd")
    assert tree(there) == tree(here)
    copier.down("odd/", tmp_path / "back")
    assert tree(tmp_path / "back") == tree(here)
    (there / "a\u2028b").write_text("theirs, and longer")
    with pytest.raises(WouldOverwrite):
        copier.up(f"{here}/", "odd")


def test_a_plan_replaces_only_what_we_left() -> None:
    source = {"new": (1, 1), "same": (2, 2), "ours": (3, 9), "theirs": (4, 9)}
    target = {"same": (2, 2), "ours": (3, 3), "theirs": (4, 4)}
    made = plan(source, target, {"ours": (3, 3), "theirs": (4, 1)})
    assert (set(made.new), set(made.changed), made.same) == ({"new"}, {"ours"}, 1)
    assert made.foreign == ("theirs",)
    assert plan(source, target, {}, overwrite=True).foreign == ()


def test_gitignore_means_what_it_means_to_git(tmp_path: Path) -> None:
    for name in ("a.py", "build/x", "src/build/y", "src/keep.log", "src/b.log", ".git/HEAD"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("/build\n*.log\n")
    (tmp_path / "src" / ".gitignore").write_text("!keep.log\n")
    heeded = set(local_files(tmp_path, gitignore=True))
    assert heeded == {"a.py", "src/build/y", "src/keep.log", ".gitignore", "src/.gitignore"}
    assert "src/b.log" in local_files(tmp_path, gitignore=False)
    assert "src/b.log" not in local_files(tmp_path, ["src/"], gitignore=False)
