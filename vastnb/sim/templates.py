"""Templates: ready-made settings for an instance. A few public ones, and those that users add."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from vastnb.sim.payload_texts import payload

_PUBLIC = (
    ("PyTorch (simulated)", "pytorch/pytorch", "2.5.1-cuda12.4-cudnn9-devel", "jupyter", 32),
    ("Base image (simulated)", "vastai/base-image", "cuda-12.4.1-cudnn-devel", "ssh", 16),
    ("CUDA (simulated)", "nvidia/cuda", "12.4.1-devel-ubuntu22.04", "ssh", 16),
    ("TensorFlow (simulated)", "tensorflow/tensorflow", "2.18.0-gpu-jupyter", "jupyter", 32),
    ("Text generation (simulated)", "vastai/vllm", "v0.9.1", "args", 64),
    ("Whisper (simulated)", "vastai/whisper", "latest", "args", 24),
)
PRIVATE_FIELDS = ("private", "creator_id")


def public(start: float, *, payloads: bool) -> list[dict[str, Any]]:
    """Return the public templates.

    Parameters
    ----------
    start : float
        World time, epoch seconds.
    payloads : bool
        Whether their names and descriptions carry mischief.
    """
    rows = []
    for number, (name, image, tag, runtype, disk) in enumerate(_PUBLIC):
        fields = {"name": name, "image": image, "tag": tag, "runtype": runtype}
        if payloads:
            fields["name"] = f"{name} {payload(number)}"
        row = make(
            {**fields, "recommended_disk_space": disk, "private": False, "desc": name},
            number=2000 + number,
            creator=1,
            now=start - 86_400.0 * (number + 1),
        )
        row.update(recommended=True, count_created=50_000 // (number + 1))
        rows.append(row)
    return rows


def make(fields: Mapping[str, Any], *, number: int, creator: int, now: float) -> dict[str, Any]:
    """Make a template's record; its hash follows from its content.

    Parameters
    ----------
    fields : mapping
        What was sent.
    number, creator : int
        Its id, and the user's.
    now : float
        World time, epoch seconds.
    """
    image = str(fields.get("image") or "")
    tag = fields.get("tag")
    text = json.dumps({k: v for k, v in fields.items() if k != "id"}, sort_keys=True, default=str)
    runtype = str(fields.get("runtype") or "args")
    return {
        "id": number,
        "hash_id": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "creator_id": creator,
        "created_at": now,
        "recent_create_date": now,
        "count_created": 0,
        "name": fields.get("name"),
        "image": f"{image}:{tag}" if tag and ":" not in image else image,
        "tag": tag,
        "href": fields.get("href"),
        "repo": fields.get("repo"),
        "env": fields.get("env") or "",
        "onstart": fields.get("onstart") or "",
        "runtype": runtype,
        "use_ssh": bool(fields.get("use_ssh", runtype != "args")),
        "ssh_direct": bool(fields.get("ssh_direct", False)),
        "jup_direct": bool(fields.get("jup_direct", False)),
        "use_jupyter_lab": bool(fields.get("use_jupyter_lab", False)),
        "jupyter_dir": fields.get("jupyter_dir"),
        "docker_login_repo": fields.get("docker_login_repo"),
        "extra_filters": fields.get("extra_filters") or {},
        "recommended_disk_space": fields.get("recommended_disk_space"),
        "readme": fields.get("readme"),
        "readme_visible": bool(fields.get("readme_visible", True)),
        "desc": fields.get("desc"),
        "private": bool(fields.get("private", True)),
        "recommended": False,
        "simulated": True,
    }


def visible(rows: Sequence[dict[str, Any]], user_id: int | None) -> list[dict[str, Any]]:
    """Return the templates that a user may see: the public ones and the user's own."""
    return [row for row in rows if not row["private"] or row["creator_id"] == user_id]


__all__ = ["make", "public", "visible"]
