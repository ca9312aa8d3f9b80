"""An answer to a create that is not the service's own refusal proves nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

import vastnb
from vastnb.api.answers import Good, Refused, Trouble, judge
from vastnb.api.endpoints import ENDPOINTS
from vastnb.api.wire import Response
from vastnb.errors import InstanceFailed, NoCredit, ServerError
from vastnb.fleet.rent.attempt import read_answer
from vastnb.fleet.rent.plan import AttemptState
from vastnb.sim import Fault, Server
from vastnb.sim.faults import HOSTILE

from .conftest import alive, entries

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 10}
CREATE = ENDPOINTS["create_instance"]
NAMES_A_MACHINE = [name for name, (_, body) in HOSTILE.items() if "{contract}" in str(body)]


@pytest.fixture
def offer(client: vastnb.Client) -> Any:
    return client.search_offers("num_gpus=1", order="dph_total").iloc[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_machine_behind_a_hostile_answer_is_found_and_nothing_is_sent_twice(
    client: vastnb.Client, server: Server, offer: Any, name: str
) -> None:
    server.faults.add(Fault.hostile(name, effect=True))
    box = client.create_instance(offer, **ORDER)
    assert [one.id for one in alive(server)] == [box.id]
    assert server.calls("create_instance") == 1
    assert (server.calls("show_instances") == 0) == (name in NAMES_A_MACHINE)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in NAMES_A_MACHINE])
def test_a_hostile_answer_is_no_refusal_until_lists_prove_it(
    client: vastnb.Client, server: Server, offer: Any, name: str
) -> None:
    server.faults.add(Fault.hostile(name))
    with pytest.raises(ServerError) as proved:
        client.create_instance(offer, **ORDER)
    assert proved.value.code == "proved_absent"
    assert server.calls("create_instance") == 1
    assert server.calls("show_instances") >= 3
    assert alive(server) == []


def test_a_refusal_that_names_a_stopped_machine_destroys_it(
    client: vastnb.Client, server: Server, offer: Any
) -> None:
    body = {"success": False, "error": "no_such_ask", "new_contract": "{contract}"}
    server.world.fleet.expect("created-stopped")
    server.faults.add(Fault("create_instance", "answer", nth=1, effect=True, status=410, body=body))
    with pytest.raises(InstanceFailed):
        client.create_instance(offer, **ORDER, cancel_unavail=False)
    assert alive(server) == []
    assert entries(client)[-1].state in (AttemptState.DESTROYING, AttemptState.DESTROYED)


def test_credit_that_lacks_in_other_words_is_no_credit(
    client: vastnb.Client, server: Server, offer: Any
) -> None:
    said = {"success": False, "error": "invalid_args", "msg": "Your account lacks credit."}
    server.faults.add(Fault("create_instance", "answer", nth=1, status=400, body=said))
    with pytest.raises(NoCredit):
        client.create_instance(offer, **ORDER)
    assert server.calls("show_instances") == 0


def _judged(status: int, body: Any) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return judge(CREATE, Response(status, {}, text.encode()), 0.0)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "HTTPTooManyRequests", "msg": "API requests too frequent", "retry_after": 10},
        "API requests too frequent endpoint threshold=3.0",
        {"detail": "API requests too frequent endpoint threshold=4.5"},
        {"success": False, "error": "rate_limit_exceeded", "msg": "slow down"},
    ],
)
def test_a_429_of_the_service_itself_did_not_run(body: Any) -> None:
    assert isinstance(_judged(429, body), Refused)
    for status in (200, 400, 403, 500, 503):
        verdict = _judged(status, body)
        assert isinstance(verdict, Good | Trouble)
        if isinstance(verdict, Good):
            assert read_answer(verdict.data).state is AttemptState.UNKNOWN


@pytest.mark.parametrize("name", ["reboot_instance", "recycle_instance", "create_ssh_key"])
def test_another_429_does_not_send_a_command_again(name: str) -> None:
    for status, body in ((429, b"<html>slow down"), (503, b'{"msg": "requests too frequent"}')):
        verdict = judge(ENDPOINTS[name], Response(status, {}, body), 0.0)
        assert isinstance(verdict, Trouble) and verdict.ran


@pytest.mark.parametrize("status", [200, 202, 302, 400, 404, 409, 410, 429, 499, 500, 503])
@pytest.mark.parametrize(
    "body",
    [
        {"error": "no_such_ask", "data": {"new_contract": 5}},
        {"success": False, "error": "no_such_ask", "msg": "but new_contract 5 was made"},
        {"success": False, "error": "no_such_ask", "new_contract": "soon"},
        '{"error": "no_such_ask", "new_contract": 5',
        [{"new_contract": 5}],
    ],
)
def test_a_new_contract_anywhere_means_that_a_machine_may_exist(status: int, body: Any) -> None:
    verdict = _judged(status, body)
    if isinstance(verdict, Good):
        assert read_answer(verdict.data).state is AttemptState.UNKNOWN
    else:
        assert isinstance(verdict, Trouble) and verdict.ran


def test_a_refusal_whose_contract_is_empty_is_a_refusal() -> None:
    said = {"success": False, "error": "no_such_ask", "new_contract": None}
    assert read_answer(said).state is AttemptState.REFUSED
    assert not isinstance(_judged(410, said), Good | Trouble)
