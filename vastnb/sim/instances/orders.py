"""What a create asks for: read, checked against the service's limits, and put in order."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vastnb.sim.refusal import Failure

LABEL_MAX = 256
ENV_MAX = 32_768
SCRIPT_MAX = 16_384
IMAGE_MAX = 1_024
PORTS_MAX = 64
DISK_MIN = 8.0
PRICE_MIN, PRICE_MAX = 0.001, 128.0
RUNTYPES = frozenset(
    [
        "args",
        "ssh",
        "ssh_proxy",
        "ssh_direct",
        "ssh_direc",
        "jupyter",
        "jupyter_proxy",
        "jupyter_direct",
        "jupyter_direc",
        "vm",
    ]
)


@dataclass(frozen=True)
class Order:
    """A create that makes sense."""

    image: str
    disk: float
    price: float | None
    env: list[tuple[str, str]] = field(default_factory=list)
    label: str | None = None
    runtype: str = "ssh_proxy"
    onstart: str | None = None
    args: list[str] = field(default_factory=list)
    cancel_unavail: bool | None = None
    target_state: str = "running"
    vm: bool = False
    template: dict[str, Any] | None = None


def read(
    body: Mapping[str, Any], template: dict[str, Any] | None, ask_id: int | None = None
) -> Order:
    """Read a create's body.

    Parameters
    ----------
    body : mapping
        What was sent. Its values win over the template's.
    template : dict or None
        The template it names.
    ask_id : int, optional
        Repeated in refusals.

    Raises
    ------
    Failure
        A 400, in the service's words.
    """

    def wrong(text: str, error: str = "invalid_args", code: int = 3467) -> Failure:
        more = {} if ask_id is None else {"ask_id": ask_id}
        return Failure(400, error, f"error 400/{code}: Invalid args: {text}", **more)

    template = template or {}
    image = body.get("image") or template.get("image")
    if not isinstance(image, str) or not image.strip():
        raise wrong("'image' is required")
    if len(image) > IMAGE_MAX:
        raise wrong(f"'image' must be at most {IMAGE_MAX} characters")
    disk = body.get("disk", template.get("recommended_disk_space") or 10)
    if isinstance(disk, bool) or not isinstance(disk, (int, float)) or not disk >= DISK_MIN:
        raise wrong(f"'disk' must be a number >= {DISK_MIN:g}")
    price = body.get("price")
    if price is not None:
        if isinstance(price, bool) or not isinstance(price, (int, float)):
            raise wrong("'price' must be a number", "invalid_price", 3478)
        if not PRICE_MIN <= price <= PRICE_MAX:
            raise wrong(
                f"Please set a bid price between {PRICE_MIN} and {PRICE_MAX:g}.",
                "invalid_price",
                3478,
            )
    label = body.get("label")
    if label is not None and (not isinstance(label, str) or len(label) > LABEL_MAX):
        raise wrong(f"'label' must be text of at most {LABEL_MAX} characters")
    env = _env(template.get("env"), wrong)
    for name, value in _env(body.get("env"), wrong):
        env = [pair for pair in env if pair[0] != name] + [(name, value)]
    if sum(len(name) + len(value) for name, value in env) > ENV_MAX:
        raise wrong(f"'env' is longer than {ENV_MAX} characters")
    if sum(name.startswith("-p ") for name, _ in env) > PORTS_MAX:
        raise wrong(f"'env' opens more than {PORTS_MAX} ports")
    onstart = body.get("onstart") or template.get("onstart")
    if onstart is not None and not isinstance(onstart, str):
        raise wrong("'onstart' must be text")
    args = body.get("args") or []
    if isinstance(args, str):
        args = shlex.split(args)
    if not isinstance(args, list):
        raise wrong("'args' must be a list")
    if len(onstart or "") + sum(len(str(a)) for a in args) > SCRIPT_MAX:
        raise wrong(f"'onstart' and 'args' must be at most {SCRIPT_MAX} characters together")
    runtype = body.get("runtype") or template.get("runtype") or ("args" if args else "ssh_proxy")
    if not isinstance(runtype, str) or not set(runtype.split()) <= RUNTYPES:
        raise wrong(f"'runtype' must be made of {', '.join(sorted(RUNTYPES))}")
    target = body.get("target_state") or "running"
    if target not in ("running", "stopped"):
        raise wrong("'target_state' must be running or stopped")
    return Order(
        image=image.strip(),
        disk=float(disk),
        price=None if price is None else float(price),
        env=env,
        label=label or None,
        runtype=runtype,
        onstart=onstart,
        args=[str(a) for a in args],
        cancel_unavail=body.get("cancel_unavail"),
        target_state=target,
        vm=bool(body.get("vm")),
        template=template or None,
    )


def _env(value: Any, wrong: Any) -> list[tuple[str, str]]:
    """Read ``{"KEY": "v", "-p 80:80": "1"}``, or the same as docker's flags."""
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        return [(str(name), str(text)) for name, text in value.items()]
    if not isinstance(value, str):
        raise wrong("'env' must be an object")
    pairs: list[tuple[str, str]] = []
    words = iter(shlex.split(value))
    for word in words:
        rest = next(words, "")
        if word == "-e":
            name, _, text = rest.partition("=")
            pairs.append((name, text))
        elif word.startswith("-"):
            pairs.append((f"{word} {rest}".strip(), "1"))
        else:
            raise wrong("'env' holds something that is no docker flag")
    return pairs


__all__ = ["Order", "read"]
