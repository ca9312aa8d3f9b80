"""Values on their way between this kernel and one on a machine, in formats that run no code.

Numbers, text, lists and dicts travel as JSON, arrays as NumPy's ``.npy``, frames as Arrow; only
what nothing else can carry is pickled, and only if the caller allows it: whoever unpickles runs
what the sender put there. This file is also sent to the machine as it is and runs there, on the
Python that the image has (3.8 and later): it imports nothing of vastnb, and needs no more than the
standard library.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import pickle
import sys
from typing import Any

MAGIC = b"vastnb values 1\n"


class Unsafe(Exception):
    """Only pickle can carry a value, and it is not allowed."""


def dump(values: dict[str, Any], path: str, allow_pickle: bool) -> dict[str, Any]:
    """Write values to a file that only its owner can read; return what they are and their size."""
    parts: list[bytes] = []
    nodes = {name: _node(value, name, parts, allow_pickle) for name, value in values.items()}
    kinds = {name: _kind(value) for name, value in values.items()}
    head = json.dumps({"values": nodes, "sizes": [len(part) for part in parts]}).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(MAGIC + b"%d\n" % len(head) + head)
        for part in parts:
            file.write(part)
        return {"kinds": kinds, "bytes": file.tell()}


def load(path: str, allow_pickle: bool) -> dict[str, Any]:
    """Read values from a file, and delete it."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            if file.readline(64) != MAGIC:
                raise ValueError("not a file of values")
            head = json.loads(file.read(int(file.readline(32))))
            parts = [file.read(size) for size in head["sizes"]]
        if [len(part) for part in parts] != head["sizes"]:
            raise ValueError("the file of values is cut short")
        return {name: _value(node, parts, allow_pickle) for name, node in head["values"].items()}
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108


def pull(names: list[str], namespace: dict[str, Any], path: str, allow_pickle: bool) -> str:
    """On the machine: write the values of variables; return, as JSON, what happened."""
    missing = [name for name in names if name not in namespace]
    if missing:
        return json.dumps({"missing": missing})
    try:
        return json.dumps(dump({name: namespace[name] for name in names}, path, allow_pickle))
    except Unsafe as unsafe:
        return json.dumps({"unsafe": str(unsafe)})


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _is(value: Any, module: str, name: str) -> bool:
    """Say whether a value is of a class of a module that need not be there."""
    found = sys.modules.get(module)
    return found is not None and isinstance(value, getattr(found, name, ()))


def _part(data: Any, parts: list[bytes]) -> int:
    parts.append(bytes(data))
    return len(parts) - 1


def _npy(array: Any, parts: list[bytes]) -> int:
    import numpy

    buffer = io.BytesIO()
    numpy.save(buffer, array, allow_pickle=False)
    return _part(buffer.getbuffer(), parts)


def _node(value: Any, where: str, parts: list[bytes], allow_pickle: bool) -> list[Any]:
    def inner(value: Any, step: Any) -> list[Any]:
        return _node(value, f"{where}[{step!r}]", parts, allow_pickle)

    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return ["json", value]
    if kind in (bytes, bytearray):
        return [kind.__name__, _part(value, parts)]
    if kind in (list, tuple, set, frozenset):
        return [kind.__name__, [inner(one, number) for number, one in enumerate(value)]]
    if kind is dict or kind.__name__ in ("OrderedDict", "defaultdict"):
        return ["dict", [[inner(key, key), inner(one, key)] for key, one in value.items()]]
    if kind is complex:
        return ["complex", [value.real, value.imag]]
    if kind in (datetime.datetime, datetime.date):
        return [kind.__name__, value.isoformat()]
    if _is(value, "pandas", "DataFrame"):
        return ["frame", _frame(value, where, parts, allow_pickle)]
    if _is(value, "pandas", "Series"):
        name = inner(value.name, "name")
        return ["series", [_frame(value.to_frame("0"), where, parts, allow_pickle), name]]
    if _is(value, "numpy", "ndarray") and kind.__name__ == "ndarray" and not value.dtype.hasobject:
        return ["npy", _npy(value, parts)]
    if _is(value, "numpy", "generic") and not value.dtype.hasobject:
        return ["npy0", _npy(value, parts)]
    if allow_pickle:
        return ["pickle", _part(_pickled(value), parts)]
    if _is(value, "torch", "Tensor"):
        plain = value.detach().cpu()
        if str(plain.dtype) == "torch.bfloat16":
            plain = plain.float()
        return ["npy", _npy(plain.numpy(), parts)]
    raise Unsafe(f"{where} is a {_kind(value)}")


def _pickled(value: Any) -> bytes:
    try:
        import cloudpickle  # carries functions and classes of a notebook
    except ImportError:
        return pickle.dumps(value, protocol=4)
    return bytes(cloudpickle.dumps(value, protocol=4))


def _frame(frame: Any, where: str, parts: list[bytes], allow_pickle: bool) -> list[Any]:
    with contextlib.suppress(Exception):  # no pyarrow, or a column that it cannot carry
        import pyarrow

        table = pyarrow.Table.from_pandas(frame)
        sink = io.BytesIO()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return ["arrow", _part(sink.getbuffer(), parts)]

    def column(values: Any) -> list[Any]:
        plain = values.to_numpy()
        plain = plain.tolist() if plain.dtype.hasobject else plain
        return [_node(plain, where, parts, allow_pickle), str(values.dtype)]

    columns = [column(frame.iloc[:, at]) for at in range(frame.shape[1])]
    names = _node(list(frame.columns), where, parts, allow_pickle)
    return ["columns", [names, columns, column(frame.index.to_series())]]


def _value(node: Any, parts: list[bytes], allow_pickle: bool) -> Any:
    kind, what = node

    def inner(node: Any) -> Any:
        return _value(node, parts, allow_pickle)

    if kind == "json":
        return what
    if kind in ("bytes", "bytearray"):
        return {"bytes": bytes, "bytearray": bytearray}[kind](parts[what])
    if kind in ("list", "tuple", "set", "frozenset"):
        made = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
        return made(inner(one) for one in what)
    if kind == "dict":
        return {inner(key): inner(one) for key, one in what}
    if kind == "complex":
        return complex(*what)
    if kind in ("datetime", "date"):
        return getattr(datetime, kind).fromisoformat(what)
    if kind in ("npy", "npy0"):
        import numpy

        array = numpy.load(io.BytesIO(parts[what]), allow_pickle=False)
        return array[()] if kind == "npy0" else array
    if kind == "frame":
        return _frame_of(what, parts, allow_pickle)
    if kind == "series":
        series = _frame_of(what[0], parts, allow_pickle)["0"]
        return series.rename(inner(what[1]))
    if kind == "pickle" and allow_pickle:
        return pickle.loads(parts[what])
    raise Unsafe(f"a value comes as {kind!r}")


def _frame_of(node: Any, parts: list[bytes], allow_pickle: bool) -> Any:
    kind, what = node
    if kind == "arrow":
        import pyarrow

        with pyarrow.ipc.open_stream(io.BytesIO(parts[what])) as reader:
            return reader.read_all().to_pandas()
    import pandas

    def column(pair: Any) -> Any:
        values = pandas.Series(_value(pair[0], parts, allow_pickle))
        with contextlib.suppress(Exception):  # a type that this pandas does not have
            return values.astype(pair[1])
        return values

    names, columns, index = what
    frame = pandas.DataFrame({at: column(pair) for at, pair in enumerate(columns)})
    frame.columns = pandas.Index(_value(names, parts, allow_pickle))
    frame.index = pandas.Index(column(index))
    return frame
