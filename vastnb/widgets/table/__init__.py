"""Any frame as a table that scrolls, sorts and selects in the page."""

from vastnb.widgets.table.widget import OfferTable

__all__ = ["OfferTable"]
