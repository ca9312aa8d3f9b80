"""A simulated Vast: a real HTTP server on this machine that answers as the service does.

It is the demo, the test double and the training ground: the same calls, limits, prices that
move, machines that fail and answers that get lost. Nothing in it costs money, and everything it
sends says that it is simulated.
"""

from __future__ import annotations

from vastnb.sim.accounts import Account
from vastnb.sim.faults import Fault, FaultPlan
from vastnb.sim.instances.instance import Instance
from vastnb.sim.limits import Limits, Rule
from vastnb.sim.server import Server
from vastnb.sim.world import World

__all__ = ["Account", "Fault", "FaultPlan", "Instance", "Limits", "Rule", "Server", "World"]
