"""What the kernel's half of this widget says to people, in one place.

Text in braces is filled in where it is said; tests hold the two together.
"""

# bells
ENTER_A_PRICE = "Enter a price above 0. No alert was set."
LAST_HIT_AT = " at ${price:.3f}/h"
NO_ALERT_BECAUSE = "{error} No alert was set."

# clicks
OLD_CLICK = (
    "You clicked {age} ago, while the kernel was busy. Nothing was done; click again if you "
    "still want it."
)
CLICK_WITHOUT_TIME = "The time of this click is unknown. Nothing was done; click again."

# pace
CLIENT_CLOSED = (
    "The client is closed, so this is the last update. Machines keep running and billing."
)
LOOK_NOT_SHOWN = "This update could not be shown. {wrong}"
NO_THREAD = "No thread could be started: {error}."

# search
UNEXPECTED = "Unexpected error ({kind}: {error}). Please report it."
INVALID_QUERY = "Invalid query."
KEY_REJECTED = "Vast.ai rejected the API key."
QUOTA_USED_UP = "Today's row quota is used up."
RATE_LIMITED = "Rate limited by Vast.ai."
NOT_REACHED = "Vast.ai could not be reached."
SEARCH_FAILED = "The search failed."
UNEXPECTED_ERROR = "Unexpected error."
RESULTS_KEPT = "{error} Nothing was rented; earlier results are kept."
NO_ALERT_SET = "No alert was set."
