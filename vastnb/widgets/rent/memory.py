"""The last image, disk and run type of a rent form, for the next one. Never a secret.

A small JSON file in the data directory; for a simulated market the memory of this kernel, as such
a market leaves nothing behind. What is read back is checked like anything that is typed, and what
does not pass, or cannot be read or written, is as if it had never been kept.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vastnb.api.files import data_dir, private_file
from vastnb.errors import InvalidRequest
from vastnb.widgets.rent.plan import RentPlan, read

if TYPE_CHECKING:
    from vastnb.client import Client

FILE: Final = "rent_form.json"
KEPT: Final = ("image", "template_hash", "template", "disk", "runtype")

_simulated: dict[str, dict[str, Any]] = {}


def remembered(client: Client, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the last rent of this form's kind said, without what is given now.

    Parameters
    ----------
    client : Client
        Who rents.
    given : mapping
        What the user has said: an image takes the place of a template, and the other way round.
    """
    kept = dict(_simulated.get(client.base_url, {})) if client.simulated else _read()
    if given.get("image") or given.get("template_hash"):
        kept = {name: kept[name] for name in ("disk",) if name in kept}
    known: dict[str, Any] = {}
    for name in KEPT:
        if name in kept and name not in given:
            with contextlib.suppress(InvalidRequest):
                known[name] = read(name, kept[name])
    return known


def remember(client: Client, plan: RentPlan) -> None:
    """Keep what was rented with, for the next form."""
    kept = {name: getattr(plan, name) for name in KEPT}
    if client.simulated:
        _simulated[client.base_url] = kept
        return
    with contextlib.suppress(OSError):
        path = data_dir() / FILE
        new = path.with_suffix(f".{os.getpid()}")
        private_file(new)
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.replace(path)


def _read() -> dict[str, Any]:
    try:
        kept = json.loads((data_dir() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
