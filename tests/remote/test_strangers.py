"""A machine's host is a stranger: its answers are bounded, and what is none is said to be none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vastnb.errors import InvalidRequest, RemoteError, UnsafeValue, VastError
from vastnb.remote import kernel as kernel_module
from vastnb.remote import session as session_module
from vastnb.remote.jobs import Job
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.outputs import Shower
from vastnb.remote.run import run
from vastnb.remote.session import Session


@pytest.fixture
def kernel(session: Session) -> Iterator[RemoteKernel]:
    made = RemoteKernel(session, "stranger").open()
    yield made
    made.shutdown()


def test_an_answer_is_no_longer_than_what_was_asked_for(session: Session) -> None:
    with pytest.raises(RemoteError, match="more than 1,000 bytes"):
        session.fetch("head -c 100000000 /dev/zero", most=1000)
    assert session.fetch("head -c 1000 /dev/zero", most=1000) == bytes(1000)
    # Of endless errors the end is kept.
    with pytest.raises(RemoteError, match="the end") as failed:
        session.fetch("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1")
    assert len(str(failed.value)) < 1000


def test_what_a_login_prints_before_a_call_is_bounded(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.open()
    monkeypatch.setattr(session_module, "HEAD", 1000)
    begin = session._begin

    def noisy(script: str, *rest: Any, **options: Any) -> Any:
        call = begin(f"head -c 5000000 /dev/zero; {script}", *rest, **options)
        call.nonce = b"never"
        return call

    monkeypatch.setattr(session, "_begin", noisy)
    with pytest.raises(RemoteError):
        run(session, "true", show=False, timeout=20)
    monkeypatch.undo()
    assert run(session, "echo there", show=False).out == "there\n"


MALFORMED = (
    "'no json'",
    "'[1, 2]'",
    "'{}'",
    '\'{"bytes": "many"}\'',
    "'{\"bytes\": 1e400}'",
    "3",
    "'[' * 100000",
    "open(path, 'wb').write(b'nonsense') and '{\"bytes\": 8}'",
    "open(path, 'wb').write(b'vastnb values 1\\n2\\n{}') and '{\"bytes\": 20}'",
    "open(path, 'wb').write(b'vastnb values 1\\n3\\nnil') and '{\"bytes\": 21}'",
)


def test_a_malformed_answer_to_a_pull_is_said_to_be_one(kernel: RemoteKernel) -> None:
    kernel.execute("x = 1")
    for answer in MALFORMED:
        kernel._prepare()
        kernel.execute(
            f"def _bad(names, namespace, path, allow):\n    return {answer}\n"
            "_vastnb_values.pull = _bad"
        )
        with pytest.raises(VastError, match=r"cannot be read|asked for|No such file"):
            kernel.pull(["x"])


def test_a_value_in_a_pickle_that_was_not_asked_for_is_not_opened(kernel: RemoteKernel) -> None:
    kernel.execute("x = 1")
    kernel._prepare()
    head = json.dumps({"values": {"x": ["pickle", 0]}, "sizes": [1]})
    file = f"vastnb values 1\n{len(head)}\n{head}."
    kernel.execute(
        "def _bad(names, namespace, path, allow):\n"
        f"    open(path, 'w').write({file!r}); return '{{\"bytes\": {len(file)}}}'\n"
        "_vastnb_values.pull = _bad"
    )
    with pytest.raises(UnsafeValue, match="was not read"):
        kernel.pull(["x"])


def test_more_than_fits_is_not_pulled(
    kernel: RemoteKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_module, "PULLED", 1000)
    kernel.execute("x = 'y' * 10_000; small = 'y'")
    with pytest.raises(InvalidRequest, match=r"box\.download"):
        kernel.pull(["x"])
    assert kernel.pull(["small"])[0] == {"small": "y"}


def test_messages_that_are_none_are_passed_over(
    kernel: RemoteKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (None, 3, {"header": []}, {"header": {}, "parent_header": {}, "content": 1}):
        monkeypatch.setattr(kernel._messages, "recv", lambda *rest, one=one, **more: (None, one))
        assert kernel._receive("shell") is None

    def broken(*rest: Any, **more: Any) -> Any:
        raise TypeError("malformed")

    monkeypatch.setattr(kernel._messages, "recv", broken)
    assert kernel._receive("shell") is None


def test_a_display_can_only_be_changed_by_the_kernel_that_made_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published: list[tuple[str, bool]] = []

    class Pub:
        def publish(self, *, transient: dict[str, str], update: bool, **rest: Any) -> None:
            published.append((transient["display_id"], update))

    shell = type("Shell", (), {"display_pub": Pub()})()
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    content = {"data": {"text/plain": "x"}, "transient": {"display_id": "same"}}
    one, again, other = Shower(displays="a"), Shower(displays="a"), Shower()
    one("display_data", content)
    again("update_display_data", content)
    other("update_display_data", content)
    Shower()("update_display_data", {**content, "transient": {"display_id": "a-same"}})
    names = [name for name, _ in published]
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_kernels_name_their_displays_apart(session: Session) -> None:
    first, second = RemoteKernel(session, "a"), RemoteKernel(session, "b")
    assert first.displays != second.displays
    assert len(first.displays) >= 16


@pytest.mark.parametrize(
    ("said", "word", "code"),
    [
        ("ended 7", "ended", 7),
        ("ended", "ended", None),
        ("running", "running", None),
        ("ended --5", "lost", None),
        ("ended \u00b2", "lost", None),
        ("", "lost", None),
    ],
)
def test_what_is_no_state_of_a_job_is_lost(said: str, word: str, code: int | None) -> None:
    class Says:
        def ask(self, script: str) -> str:
            return said

    state = Job(Says(), "x").state  # type: ignore[arg-type]
    assert (state.word, state.code) == (word, code)


def test_a_large_listing_is_bounded(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vastnb.remote import listing

    ask: Callable[..., bytes] = session.fetch
    seen: list[int] = []
    monkeypatch.setattr(
        session, "fetch", lambda *rest, **more: (seen.append(more["most"]), ask(*rest, **more))[1]
    )
    listing.remote_files(session, session.facts.home)
    assert seen == [listing._LISTED]
