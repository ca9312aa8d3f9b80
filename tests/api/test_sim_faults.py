"""The client against the simulated service when that answers as no service should."""

from __future__ import annotations

import time

import pytest

import vastnb
from vastnb.errors import OutcomeUnknown, ServerError
from vastnb.sim import Fault, Server


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["null", "rows", "bomb", "drip", "hollow", "empty", "garbage"])
def test_odd_answers_of_the_simulated_service_are_typed_errors(kind):
    with Server(seed=3, limits=None, faults=[Fault("*", kind, seconds=0.05)]) as server:
        client = vastnb.Client(
            server.api_key, base_url=server.url, cache="memory", timeout=0.5, max_wait=0.1
        )
        with client:
            begun = time.monotonic()
            verbs = (
                client.search_offers, client.gpu_types, client.search_templates,
                client.show_instances, lambda: client.show_instance(7), client.gpu_metrics,
            )  # fmt: skip
            for verb in verbs:
                if kind == "null" and verb is verbs[4]:
                    continue  # an instance that is null is one that is gone
                with pytest.raises(ServerError):
                    verb()
            if kind in {"bomb", "drip", "empty", "garbage"}:  # of the others, renting finds out
                with pytest.raises(OutcomeUnknown):
                    client.transport.call("create_instance", path={"id": 1}, body={"image": "x"})
            assert time.monotonic() - begun < 20
