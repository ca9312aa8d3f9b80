"""The market: what may be asked of it, and what its answers mean.

Pure functions throughout: no network, no clock, no state. `query` turns text, keywords and
dicts into the JSON that is sent; `offers` turns the JSON that comes back into a frame whose
columns stand in `schema`; `local`, `cost` and `enumeration` work on either side of that.
"""
