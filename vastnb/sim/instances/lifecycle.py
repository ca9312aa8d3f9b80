"""What becomes of an instance: the ways a start can go, as plans.

A plan is a list of steps, each some seconds after the start, each changing what the service
shows or what is true. Making a plan is pure; `vastnb.sim.instances.fleet` lives through it.

The durations are those of recorded instances: a cached image is up in about half a minute, a pull
takes from half a minute to eight minutes and at worst hours, a bad image keeps loading and is
given up after about seven minutes, a broken container runtime shows within seconds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Fate = Literal[
    "cached",
    "pull",
    "slow",
    "stuck",
    "bad-image",
    "runtime-error",
    "outbid-loading",
    "outbid-running",
    "offline",
    "offline-for-good",
    "stale",
    "unreachable",
    "lagging",
    "resurrects",
]
"""How an instance fares once it was created.

``cached`` and ``pull`` come up; ``slow`` does after hours; ``stuck`` loads for ever. ``bad-image``
and ``runtime-error`` fail. ``outbid-*`` befall interruptible instances. The host of ``offline``
is away for a while, of ``offline-for-good`` for ever, and of ``stale`` too, but it is still shown
as running. ``unreachable`` runs and cannot be logged in to. ``lagging`` shows everything late.
``resurrects`` comes back once after it was destroyed.
"""

Refusal = Literal["gone", "forbidden", "no-credit", "spend-limit", "created-stopped"]
"""How a create can be answered instead: the offer is gone, not yours, unaffordable, more than a
limit on spending lets through; or a stopped instance is made that bills its disk."""

FATES: tuple[Fate, ...] = get_args(Fate)
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)

TROUBLES: tuple[tuple[Fate, float], ...] = (
    ("unreachable", 4.0),
    ("runtime-error", 3.0),
    ("bad-image", 1.0),
    ("slow", 2.0),
    ("stuck", 1.0),
    ("offline", 1.5),
    ("offline-for-good", 0.7),
    ("stale", 1.0),
    ("lagging", 1.0),
    ("resurrects", 0.5),
)
"""What may go wrong by itself, and how often compared with the others."""

CACHED_IMAGES = ("vastai/", "pytorch/pytorch", "nvidia/cuda", "ubuntu", "tensorflow/tensorflow")

REGISTRY_TROUBLE = (
    'Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: request '
    "canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"
)
RUNTIME_ERRORS = (
    "Error response from daemon: unknown or invalid runtime name: nvidia",
    "Error response from daemon: failed to create task for container: failed to create shim task: "
    "OCI runtime create failed: could not apply required modification to OCI specification",
    "Error response from daemon: --storage-opt is supported only for overlay over xfs with "
    "'pquota' mount option",
)


@dataclass(frozen=True)
class Step:
    """A change, some seconds after a start.

    Parameters
    ----------
    after : float
        Seconds.
    change : dict
        Attributes of the instance and their new values.
    event : str, optional
        Something that takes more than setting attributes: ``"outbid"``, ``"give-up"``,
        ``"resurrect"``.
    """

    after: float
    change: dict[str, Any] = field(default_factory=dict)
    event: str | None = None


def choose(rng: random.Random, image: str, *, trouble: float, planned: Sequence[str] = ()) -> Fate:
    """Choose the fate of a new instance.

    Parameters
    ----------
    rng : random.Random
        What chance is drawn from.
    image : str
        A name with ``does-not-exist`` or ``bad-image`` in it fails like a misspelt one.
    trouble : float
        Share of instances that come to grief.
    planned : sequence of str
        A fate that was asked for, if any; it wins.
    """
    for fate in planned:
        if fate in FATES:
            return fate
    if "does-not-exist" in image or "bad-image" in image or "nonexistent" in image:
        return "bad-image"
    if rng.random() < trouble:
        names = [name for name, _ in TROUBLES]
        return rng.choices(names, [weight for _, weight in TROUBLES])[0]
    likely_cached = image.startswith(CACHED_IMAGES)
    return "cached" if rng.random() < (0.6 if likely_cached else 0.15) else "pull"


def plan(
    fate: Fate,
    rng: random.Random,
    *,
    image: str,
    runtype: str,
    again: bool = False,
    error_text: str | None = None,
) -> list[Step]:
    """Plan a start.

    Parameters
    ----------
    fate : str
        How it goes.
    rng : random.Random
        For the durations.
    image, runtype : str
        They appear in the status message.
    again : bool
        Whether the image is on the machine already (a restart).
    error_text : str, optional
        Replaces the words of an error message.
    """
    if again and fate in ("pull", "slow", "bad-image", "runtime-error", "stuck", "outbid-loading"):
        fate = "cached"
    first = rng.uniform(1.5, 5.0)
    steps = [Step(first, {"actual": "created"})] if rng.random() < 0.5 or again else []
    loading = first + rng.uniform(1.0, 4.0)
    if fate == "runtime-error":
        message = error_text or rng.choice(RUNTIME_ERRORS)
        return [
            Step(first, {"actual": "created"}),
            Step(
                first + rng.uniform(1.0, 6.0),
                {"status_msg": message},
                event="give-up",
            ),
        ]
    steps.append(Step(loading, {"actual": "loading", "status_msg": _pulling(image)}))
    if fate == "bad-image":
        message = error_text or (
            f"Error response from daemon: pull access denied for {_repository(image)}, "
            "repository does not exist or may require 'docker login'"
        )
        steps.append(Step(loading + rng.uniform(3.0, 9.0), {"status_msg": message}))
        steps.append(Step(rng.uniform(390.0, 450.0), {"status_msg": message}, event="give-up"))
        return steps
    if fate == "stuck":
        steps += _layers(rng, loading, loading + 240.0, share=0.6)
        return steps
    took = _pull_seconds(fate, rng, again=again)
    up = loading + took
    if not again and fate != "cached":
        steps.append(Step(loading, {"pull_rate": rng.uniform(3.0, 9.0) / took}))
        steps += _layers(rng, loading, up - 2.0, share=1.0)
        if fate == "slow":
            steps.append(Step(loading + took * 0.3, {"status_msg": REGISTRY_TROUBLE}))
    if fate == "outbid-loading":
        return [s for s in steps if s.after < up / 2] + [Step(up / 2, event="outbid")]
    late = rng.uniform(45.0, 90.0) if fate == "lagging" else 0.0
    steps.append(
        Step(up, {"container_up": True, "pull_rate": 0.0, "reachable": fate != "unreachable"})
    )
    steps.append(Step(up + late, {"actual": "running", "status_msg": _success(image, runtype)}))
    steps += _afterwards(fate, rng, up)
    return steps


def _afterwards(fate: Fate, rng: random.Random, up: float) -> list[Step]:
    """Return what happens to an instance that came up."""
    if fate == "outbid-running":
        return [Step(up + rng.uniform(300.0, 1800.0), event="outbid")]
    if fate in ("offline", "offline-for-good"):
        away = up + rng.uniform(300.0, 2400.0)
        steps = [Step(away, {"actual": "offline", "container_up": False, "reachable": False})]
        if fate == "offline":
            back = away + rng.uniform(240.0, 3000.0)
            steps.append(Step(back, {"actual": "running", "container_up": True, "reachable": True}))
        return steps
    if fate == "stale":
        away = up + rng.uniform(300.0, 2400.0)
        return [Step(away, {"container_up": False, "reachable": False})]
    return []


def _pull_seconds(fate: Fate, rng: random.Random, *, again: bool) -> float:
    if fate == "slow":
        return rng.uniform(3600.0, 10_200.0)
    if fate == "cached" or again:
        return rng.uniform(14.0, 30.0)
    return min(470.0, max(24.0, rng.lognormvariate(4.6, 0.7)))


def _layers(rng: random.Random, begin: float, end: float, *, share: float) -> list[Step]:
    """Return the layers of an image that complete between two moments."""
    layers = rng.randint(6, 14)
    shown = max(1, int(layers * share))
    steps = []
    for number in range(shown):
        when = begin + (end - begin) * (number + 1) / (layers + 1)
        digest = f"{rng.getrandbits(48):012x}"
        word = rng.choice(("Pull complete", "Download complete", "Verifying Checksum"))
        steps.append(Step(when, {"status_msg": f"{digest}: {word}\n"}))
    return steps


def _repository(image: str) -> str:
    return image.rsplit(":", 1)[0]


def _pulling(image: str) -> str:
    tag = image.rsplit(":", 1)[1] if ":" in image else "latest"
    return f"{tag}: Pulling from {_repository(image)}\n"


def _success(image: str, runtype: str) -> str:
    way = "jupyter" if "jupyter" in runtype else ("args" if "args" in runtype else "ssh")
    return f"success, running {image.replace(':', '_')}/{way}"


__all__ = ["FATES", "REFUSALS", "TROUBLES", "Fate", "Refusal", "Step", "choose", "plan"]
