"""Your machines, what they cost, and what can be done with them."""

from vastnb.widgets.monitor.widget import Monitor, monitor

__all__ = ["Monitor", "monitor"]
