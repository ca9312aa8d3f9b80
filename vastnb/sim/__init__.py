"""A simulated Vast: a real HTTP server on this machine that answers as the service does.

It is the demo, the test double and the training ground: the same calls, limits, prices that
move, machines that fail and answers that get lost. Nothing in it costs money, and everything it
sends says that it is simulated.
"""

from __future__ import annotations

from .accounts import Account
from .faults import Fault, FaultPlan
from .instances import Instance
from .limits import Limits, Rule
from .server import Server
from .world import World

__all__ = ["Account", "Fault", "FaultPlan", "Instance", "Limits", "Rule", "Server", "World"]
