"""What a cache library gets wrong here by default: each of its traps, sprung on purpose.

Further ones stand where their subject is: identity, key order, ``Vary``, polling and stale answers
in `test_call`; pickles, modes, locks and expiry in `test_store`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib

import pytest

from vastnb.api.endpoints import ENDPOINTS
from vastnb.errors import AuthError, VastError

from .conftest import KEY
from .peer import answer, hang_up

OFFERS = {"offers": [{"id": 1}]}
REFUSED = answer({"error": "HTTPTooManyRequests"}, 429, Retry_After="30")


def search(transport, query=None, **options):
    return transport.call("search_offers", body=query or {"a": {"eq": 1}}, **options)


@pytest.mark.parametrize(
    "trouble",
    [REFUSED, answer("", 503), hang_up, answer("<html>")],
    ids=["429", "503", "reset", "html"],
)
def test_a_refresh_that_fails_still_has_the_older_answer(transport, peer, clock, trouble):
    peer.script = [answer(OFFERS)]
    peer.default = trouble
    search(transport)
    clock.advance(10)
    older = search(transport, refresh=True, max_wait=5)
    assert older.stale and older.stale_reason and older.data == OFFERS
    assert len(peer.asked) > 1, "it was really asked"


def test_a_refusal_does_not_delete_what_is_kept(transport, peer, clock):
    peer.script = [answer(OFFERS)]
    peer.default = REFUSED
    search(transport)
    for _ in range(4):
        clock.advance(1000)
        assert search(transport).data == OFFERS


def test_a_revoked_key_is_told_even_on_refresh_and_with_an_older_answer(transport, peer, clock):
    peer.script = [answer(OFFERS)]
    peer.default = answer({"error": "auth_error", "msg": "Invalid user key"}, 404)
    search(transport)
    clock.advance(10)
    with pytest.raises(AuthError):
        search(transport, refresh=True)


def test_a_refresh_needs_no_etag_to_be_sent(transport, peer, clock):
    peer.default = answer(OFFERS, ETag='"1"', Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT")
    search(transport)
    clock.advance(10)
    search(transport, refresh=True)
    clock.advance(200)
    search(transport)
    assert len(peer.asked) == 3
    for one in peer.asked:
        assert not {"if-none-match", "if-modified-since"} & {name.lower() for name in one.headers}


def test_an_error_is_never_kept_as_an_answer(transport, peer, clock):
    for status in (400, 401, 403, 404, 410, 429, 500, 503):
        query = {"status": {"eq": status}}
        peer.script = [answer({"error": "no", "msg": "no"}, status)]
        with pytest.raises(VastError):
            search(transport, query, max_wait=0)
        clock.advance(1000)
        assert not search(transport, query).from_cache
        clock.advance(1000)


def test_clients_of_one_file_each_have_their_own_time_to_live(make, peer, clock):
    short, long = make(cache_ttl=20), make(cache_ttl=500)
    search(short)
    clock.advance(100)
    assert search(long).from_cache
    assert not search(short).from_cache
    make(cache_ttl=1)  # opening one more changes nothing for the others
    clock.advance(100)
    assert search(long).from_cache


def test_a_change_is_seen_by_the_next_look(transport, peer):
    """No answer that a command could make untrue is ever kept."""
    kept = {name for name, row in ENDPOINTS.items() if row.fresh}
    assert kept == {
        "search_offers", "search_templates", "gpu_types", "gpu_metrics", "gpu_metrics_history",
    }  # fmt: skip
    state = {"label": "before"}

    def service(asked, handler):
        if asked.method == "PUT":
            state.update(asked.json)
            return answer({"success": True})(asked, handler)
        return answer({"instances": dict(state)})(asked, handler)

    peer.default = service
    look = {"path": {"id": 7}}
    assert transport.call("show_instance", **look).data["instances"]["label"] == "before"
    transport.call("manage_instance", **look, body={"label": "after"})
    assert transport.call("show_instance", **look).data["instances"]["label"] == "after"


def test_no_header_parameter_or_cookie_of_a_request_is_kept(make, peer, cache_dir):
    """Whatever their spelling, they have no place in the format."""
    transport = make()
    transport._opened.wire.session.headers["authorization-copy"] = f"bearer {KEY}"
    transport._opened.wire.session.headers["x-api-key"] = KEY
    search(transport)
    transport.close()
    assert any(one.headers.get("x-api-key") == KEY for one in peer.asked)
    with sqlite3.connect(cache_dir / "answers.sqlite") as connection:
        rows = connection.execute("SELECT key, value FROM answers").fetchall()
    connection.close()
    assert rows
    for key, value in rows:
        packed = value[value.index(b"}}") + 2 :]
        everything = key.encode() + value + zlib.decompress(packed)
        assert KEY.encode() not in everything and b"api-key" not in everything


def test_an_entry_is_replaced_whole_or_not_at_all(make, clock, cache_dir):
    """A reader that opens the file between two writes of a large entry sees one of the two."""
    from vastnb.api.cache import Entry, open_store

    writer, reader = open_store("sqlite", clock.time()), open_store("sqlite", clock.time())
    for letter in (b"a", b"b"):
        writer.put("k", Entry(letter * 5_000_000, {}, clock.time()))
        assert set(reader.get("k").body) == set(letter)
    with (
        contextlib.suppress(ZeroDivisionError),
        writer.backend.responses.connection(commit=True) as connection,
    ):
        connection.execute("UPDATE answers SET value=?", (b"torn",))
        raise ZeroDivisionError
    assert set(reader.get("k").body) == set(b"b")
    writer.close()
    reader.close()
