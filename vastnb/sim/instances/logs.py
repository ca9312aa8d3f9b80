"""What an instance logs: its container's lines, and those of the host's daemon."""

from __future__ import annotations

from dataclasses import dataclass

from vastnb.sim.instances.instance import Instance


@dataclass(frozen=True)
class LogFile:
    """A file of logs that was asked for."""

    text: str
    there_at: float
    """Wall clock, epoch seconds."""


def lines_of(instance: Instance, elapsed: float, *, daemon: bool = False) -> list[str]:
    """Return the log of an instance, or its host's log about it, at a moment."""
    return _daemon(instance) if daemon else _container(instance, elapsed)


def _container(instance: Instance, elapsed: float) -> list[str]:
    lines = [f"# simulated log of instance {instance.id} ({instance.image})"]
    if instance.running_since is None:
        return [*lines, "simulated: waiting for the container"]
    lines += [
        "simulated sshd: Server listening on 0.0.0.0 port 22.",
        f"simulated onstart: {instance.onstart}",
    ]
    up = elapsed - instance.running_since
    steps = min(400, int(up // 30))
    lines += [f"simulated step {n * 50:>6}  loss {2.5 / (1 + n) ** 0.3:.4f}" for n in range(steps)]
    return lines


def _daemon(instance: Instance) -> list[str]:
    return [
        f"# simulated daemon log of machine {instance.offer.get('machine_id')}",
        f"simulated: create container C.{instance.id}",
        f"simulated: {instance.status_msg or 'no status yet'}".rstrip(),
    ]


__all__ = ["LogFile", "lines_of"]
