"""Every error that vastnb raises.

Each message says three things: what happened, what it means for the user's money, and what to
do. All are `VastError`s, so one ``except`` is enough; each also carries what a program needs to
decide (a status, a time to wait, the machines concerned).

::

    VastError
    ├── InvalidRequest         the request is wrong; sending it again will not help
    │   ├── QueryError         ... and it is the search query (also a ValueError)
    │   ├── NoSSHKey           ... the account has no SSH key, so you could not log in
    │   └── BadTemplate        ... the template does not exist or does not fit
    ├── AuthError              no key, a wrong key, or a key that may not do this
    ├── RateLimited            rate limited by Vast.ai (`retry_after`, `reset_at`)
    │   └── QuotaExceeded      ... until the day's quota of rows resets
    ├── OfferGone              somebody else rented it
    ├── NoCredit               the account cannot pay
    │   └── SpendLimit         ... because a spending limit is reached
    ├── OutcomeUnknown         sent, but no answer: a machine may be running
    ├── InstanceFailed         a machine that will not start
    ├── WaitTimeout            a wait ended without success (also a TimeoutError)
    ├── HistoryError           a file of the price history cannot be read or written
    ├── JournalError           rentals cannot be recorded, so nothing is sent
    ├── RemoteError            a problem on a rented machine, or with its connection
    │   ├── ConnectionLost     ... the connection broke, or could not be made
    │   ├── LoginRefused       ... SSH accepts none of your keys
    │   ├── HostKeyChanged     ... the host key is not the remembered one
    │   ├── CommandFailed      ... a command ended with an exit code other than 0 (`result`)
    │   ├── CopyFailed         ... files could not be copied
    │   │   └── WouldOverwrite ... other files have these names (also FileExistsError)
    │   ├── UnsafeValue        ... a value from a machine that only pickle can transfer
    │   ├── CellFailed         ... a cell raised an error on the machine (`name`, `traceback`)
    │   └── KernelDied         ... the kernel on the machine has died, with its variables
    └── ServerError            Vast.ai or the network failed
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar


class VastError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        What happened, what it means for the user's money, and what to do.
    status : int, optional
        HTTP status of the answer, where there was one.
    code : str, optional
        Vast.ai's own code for it (the ``error`` field of the body).

    Attributes
    ----------
    machines : tuple of Instance
        Handles of the machines that were rented before it happened. They are billing.
    """

    machines: tuple[Any, ...] = ()

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code


class InvalidRequest(VastError):
    """The request is wrong; nothing was done, and repeating it will not help."""


class QueryError(InvalidRequest, ValueError):
    """A search query that cannot be understood.

    Parameters
    ----------
    message : str
        What is wrong, and where.
    suggestions : sequence of str
        The nearest right names, best first.
    """

    def __init__(
        self,
        message: str,
        *,
        suggestions: Sequence[str] = (),
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.suggestions = tuple(suggestions)


class NoSSHKey(InvalidRequest):
    """The account has no SSH key, so you could not log in. Nothing was rented."""


class BadTemplate(InvalidRequest):
    """The template does not exist, or does not fit the request. Nothing was rented."""


class AuthError(VastError):
    """No key, a wrong key, or a key that may not do this. Nothing was done."""


class RateLimited(VastError):
    """Rate limited by Vast.ai. The request did not run.

    Parameters
    ----------
    message : str
        What happened and what to do.
    retry_after : float, optional
        Seconds until the request may be sent again.
    reset_at : datetime, optional
        The same as a time (UTC).
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        reset_at: datetime | None = None,
        status: int | None = 429,
        code: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.retry_after = retry_after
        self.reset_at = reset_at


class QuotaExceeded(RateLimited):
    """The day's quota of search rows is used up; it resets at `reset_at` (midnight UTC)."""


class OfferGone(VastError):
    """The offer is no longer available. Nothing was rented."""


class NoCredit(VastError):
    """The account cannot pay for this. Nothing was rented."""


class SpendLimit(NoCredit):
    """A spending limit of the account or the key is reached. Nothing was rented."""


class OutcomeUnknown(VastError):
    """A request that changes something was sent, and its answer was lost.

    It may have run. Check the instances before you send anything again.
    """


class InstanceFailed(VastError):
    """A machine will not reach the wanted state on its own."""


class WaitTimeout(VastError, TimeoutError):
    """A wait ended without success. Waiting changes nothing."""


class JournalError(VastError):
    """The rental journal cannot be written or read. Nothing is rented without it."""


class RemoteError(VastError):
    """Something failed on a rented machine, or its connection did. It is still billing.

    Parameters
    ----------
    message : str
        What happened, what is left on the machine and what it costs, and what to do.
    instance_id : int, optional
        The machine.
    """

    def __init__(self, message: str, *, instance_id: int | None = None) -> None:
        super().__init__(message)
        self.instance_id = instance_id


class ConnectionLost(RemoteError):
    """The SSH connection was lost, or could not be made. Commands there may still be running.

    Attributes
    ----------
    pid : int or None
        The process group of the command that was running there.
    ended : bool
        Whether the machine was stopped, outbid or destroyed: what ran there runs no more, and
        there is nothing to connect to again.
    """

    pid: int | None = None
    ended: bool = False


class LoginRefused(RemoteError):
    """The machine's SSH server accepts none of your keys."""


class HostKeyChanged(RemoteError):
    """The machine's host key is not the remembered one. Nothing was sent."""


class CommandFailed(RemoteError):
    """A command on the machine ended with a code other than 0.

    Attributes
    ----------
    result : vastnb.remote.run.Result
        Code and output.
    """

    result: Any = None


class CopyFailed(RemoteError):
    """Files could not be copied to or from the machine. No file is left incomplete."""


class WouldOverwrite(CopyFailed, FileExistsError):
    """Other files with the same names exist at the target. Nothing was copied.

    Attributes
    ----------
    paths : tuple of str
        Their names.
    """

    paths: tuple[str, ...] = ()


class UnsafeValue(RemoteError):
    """Only pickle can transfer this value, and unpickling runs code that the machine chooses."""


class CellFailed(RemoteError):
    """A cell raised an error on the machine.

    Attributes
    ----------
    name, value : str
        The error's class and text, as reported by the machine.
    traceback : tuple of str
        The lines of its traceback on the machine.
    """

    name: str = ""
    value: str = ""
    traceback: tuple[str, ...] = ()

    def _render_traceback_(self) -> list[str]:
        """Let IPython show the machine's traceback in place of ours."""
        return [*self.traceback, str(self)]


class KernelDied(RemoteError):
    """The kernel on the machine has died, and its variables are lost."""


class HistoryError(VastError):
    """A file of the price history cannot be read or written. Searches are not affected."""


class ServerError(VastError):
    """Vast.ai or the network failed: a 5xx, a broken answer, no connection."""


E = TypeVar("E", bound=BaseException)


def bare(error: E) -> E:
    """Return an error without its frames: they would keep, or show, what they hold.

    Parameters
    ----------
    error : BaseException
        Changed in place.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
