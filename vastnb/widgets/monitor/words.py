"""What the kernel's half of this widget says to people, in one place.

Text in braces is filled in where it is said; tests hold the two together.
"""

# actions
STOPPING = "Stopping"
STARTING = "Starting"
REBOOTING = "Rebooting"
RENAMING = "Renaming"
CHANGING_THE_BID = "Changing the bid"
EXTENDING = "Extending"
DESTROYING = "Destroying"
DESTROYING_THEN_RENTING = "Destroying it, then renting the next offer"
FETCHING_THE_LOG = "Fetching the log"
FETCHING_ITS_LINK = "Fetching its link"
GONE = "Instance {id} is gone. Nothing was done."
NOT_POSSIBLE_NOW = "It is {state} now, so that is not possible. Nothing was done."
NOT_RENTED_HERE = (
    "vastnb did not rent it on this computer: type {id} to destroy it. Nothing was done."
)
COSTS_MORE_NOW = "It costs ${price:.4f}/h now, more than shown. Nothing was done."
PRICE_NOT_SHOWN = "The price of the next offer was not shown. Nothing was done."
ENTER_A_BID = "Enter a bid in $/h. Nothing was done."
STOPPED_AND_BILLED = "Stopping. Its disk is billed until you destroy it."
STARTED = "Starting."
REBOOTED = "Rebooting."
BID_CHANGED = "The bid is now ${price:.4g}/h."
EXTENDED = "Deadline extended by 1 h{when}."
DESTROYED = "Instance {id} was destroyed. Confirming in the background that it stays destroyed."
REPLACED = "Instance {id} was destroyed, and instance {next} was rented instead."
RENAMED = "Renamed."
LABEL_REMOVED = "Label removed."
NO_JUPYTER_LINK = "No Jupyter link yet."
MAY_HAVE_WORKED = "{error} The action may or may not have worked: check the machine's state."

# model
RUNNING_AGAIN = "Running again. Earlier: {then}"
GONE_NOW = "Gone. Earlier: {then}"
STILL_BUSY = "Still busy: {doing}. Nothing was done."
JUST_RENTED = "just rented"

# view
COPY_NOTE = "As it was when the cell ran. Run the cell to watch."
GPU_NOT_KNOWN = "unknown GPU"
OF_IT_IDLE = "; ${price:.4f}/h of it for {idle} not running"
CREDIT_LASTS = "; credit ${credit:.2f}, enough for {lasts}"

# widget
ON_NOTICE_FAILED = "on_notice failed: {kind}: {error}"
