"""How vastnb talks to the service: one table of endpoints, and a call that reads it.

`Transport.call` is the way in. Cache, pace and retry take everything they need to know about an
endpoint from `endpoints.ENDPOINTS`; no other room knows a path.

Small values are `NamedTuple`s: making a dataclass takes five times as long, and there are enough of
them to be felt in ``import vastnb``.
"""

from __future__ import annotations

import logging

logging.getLogger("vastnb").addHandler(logging.NullHandler())
