"""Kernels on machines in Jupyter's list: they leave it when their machine is destroyed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vastnb.api.files import data_dir
from vastnb.api.text import plain
from vastnb.fleet.costs import dph_now
from vastnb.remote.ssh import Target

if TYPE_CHECKING:
    from vastnb.remote.machine import Machine

PROVISIONER = "vastnb-machine"


def install(instance: Machine, *, name: str = "notebook", python: str | None = None) -> str:
    """Put a kernel into the list; see `vastnb.remote.verbs.OnMachine.install_kernel`."""
    from jupyter_core.paths import jupyter_data_dir

    from vastnb.remote.box import Places, kernel_of

    # Whether a kernel starts there, and whether ipykernel has to be installed, is known now.
    kernel_of(instance, f"{name}-test", python=python).shutdown()
    targets = Places(instance).targets()
    record = instance._record or {}
    shown = title(record)
    place = Path(jupyter_data_dir()) / "kernels" / f"vast-{instance.id}"
    place.mkdir(parents=True, exist_ok=True)
    spec = {
        # Where there is no provisioner (another environment), this says what is missing.
        "argv": [sys.executable, "-m", "vastnb.remote.provisioner", "{connection_file}"],
        "display_name": shown,
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {
            "kernel_provisioner": {
                "provisioner_name": PROVISIONER,
                "config": {
                    "instance_id": instance.id,
                    "targets": [as_json(one) for one in targets],
                    "kernel": name,
                    "python": python,
                },
            }
        },
    }
    (place / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")
    kept = data_dir() / "machines" / str(instance.id)
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    (kept / "kernelspec").write_text(str(place), encoding="utf-8")
    sys.stdout.write(
        f"“{shown}” is in Jupyter's list of kernels until box.destroy(). Its outputs are not "
        "filtered: the machine's host could run scripts in this page, which %%on prevents.\n"
    )
    return shown


def uninstall(number: int) -> None:
    """Take a machine's kernel out of the list, if it is in it."""
    noted = data_dir() / "machines" / str(number) / "kernelspec"
    if noted.is_file():
        place = Path(noted.read_text(encoding="utf-8").strip())
        if place.name == f"vast-{number}":
            shutil.rmtree(place, ignore_errors=True)
        noted.unlink(missing_ok=True)


def title(record: Any) -> str:
    """Return what the list shows: the GPU and the price."""
    name = plain(record.get("gpu_name") or "machine", 40)
    count = record.get("num_gpus")
    name = f"{count}x {name}" if isinstance(count, int) and count > 1 else name
    price = dph_now(record)
    return f"vast: {name}" + ("" if price is None else f", ${price:.2f}/h")


def as_json(target: Target) -> dict[str, Any]:
    """Return a target as JSON."""
    return {
        "host": target.host,
        "port": target.port,
        "alias": target.alias,
        "known_hosts": str(target.known_hosts),
        "user": target.user,
        "key_file": None if target.key_file is None else str(target.key_file),
    }


def from_json(told: dict[str, Any]) -> Target:
    """Return the target that `as_json` wrote."""
    key_file = told.get("key_file")
    return Target(
        str(told["host"]), int(told["port"]), str(told["alias"]), Path(told["known_hosts"]),
        str(told.get("user") or "root"), Path(key_file) if key_file else None,
    )  # fmt: skip


__all__ = ["PROVISIONER", "as_json", "from_json", "install", "title", "uninstall"]
