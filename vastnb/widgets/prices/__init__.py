"""What GPUs cost, in four linked charts."""

from vastnb.widgets.prices.widget import Prices, prices

__all__ = ["Prices", "prices"]
