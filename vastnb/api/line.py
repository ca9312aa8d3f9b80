"""A transport that knows what may be asked: all of it with a key, without one what is public."""

from __future__ import annotations

from typing import Any

from vastnb.api.endpoints import ENDPOINTS
from vastnb.api.transport import Answer, Transport
from vastnb.errors import AuthError


class Line:
    """A transport that knows whether it has a key, and what its answers have told of the server.

    It stands apart from the client so that nothing the client holds points back at it: a client
    that is dropped is gone at once, and a simulated market with it.
    """

    def __init__(self, transport: Transport, why_keyless: str | None) -> None:
        self._transport = transport
        self.why_keyless = why_keyless
        self.simulated = False

    def call(self, endpoint: str, **request: Any) -> Answer:
        """Ask the service, or the cache; without a key, only what is public."""
        if self.why_keyless is not None and not ENDPOINTS[endpoint].public:
            raise AuthError(self.why_keyless, code="no_key")
        answer = self._transport.call(endpoint, **request)
        self.simulated = self.simulated or answer.simulated
        return answer


__all__ = ["Line"]
