"""Nothing waits without end for a machine that answers, and does no more than that."""

from __future__ import annotations

import time
from typing import Any

import pytest

from vastnb.errors import ConnectionLost, WaitTimeout
from vastnb.remote.run import run
from vastnb.remote.session import Session


def test_a_question_that_is_not_answered_is_given_up(session: Session) -> None:
    session.open()
    begun = time.monotonic()
    with pytest.raises(ConnectionLost):
        session.fetch("sleep 40", timeout=0.5)
    with pytest.raises(ConnectionLost):
        session.fetch("exec >&- 2>/dev/null; sleep 40", timeout=0.5)
    assert time.monotonic() - begun < 20
    assert session.ask("echo there").strip() == "there"


def test_a_command_that_does_not_begin_is_given_up(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.open()
    monkeypatch.setattr("vastnb.remote.run.GRACE", 0.3)
    call = session.call

    def held(script: str, **options: Any) -> Any:  # a login that hangs: no word of a beginning
        made = call(script, **options)
        made.nonce = b"never"
        return made

    monkeypatch.setattr(session, "call", held)
    begun = time.monotonic()
    with pytest.raises(WaitTimeout, match="did not start"):
        run(session, "sleep 60", timeout=0.5, show=False)
    assert time.monotonic() - begun < 15
    monkeypatch.undo()
    assert session.ask("echo there").strip() == "there"
