"""Filter, sort, plot and select offers; the rent form opens inside it."""

from vastnb.widgets.explorer.widget import Explorer, explore

__all__ = ["Explorer", "explore"]
