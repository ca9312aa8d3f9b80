"""The form as a line of code, without a secret in it.

Values of the environment become ``os.environ["NAME"]``, a start script is read from a file: what
was typed stays in the kernel. Flags such as ``-p 8000:8000`` are no secrets and are written out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vastnb.widgets.rent.plan import RentPlan

SCRIPT: Final = "onstart.sh"
_WIDTH: Final = 88


def code_of(plan: RentPlan, ids: Sequence[int], max_dph: float | None) -> str:
    """Return the code that rents what the form would rent.

    Parameters
    ----------
    plan : RentPlan
        What is wanted.
    ids : sequence of int
        The candidates, in order.
    max_dph : float or None
        The price that would be confirmed, $/h.
    """
    given = plan.arguments()
    imports: list[str] = []
    parts = [str(list(ids)) if len(ids) != 1 else str(ids[0])]
    order = ("count", "image", "template_hash", "disk")
    parts += [f"{name}={_value(given.pop(name))}" for name in order if name in given]
    if max_dph is not None:
        parts.append(f"max_dph={max_dph!r}")
    env = given.pop("env", None)
    script = given.pop("onstart", None)
    parts += [f"{name}={_value(value)}" for name, value in given.items()]
    if env:
        if any(not name.startswith("-") for name in env):
            imports.append("import os")
        parts.append(f"env={_environment(env)}")
    if script:
        imports.append("from pathlib import Path")
        parts.append(f'onstart=Path("{SCRIPT}").read_text()')
    line = f"box = client.rent({', '.join(parts)})"
    if len(line) > _WIDTH:
        line = "box = client.rent(\n" + "".join(f"    {part},\n" for part in parts) + ")"
    return "\n".join([*imports, line])


def _environment(env: Mapping[str, str]) -> str:
    pairs = [
        f"{_quoted(name)}: "
        + (_quoted(value) if name.startswith("-") else f"os.environ[{_quoted(name)}]")
        for name, value in env.items()
    ]
    return "{" + ", ".join(pairs) + "}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(value)


def _quoted(text: str) -> str:
    plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else repr(text)
