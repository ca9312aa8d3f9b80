"""What a route is given and what it gives back; nothing here knows about sockets.

A route is a name, a method, a path and a function from a `Call` to a `Reply`. The names are those
of the package's endpoint table, so that faults, limits and counters speak of the same things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vastnb.sim.refusal import Failure

if TYPE_CHECKING:
    from vastnb.sim.accounts import Account
    from vastnb.sim.world import World


@dataclass(frozen=True)
class Reply:
    """An answer.

    Parameters
    ----------
    body : Any
        Bytes and text are sent as they are; anything else as JSON, where an object also says
        that it is simulated.
    status : int
        HTTP status.
    headers : dict
        Beyond the usual ones.
    content_type : str, optional
        Where it is not JSON (or, for text, plain text).
    rows : int
        Offers in it, which count against the daily quota.
    """

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    rows: int = 0

    def encoded(self) -> tuple[bytes, str]:
        """Return the bytes to send and their content type."""
        if isinstance(self.body, bytes):
            return self.body, self.content_type or "application/json"
        if isinstance(self.body, str):
            return self.body.encode(), self.content_type or "text/plain; charset=utf-8"
        body = {**self.body, "simulated": True} if isinstance(self.body, dict) else self.body
        return json.dumps(body, ensure_ascii=False).encode(), (
            self.content_type or "application/json"
        )


@dataclass(frozen=True)
class Call:
    """A request that was understood and let through.

    Parameters
    ----------
    world : World
        The simulated service.
    account : Account or None
        Whose key came with it.
    identity : str
        The account, or else the address, that limits and quotas go by.
    path : dict
        Values from the path, ``{"id": 5}``.
    params : dict
        Values from the query string.
    body : Any
        The decoded JSON body; `None` without one.
    base_url : str
        ``http://127.0.0.1:1234``, for answers with an address in them.
    authorized : bool
        Whether an Authorization header came along.
    address : str
        Where it came from.
    admin_token : str or None
        What the header for the admin routes held.
    """

    world: World
    account: Account | None
    identity: str
    path: Mapping[str, Any]
    params: Mapping[str, str]
    body: Any
    base_url: str
    authorized: bool = False
    address: str = ""
    admin_token: str | None = None

    @property
    def owner(self) -> Account:
        """The account, on routes that cannot be reached without one."""
        if self.account is None:
            raise Failure(403, "auth_error", "This action requires login.")
        return self.account

    def fields(self) -> Mapping[str, Any]:
        """Return the body as an object.

        Raises
        ------
        Failure
            A 400, if it is something else.
        """
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise Failure(400, "invalid_request", "Invalid json body")
        return self.body

    def json_param(self, name: str, default: Any) -> Any:
        """Return a query parameter that holds JSON.

        Raises
        ------
        Failure
            A 400, if it does not.
        """
        text = self.params.get(name)
        if text is None or text == "":
            return default
        try:
            return json.loads(text)
        except ValueError:
            raise Failure(
                400, "invalid_request", f"Error in query parameters: {name} is not valid JSON"
            ) from None


Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class Route:
    """A path, and what answers on it.

    Parameters
    ----------
    name : str
        The endpoint's name in limits, faults and counters.
    method, path : str
        As in the endpoint table; ``{id}`` is a whole number.
    handler : callable
        From a `Call` to a `Reply`.
    needs_key : bool
        Whether it is refused without an API key.
    """

    name: str
    method: str
    path: str
    handler: Handler
    needs_key: bool = True


__all__ = ["Call", "Handler", "Reply", "Route"]
