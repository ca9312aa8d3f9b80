"""The packages that the history needs, and the word that says so where they are missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

NEEDED: Final = {"pyarrow": "writes", "duckdb": "asks"}


def missing() -> list[str]:
    """Return the packages that are not installed."""
    return [name for name in NEEDED if not _there(name)]


def need(*names: str) -> None:
    """Refuse, in clear words, what cannot be done without some packages.

    Raises
    ------
    ImportError
        If one of `names` (by default all) is not installed.
    """
    lacking = [name for name in missing() if not names or name in names]
    if lacking:
        what = " and ".join(f"{name} (which {NEEDED[name]} its files)" for name in lacking)
        raise ImportError(
            f"The price history needs {what}: pip install 'vastnb[history]'. Everything else "
            "works without; searches are not recorded."
        )


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


__all__ = ["NEEDED", "missing", "need"]
