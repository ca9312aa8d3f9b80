"""The market: what may be asked of it, and what its answers mean.

Pure functions: no network, no clock, no state; only `search` and `history` do something. Rooms
stand on each other in this order: `tables` (columns, fields, GPU names), `query` (text to the JSON
that is sent), `frames` (the JSON that comes back to a frame), `money` (what it costs, what is worth
it), then `search` and `accessor`, and `history` on top.
"""
