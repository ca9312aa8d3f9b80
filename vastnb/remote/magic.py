"""``%%on box``: a cell that runs on a machine, with its outputs under the cell here."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any, NoReturn

from vastnb.errors import InvalidRequest
from vastnb.remote.copying import size_of
from vastnb.remote.kernel import RemoteKernel


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidRequest(f"%%on: {message}. {self.format_usage().strip()}")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not name.isidentifier():
            raise argparse.ArgumentTypeError(f"{name!r} is not a variable name")
    return names


def parser() -> argparse.ArgumentParser:
    """Return what reads the line of ``%%on``."""
    parse = _Parser(
        prog="%%on",
        description="Run the cell in an IPython kernel on a machine, or on all of a fleet.",
        add_help=False,
    )
    parse.add_argument("machine", help="an instance, a fleet or a kernel: a name, or an expression")
    parse.add_argument(
        "--push", type=_names, default=[], help="variables to copy to it first: x,df"
    )
    parse.add_argument("--pull", type=_names, default=[], help="variables to copy back afterwards")
    parse.add_argument("--kernel", default="default", help="which kernel on the machine")
    parse.add_argument("--python", default=None, help="path of the machine's Python")
    parse.add_argument(
        "--trust", action="store_true",
        help="trust the machine's host: show scripts in outputs, unpickle what is pulled",
    )  # fmt: skip
    return parse


def on(line: str, cell: str, namespace: dict[str, Any]) -> None:
    """Run a cell on a machine.

    Parameters
    ----------
    line : str
        What stands after ``%%on``.
    cell : str
        The cell.
    namespace : dict
        The variables here.
    """
    given = parser().parse_args(shlex.split(line))
    machine = _machine(given.machine, namespace)
    missing = [name for name in given.push if name not in namespace]
    if missing:
        raise InvalidRequest(f"%%on: there is no variable {', '.join(missing)} here to push.")
    values = {name: namespace[name] for name in given.push}
    if not isinstance(machine, RemoteKernel) and hasattr(machine, "ids"):
        if given.pull:
            raise InvalidRequest(
                "%%on: --pull is for one machine: each of a fleet has its own values. "
                "[box.kernel().pull(['x'])[0]['x'] for box in fleet] has them all."
            )
        from vastnb.remote.fleet import cell_on

        cell_on(
            machine, cell, kernel=given.kernel, trust=given.trust, push=values, python=given.python
        )
        return
    if isinstance(machine, RemoteKernel):
        kernel = machine.open()
    else:
        kernel = machine.kernel(given.kernel, python=given.python, trust=given.trust)
    if values:
        _say(f"Pushed {', '.join(values)}: {size_of(kernel.push(values))}.")
    kernel.execute(cell)
    if given.pull:
        found, size = kernel.pull(given.pull)
        namespace.update(found)
        _say(f"Pulled {', '.join(found)}: {size_of(size)}.")


def _machine(text: str, namespace: dict[str, Any]) -> Any:
    try:
        machine = eval(text, namespace)
    except Exception as error:
        raise InvalidRequest(
            f"%%on: {text!r} is not a machine ({type(error).__name__}: {error}). Rent one: box = "
            "client.rent(...)."
        ) from error
    if isinstance(machine, RemoteKernel) or hasattr(machine, "kernel") or hasattr(machine, "ids"):
        return machine
    raise InvalidRequest(f"%%on: {text!r} is a {type(machine).__name__}, not a machine.")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def register(shell: Any) -> None:
    """Give IPython the magic."""

    def run_on(line: str, cell: str) -> None:
        on(line, cell, shell.user_ns)

    run_on.__doc__ = parser().format_help()
    shell.register_magic_function(run_on, magic_kind="cell", magic_name="on")


__all__ = ["on", "parser", "register"]
