"""Warnings that never stand between a user and a machine that bills.

With ``-W error`` a warning is raised where it is given. After a create, the handle of a machine
would be lost with it; here it is written to the standard error then.
"""

from __future__ import annotations

import sys
import warnings


def warn(text: str, *, stacklevel: int = 2) -> None:
    """Warn; raise nothing."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=stacklevel + 1)
    except RuntimeWarning:
        sys.stderr.write(f"vastnb: {text}\n")
