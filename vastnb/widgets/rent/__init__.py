"""From an offer to a machine, at the price that was confirmed."""

from vastnb.widgets.rent.widget import RentForm, rent_form

__all__ = ["RentForm", "rent_form"]
