"""What is asked of a machine: checked early, and written as the official client writes it.

A `Spec` is checked when it is made, against the limits that the service states of itself, so
that a mistake costs neither a call nor a place in the queue. Its body has the official client's
fields in the official client's meaning, and the marker in the environment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vastnb.api.secret import veil
from vastnb.errors import InvalidRequest
from vastnb.fleet.env import MARKER, is_kvm, label_of, with_marker
from vastnb.values import number
from vastnb.wording import nearest

LABEL_MAX: Final = 256
ENV_MAX: Final = 32_768
SCRIPT_MAX: Final = 16_384
IMAGE_MAX: Final = 1_024
PORTS_MAX: Final = 64
DISK_MIN: Final = 8.0
PRICE_MIN: Final = 0.001
PRICE_MAX: Final = 128.0
MARKER_ROOM: Final = len(MARKER) + 32

RUNTYPES: Final = {
    "ssh": "ssh_proxy",
    "ssh_direct": "ssh_direc ssh_proxy",
    "jupyter": "jupyter_proxy ssh_proxy",
    "jupyter_direct": "jupyter_direc ssh_direc ssh_proxy",
}
"""Short names for what the service calls a run type; anything else is sent as it stands."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a machine is rented for.

    Parameters
    ----------
    image : str or None
        Docker image, at most 1,024 characters; None if a template names it.
    disk : float
        GB, from 8.
    label : str or None
        At most 256 characters.
    env : mapping or str
        Environment; ``{"KEY": "v", "-p 8000:8000": "1"}``, or docker's flags as one text. At most
        32,768 characters and 64 ports in all.
    onstart : str or None
        Shell commands that run at every start; at most 16,384 characters together with `args`.
    runtype : str or None
        ``"ssh"``, ``"ssh_direct"``, ``"jupyter"``, ``"jupyter_direct"``, ``"args"``, or the
        service's own words.
    price : float or None
        The bid, $/h, from 0.001 to 128; None rents on demand.
    template_hash : str or None
        A template.
    args : sequence of str or None
        Arguments of the container's own entry point.
    cancel_unavail : bool or None
        Whether nothing is created if the GPUs are taken. By default yes on demand, where a
        stopped machine that bills its disk would be left otherwise.
    more : mapping
        Other fields of the body: ``extra``, ``image_login``, ``user``, ``python_utf8``,
        ``lang_utf8``, ``use_jupyter_lab``, ``jupyter_dir``, ``force``, ``volume_info``, and ``vm``
        (a virtual machine; by default what the image is).

    Raises
    ------
    InvalidRequest
        If the service would refuse it. Nothing was sent.
    """

    image: str | None = None
    disk: float = 10.0
    label: str | None = None
    env: Mapping[str, str] | str | None = field(default=None, repr=False)
    onstart: str | None = field(default=None, repr=False)
    runtype: str | None = None
    price: float | None = None
    template_hash: str | None = None
    args: Sequence[str] | None = field(default=None, repr=False)
    cancel_unavail: bool | None = None
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.image and not self.template_hash:
            raise _wrong("an image (or a template_hash) is needed")
        _number("disk", self.disk, DISK_MIN, math.inf, "GB")
        if self.price is not None:
            _number("price", self.price, PRICE_MIN, PRICE_MAX, "$/h")
        _text("image", self.image, IMAGE_MAX)
        _text("label", self.label, LABEL_MAX)
        _text("onstart", self.onstart, SCRIPT_MAX)
        env = environment(self.env)
        if MARKER in env:
            raise _wrong(f"{MARKER} is set by vastnb itself; leave it out of env")
        if sum(len(name) + len(value) for name, value in env.items()) + MARKER_ROOM > ENV_MAX:
            raise _wrong(f"env is longer than {ENV_MAX:,} characters in all")
        if (ports := sum(map(_ports_in, env))) > PORTS_MAX:
            raise _wrong(f"env opens {ports} ports; at most {PORTS_MAX} are possible")
        if isinstance(self.args, str):
            raise _wrong("args must be a list of strings")
        script = len(self.onstart or "") + sum(len(str(one)) for one in self.args or ())
        if script > SCRIPT_MAX:
            raise _wrong(
                f"onstart and args have {script:,} characters together, more than {SCRIPT_MAX:,}"
            )
        unknown = sorted(set(self.more) - set(MORE))
        if unknown:
            raise _wrong(_no_option(unknown))

    @property
    def interruptible(self) -> bool:
        """Whether this is a bid."""
        return self.price is not None

    @property
    def is_vm(self) -> bool:
        """Whether it is to run as a virtual machine."""
        vm = self.more.get("vm")
        return is_kvm(self.image) if vm is None else bool(vm)

    @property
    def wire_runtype(self) -> str | None:
        """The run type in the service's words; None leaves it to the template or the service."""
        return self._run()[0]

    def body(self, marker: str) -> dict[str, Any]:
        """Return the JSON of the create.

        Parameters
        ----------
        marker : str
            Of this attempt.
        """
        runtype, args = self._run()
        env = _without_jupyter_portal(environment(self.env), runtype)
        cancel = self.cancel_unavail
        body: dict[str, Any] = {
            "client_id": "me",
            "image": self.image,
            "env": with_marker(env, marker),
            "price": None if self.price is None else float(self.price),
            "disk": self.disk,
            "label": self.label or label_of(marker),
            "onstart": self.onstart,
            "cancel_unavail": not self.interruptible if cancel is None else cancel,
            "template_hash_id": self.template_hash,
            **{name: self.more.get(name, default) for name, default in MORE.items()},
        }
        if body["volume_info"] is None:
            del body["volume_info"]
        del body["vm"]
        if self.is_vm:
            body["vm"] = True
        if runtype:
            body["runtype"] = runtype
        if args is not None:
            body["args"] = args
        hidden: dict[str, Any] = veil(body)
        return hidden

    def _run(self) -> tuple[str | None, list[str] | None]:
        args = None if self.args is None else [str(one) for one in self.args]
        if self.runtype:
            return RUNTYPES.get(self.runtype, self.runtype), args or None
        if self.template_hash is not None:
            return None, args
        # An empty list still means: run the image's own entry point.
        return ("args" if args is not None else None), args or None


MORE: Final[dict[str, Any]] = {
    "extra": None,
    "image_login": None,
    "python_utf8": False,
    "lang_utf8": False,
    "use_jupyter_lab": False,
    "jupyter_dir": None,
    "force": False,
    "user": None,
    "volume_info": None,
    "vm": None,
}
"""Fields that are passed through, and what stands in them otherwise."""

OPTIONS: Final = (
    "offers", "count", "max_dph", "bid", "max_hours", "budget_usd", "deadline_on_machine",
    "check_ssh_key", "on_event", "image", "disk", "label", "env", "onstart", "runtype",
    "template_hash", "args",
)  # fmt: skip
"""The options that `vastnb.Client.rent` has a name for: what is misspelt may mean one of them."""


def environment(env: Mapping[str, str] | str | None) -> dict[str, str]:
    """Return an environment as an object of texts.

    Parameters
    ----------
    env : mapping, str or None
        ``{"KEY": "v", "-p 8000:8000": "1"}``, or docker's flags: ``"-e KEY=v -p 8000:8000"``.

    Raises
    ------
    InvalidRequest
        If a flag is none of ``-e -p -h -v -n``, or a name or value is no text. The message does
        not repeat values, which may be passwords.
    """
    if env is None:
        return {}
    if isinstance(env, str):
        try:
            return veiled(_flags(env))
        except InvalidRequest as error:
            wrong = error
        raise wrong.with_traceback(None)  # without the frames that have taken it to pieces
    if not isinstance(env, Mapping):
        raise _wrong("env is an object, such as {'KEY': 'value', '-p 8000:8000': '1'}")
    for name, value in env.items():
        if not isinstance(name, str) or isinstance(value, bool) or value is None:
            raise _wrong(f"env: the value of {name!r} must be a string")
        if not isinstance(value, str | int | float):
            raise _wrong(f"env: the value of {name!r} must be a string")
    return veiled({name: str(value) for name, value in env.items()})


def veiled(env: dict[str, str]) -> dict[str, str]:
    """Return an environment whose `repr` shows its names only."""
    hidden: dict[str, str] = veil(env)
    return hidden


def _flags(text: str) -> dict[str, str]:
    words = iter(_words(text))
    env: dict[str, str] = {}
    for flag in words:
        value = next(words, None)
        if flag not in {"-e", "-p", "-h", "-v", "-n"} or value is None:
            raise _wrong("env as a string takes docker's options -e KEY=value, -p, -h, -v and -n")
        if flag == "-e":
            name, is_there, content = value.partition("=")
            if not is_there:
                raise _wrong(f"env: -e {name} has no value")
            env[name] = content.strip(_QUOTES)
        elif flag == "-h":
            env["-h"] = value
        elif flag == "-p" and not re.fullmatch(r"[\d:]+(-[\d:]+)?(/tcp|/udp)?", value):
            raise _wrong(f"env: -p {value} names no port")
        else:
            env[f"{flag} {value}"] = "1"
    return env


_QUOTES: Final = "'\""


def _words(text: str) -> list[str]:
    """Split at blanks outside quotes, as the official client does: no shell reads it.

    What is quoted keeps its quotes, and a backslash is a character like any other. Quotes around
    a whole word go.
    """
    words: list[str] = [""]
    open_: set[str] = set()
    for sign in text:
        if sign.isspace() and not open_:
            words.append("")
            continue
        if sign in _QUOTES:
            open_ ^= {sign}
        words[-1] += sign
    if open_:
        raise _wrong("env: a quotation mark is not closed")
    quoted = re.compile(r"(['\"])(.*)\1", re.DOTALL)
    return [found[2] if (found := quoted.fullmatch(word)) else word for word in words if word]


def _ports_in(name: str) -> int:
    """Return how many ports an entry of an environment opens."""
    if not name.startswith("-p "):
        return 0
    first, dash, last = re.sub(r"/\w+$", "", name[3:]).strip().rpartition(":")[2].partition("-")
    if dash and first.isdigit() and last.isdigit():
        return max(1, int(last) - int(first) + 1)
    return 1


def _without_jupyter_portal(env: dict[str, str], runtype: str | None) -> dict[str, str]:
    """Take Jupyter out of the portal's list where there is no Jupyter."""
    if (runtype and "jupyter" in runtype) or "PORTAL_CONFIG" not in env:
        return env
    kept = [one for one in env["PORTAL_CONFIG"].split("|") if "jupyter" not in one.lower()]
    if not kept:
        raise _wrong("PORTAL_CONFIG names only Jupyter, and this runtype has no Jupyter")
    return {**env, "PORTAL_CONFIG": "|".join(kept)}


def _number(name: str, value: Any, least: float, most: float, unit: str) -> None:
    found = number(value)
    if found is None or not least <= found <= most:
        upto = "" if math.isinf(most) else f" to {most:g}"
        raise _wrong(f"{name}={value!r}: a number from {least:g}{upto} {unit} is needed")


def _text(name: str, value: Any, most: int) -> None:
    if value is not None and (not isinstance(value, str) or len(value) > most):
        raise _wrong(f"{name} must be a string of at most {most:,} characters")


def _no_option(unknown: Sequence[str]) -> str:
    # A cap or a deadline that is misspelt has to be named: it guards the user's money.
    near = [one for name in unknown for one in nearest(name, [*OPTIONS, *MORE], 1)]
    meant = f" (did you mean {', '.join(near)}?)" if near else ""
    return f"there is no option {', '.join(unknown)}{meant}; help(client.rent) lists them"


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"This cannot be rented: {what}. Nothing was sent or rented.",
        code="invalid_args",
    )
