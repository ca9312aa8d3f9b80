"""What the kernel's half of this widget says to people, in one place.

Text in braces is filled in where it is said; tests hold the two together.
"""

# drawer
RESERVED_ARE_PREPAID = (
    "Reserved offers are prepaid for a fixed time in the Vast.ai console. Nothing was rented. To "
    "pay by the hour, choose On-demand or Bid."
)

# filters
BAD_FILTER = (
    "The filter {name}={value!r} must be {needed}. Nothing was searched; earlier results are kept."
)
NO_SUCH_FILTER = "The explorer has no filter {unknown!r}; nothing was searched. Available: {names}."
A_LIST_OF_NAMES = "a list of names"
TRUE_OR_FALSE = "True or False"
ZERO_OR_MORE = "0 or more"
WHOLE_NUMBER = "a whole number from 1"

# view
CAPTION = "{count:,} GPU offers from {what}"
NO_OFFERS_MATCH = "No offers match"
NONE_PASSES = "No offer in this result passes all filters."
THE_WHOLE_MARKET = "the whole market"
SEARCHING = "Searching"
NONE_PASSES_YET = "No loaded offer passes the filters; asking Vast.ai."
COPY_NOTE = "{problem}As it was when the cell ran. Run the cell for the explorer. As code:"
NO_OFFERS_YET = "No offers yet"
SEARCH_FAILED = "The search failed; the message below says why."
NO_SUCH_OFFER = "Vast.ai has no matching offer at the moment."

# widget
MARIMO_OPENS_NO_FORM = "marimo opens no form from a click."
RUN_IN_A_CELL = "Run this in a cell:\n{code}"
CANNOT_BE_RENTED = "This cannot be rented here."
