"""Every error that vastnb raises.

Each message says three things: what happened, what it means for the user's money, and what to
do. All are `VastError`s, so one ``except`` is enough; each also carries what a program needs to
decide (a status, a time to wait, the machines concerned).

::

    VastError
    ├── InvalidRequest         the request is wrong; sending it again changes nothing
    │   ├── QueryError         ... and it is the search query (also a ValueError)
    │   ├── NoSSHKey           ... the account has no SSH key, so nobody could log in
    │   └── BadTemplate        ... the template does not exist, or does not fit
    ├── AuthError              no key, a wrong key, or a key that may not do this
    ├── RateLimited            rate limited by Vast.ai (`retry_after`, `reset_at`)
    │   └── QuotaExceeded      ... until the day's quota of rows begins anew
    ├── OfferGone              somebody else rented it
    ├── NoCredit               the account cannot pay
    │   └── SpendLimit         ... because a limit on spending is reached
    ├── OutcomeUnknown         sent, but no answer: a machine may be running
    ├── InstanceFailed         a machine that will not come up
    ├── WaitTimeout            what was waited for did not happen in time (also a TimeoutError)
    ├── HistoryError           a file of the price history cannot be read or written
    ├── JournalError           rentals cannot be recorded, so nothing is sent
    ├── RemoteError            something on a rented machine, or on the way to it
    │   ├── ConnectionLost     ... the connection broke, or could not be made
    │   ├── LoginRefused       ... SSH accepts none of your keys
    │   ├── HostKeyChanged     ... it is not the machine that was there before
    │   ├── CommandFailed      ... a command ended with a code other than 0 (`result`)
    │   ├── CopyFailed         ... files could not be copied
    │   │   └── WouldOverwrite ... there are other files under these names (also FileExistsError)
    │   ├── UnsafeValue        ... a value that only pickle can carry, from a machine
    │   ├── CellFailed         ... a cell raised an error on the machine (`name`, `traceback`)
    │   └── KernelDied         ... the kernel on the machine is gone, with its variables
    └── ServerError            the service or the network failed
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
        The service's own word for it (the ``error`` field of the body).

    Attributes
    ----------
    machines : tuple of Instance
        Handles of the machines that were rented before it happened. They bill.
    """

    machines: tuple[Any, ...] = ()

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code


class InvalidRequest(VastError):
    """The request is wrong as it stands; nothing was done, and repeating it changes nothing."""


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
    """The account has no SSH key: nobody could log in to what is rented. Nothing was rented."""


class BadTemplate(InvalidRequest):
    """There is no such template, or it does not fit what was asked for. Nothing was rented."""


class AuthError(VastError):
    """No key, a wrong key, or a key that may not do this. Nothing was done."""


class RateLimited(VastError):
    """Rate limited by Vast.ai. The request did not run.

    Parameters
    ----------
    message : str
        What happened and what to do.
    retry_after : float, optional
        Seconds until it may be asked again.
    reset_at : datetime, optional
        The same moment as a time (UTC).
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
    """The day's quota of search rows is spent; it begins anew at `reset_at` (midnight UTC)."""


class OfferGone(VastError):
    """The offer is no longer there. Nothing was rented."""


class NoCredit(VastError):
    """The account cannot pay for this. Nothing was rented."""


class SpendLimit(NoCredit):
    """A limit on spending, of the account or of the key, is reached. Nothing was rented."""


class OutcomeUnknown(VastError):
    """A request that changes something was sent, and its answer was lost.

    It may have run. Whoever catches this must find out (list the instances) before sending
    anything again.
    """


class InstanceFailed(VastError):
    """A machine that will not reach the wanted state without help."""


class WaitTimeout(VastError, TimeoutError):
    """What was waited for did not happen in time. Nothing was changed by the waiting."""


class JournalError(VastError):
    """The record of rentals cannot be written or read. Nothing is sent without it."""


class RemoteError(VastError):
    """Something went wrong on a rented machine, or on the way to it. The machine bills on.

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
    """The SSH connection broke, or could not be made. What ran on the machine may run on.

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
    """The machine answers with another host key than the one remembered. Nothing was sent."""


class CommandFailed(RemoteError):
    """A command on the machine ended with a code other than 0.

    Attributes
    ----------
    result : vastnb.remote.run.Result
        Code and output.
    """

    result: Any = None


class CopyFailed(RemoteError):
    """Files could not be copied to or from the machine. No file is left half written."""


class WouldOverwrite(CopyFailed, FileExistsError):
    """Files that are not copies of these exist under the same names. Nothing was copied.

    Attributes
    ----------
    paths : tuple of str
        Their names.
    """

    paths: tuple[str, ...] = ()


class UnsafeValue(RemoteError):
    """Only pickle can carry this value, and unpickling runs code that the machine chooses."""


class CellFailed(RemoteError):
    """A cell raised an error on the machine.

    Attributes
    ----------
    name, value : str
        The error's class and text, as the machine gives them.
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
    """The kernel on the machine is gone, and its variables with it."""


class HistoryError(VastError):
    """A file of the price history cannot be read or written. Searches are not affected."""


class ServerError(VastError):
    """The service or the way to it failed: a 5xx, a broken answer, no network."""


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
