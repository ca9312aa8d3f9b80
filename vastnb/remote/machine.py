"""What the verbs on a machine need of its handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from vastnb.fleet.status import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from vastnb.api.transport import Transport


class Client(Protocol):
    """What is needed of a client."""

    @property
    def transport(self) -> Transport:
        """The way to the service."""

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have `callback` called when the client closes."""


class Machine(Protocol):
    """A handle, as `vastnb.fleet.instance.Instance` is one."""

    _record: dict[str, Any] | None

    @property
    def _client(self) -> Client: ...

    @property
    def id(self) -> int:
        """The instance's id."""

    def _known(self) -> Mapping[str, Any]: ...

    def record(self) -> dict[str, Any]:
        """Return the service's record of it, secrets included."""

    def look(self, *, max_wait: float | None = None) -> Verdict:
        """Ask the service how it is."""

    def wait(self, *, timeout: float, reachable: bool) -> object:
        """Wait until it can be reached."""


__all__ = ["Client", "Machine"]
