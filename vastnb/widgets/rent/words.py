"""What the kernel's half of this widget says to people, in one place.

Text in braces is filled in where it is said; tests hold the two together.
"""

# model
TAKEN_OVER = "This rental began before the cell was run again. It continues here."
TOO_FEW_BELOW_THE_HIGHEST_PRICE = (
    "{few} of {offers} offers at ${max_dph:.4f}/h or less, for {count} machine{s}. Raise the "
    "highest price, or add offers."
)
ENTER_A_BID = "These are interruptible offers: enter a bid."
ENTER_AN_IMAGE = "Enter an image, or choose a template."
FIRST_FIND_OUT = "First check whether a machine exists. Nothing was sent."
NO_OFFER = "There is no offer to rent. Nothing was sent."
CORRECT_THE_MARKED_FIELD = "Correct the marked field. Nothing was sent."
NEEDS_A_BID = "These are interruptible offers and need a bid. Nothing was sent."
ONE_WITHOUT_A_PRICE = "One of these offers has no price. Remove it from the list. Nothing was sent."
RENTED_ALREADY = "This form has already rented. Nothing more was sent."
ALL_ABOVE_THE_HIGHEST_PRICE = (
    "Every offer costs more than your highest price, ${highest:.4f}/h. Raise it, or choose other "
    "offers. Nothing was sent."
)
ALREADY_CONFIRMED = "Already confirmed; it is rented once."
FORM_CHANGED = (
    "The form has changed since you confirmed. Nothing was rented: check the price and confirm "
    "again."
)
AT_AN_UNKNOWN_TIME = "at an unknown time"
OLD_CLICK = (
    "You clicked {late}, while the kernel was busy. Nothing was rented: check the price and "
    "confirm again."
)
CLOCKS_DISAGREE = (
    "The clocks of your browser and the kernel disagree about when you clicked. Nothing was "
    "rented: confirm again."
)
OFFERS_OR_PRICE_CHANGED = (
    "The offers or the price have changed since the page showed them. Nothing was rented: check "
    "the price and confirm again."
)

# outcome
EVERY_OFFER_IS_GONE = "Every offer is gone or above your highest price"
SEARCH_AGAIN_FOR_OTHERS = "Search again and choose others, or raise the highest price."
MAYBE_RENTED = "A machine may or may not have been rented"
FIND_OUT_BEFORE = "Check your instances before you rent anything else."
THE_OFFER_IS_GONE = "The offer is gone or above your highest price"
SEARCH_AGAIN_FOR_ANOTHER = "Search again and choose another, or raise the highest price."
NO_SSH_KEY = "Your account has no SSH key"
ADD_A_PUBLIC_KEY = (
    "Add your public key in the Vast.ai console, or choose the run type Entrypoint, which needs "
    "none."
)
SPENDING_LIMIT_REACHED = "A spending limit was reached"
RENT_FEWER = "Rent fewer or cheaper machines, or raise the limit."
BAD_TEMPLATE = "The template cannot be used"
CHOOSE_ANOTHER_TEMPLATE = "Choose another one, or enter an image."
NOT_ENOUGH_CREDIT = "Not enough credit"
ADD_CREDIT = "Add credit in the Vast.ai console, or rent less."
DID_NOT_START = "The machine did not start"
TRY_THE_NEXT_OFFER = "Try the next offer."
KEY_REJECTED = "Vast.ai rejected the API key"
CHECK_THE_KEY = "Check the key; vastnb.connect() says where it was found."
QUOTA_USED_UP = "Today's row quota is used up, so the price could not be checked"
RESETS_AT_MIDNIGHT = "It resets at midnight UTC."
RATE_LIMITED = "Rate limited by Vast.ai"
TRY_AGAIN = "Try again in a minute."
INVALID_QUERY = "Invalid query"
CORRECT_THE_QUERY = "Correct the query in the cell, and run the cell again."
CANNOT_BE_RENTED = "It cannot be rented like this"
CORRECT_IT = "Correct it and try again."
CANNOT_BE_RECORDED = "Rentals cannot be recorded on this computer"
WITHOUT_A_RECORD = (
    "Without that record a lost machine could not be found again. Free disk space, or set "
    "VASTNB_DATA_DIR to a writable directory."
)
NOT_REACHED = "Vast.ai could not be reached"
THE_RENTAL_FAILED = "The rental failed"
THE_LAST_REASON = " Last reason: {reasons}"
FELL_SHORT = "{rented} of {wanted} machines were rented"
THE_RENTED_ONES_BILL = "The rented ones are billing; there was no other offer to try.{why}"
RENT_THE_REST = "Rent the rest from other offers, or continue with these."
UNEXPECTED_ERROR = "Unexpected error"
FIND_OUT_AND_REPORT = "Check whether one was, and please report this."
MAY_HAVE_BEEN_RENTED = " A machine may have been rented."

# plan
ENTER_A_NUMBER = "Enter a {whole}number {between}."
DID_YOU_MEAN = " Did you mean {names}?"
NO_SUCH_FIELD = "The rent form has no field {name!r}.{hint} Nothing was rented."
MUST_BE_TEXT = "{name} must be text."
TOO_LONG = "At most {name:,} characters."
SPACES_IN_AN_IMAGE = "An image name cannot contain spaces."
BAD_BID = "Enter a bid from 0.001 to 128 $/h, or one above the minimum: min+10%, min+0.05."

# price
GUARD = "Destroyed {limits}{most}. Traffic is extra."
AT_MOST_IN_ALL = ": at most ${dollars:,.2f} for GPUs and disks"
AFTER_HOURS = "after {hours:g} h"
DISK_TERM = "Disk {gb:g} GB"
DOWNLOAD_TERM = "Download {gb:g} GB"
UPLOAD_TERM = "Upload {gb:g} GB"
BEFORE_IT_IS_SPENT = "before ${budget_usd:,.2f} is spent"

# questions
EARLIER_RENTAL_UNKNOWN = "An earlier rental could not be checked: {message}"

# session
SEARCHING_AGAIN = "Searching again…"
OFFER_GONE = "1 offer is gone."
OFFERS_GONE = "{n} offers are gone."
ANOTHER_IN_PROGRESS = (
    "Another rental of this account is in progress in this kernel. Nothing was sent: wait for "
    "it, and confirm again."
)

# view
WHAT_IS_RENTED = "Rent {many}{gpus}, {disk:g} GB disk"
SIMULATED_MARKET = "SIMULATED MARKET: "
NO_OFFERS_TO_RENT = "No offers to rent."
PRICE_UNKNOWN = "price unknown"
UP_TO = "up to ${max_dph:.4f}/h{each}"
COPY_NOTE = "As it was when the cell ran{when}. Run the cell to use the form. As code:"

# warnings
VRAM_BELOW_NOMINAL = "VRAM is {binary:.1f} GB, {missing:.0f} % below the nominal {size} GB."
VRAM_UNUSUAL = "VRAM is {binary:.1f} GB, an unusual size: check it before you rely on it."
MAY_BE_OUTBID = "A higher bid can stop the machine at any time; its disk is still billed."
CREDIT_TOO_SHORT = (
    "Your credit, ${credit:,.2f}, lasts {lasts} at ${each_hour:.4f}/h, less than the {hours} "
    "planned. Machines stop when it runs out."
)
OFTEN_OFFLINE = "often offline"
OFFLINE_MORE_THAN_MOST = "offline more than most"
NO_MINIMUM_BID = "It has no minimum bid, so no bid can be calculated."
BID_TOO_LOW = "Your bid, ${bid:.4f}/h, is below its minimum, ${min_bid:.4f}/h: it will be skipped."
NO_SSH_KEY_YET = (
    "Your account has no SSH key, and keys are copied only when a machine is created: you could "
    "not log in. Add a key in the Vast.ai console first."
)
TAKEN_BACK_BEFORE = "It can be rented for {left} at most, less than the {wanted} planned."
TAKEN_BACK = "It can be rented for {left} at most."
NOT_VERIFIED = "Not verified by Vast.ai: its specifications are unchecked."
DISK_TOO_SMALL = "It has {room:.0f} GB of disk; you want {disk:g} GB."
RENTED_WHEN_SEARCHED = "It was already rented when you searched."
TRAFFIC_EXPENSIVE = (
    "Traffic is expensive here: {USUAL_TRAFFIC_GB:g} GB costs ${usual:,.2f}, more than {hours} "
    "of its GPUs (${gpus:,.2f})."
)
NO_LIMIT_SET = "No limit set: it bills until you destroy it."
HAS_NO_PRICE = "It has no price, so it cannot be rented."
VERIFICATION_WITHDRAWN = "Vast.ai has withdrawn its verification."
TRAFFIC_ABOVE_GPUS = "Traffic costs ${planned:,.2f}, more than the GPUs (${gpus:,.2f})."

# widget
BAD_TYPE = 'type={type!r}: use "on-demand" or "bid" (also "interruptible"). Nothing was sent.'
COPY_OF_MACHINES = "What was rented, as it was when the cell ran."
