"""What the kernel's half of this widget says to people, in one place.

Text in braces is filled in where it is said; tests hold the two together.
"""

# saved
SIMULATED_MARKET = "SIMULATED MARKET: "
MORE_ROWS = "{left:,} more rows are not part of this copy. "

# widget
RUN_FOR_ALL = "Run the cell for the whole table."
