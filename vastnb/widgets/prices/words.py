"""What the kernel's half of this widget says to people, in one place.

Text in braces is filled in where it is said; tests hold the two together.
"""

# charts
PRICE_BY_GPU_MODEL = "Price by GPU model"
DOT_AND_BOX = "each dot is {what}; the box covers the middle half"
OF_A_MODEL = (
    "{name}\nmedian {q50}/h, {count:,} {what}{s}\nhalf from {q25} to {q75}\n80 % from {q10} to "
    "{q90}, cheapest {least}"
)
PRICE_AGAINST_PERFORMANCE = "Price against performance"
DASHED_LINE = "dashed line: nothing is both cheaper and faster{drawn}"
PRICE_BY_COUNTRY = "Price by country"
SIDES = "← cheaper | more expensive →"
AGAINST_ITS_MODEL = "median of each machine's price relative to its model's median"
THAN_THE_SAME_GPUS = "{share:.0f} % {how} than the same GPUs"
MORE_MODELS = "; {others} more model{s} with fewer {what}s"
DLPERF_PER = "DLPerf per {unit}"
UNBEATEN = "{best} of {all} are best value"
OF_A_COUNTRY = (
    "{country}\n{against}\n{machines:,} machines with {gpus:,} GPUs, median {median}/h per GPU"
)
MORE_COUNTRIES = "; {others} more countr{s}"
COUNTRIES = "{n} countries against the market"
SAME_PRICE_AS_ELSEWHERE = "same price as elsewhere"
MORE_EXPENSIVE = "more expensive"
NO_PRICES_TO_SHOW = "No prices to show"
NO_CREDIBLE_PRICE = "No offer here has a credible price."
NOTHING_TO_COMPARE = "Nothing to compare"
NO_CREDIBLE_BENCHMARK = "No offer here has a credible benchmark."
NO_COUNTRIES_TO_SHOW = "No countries to show"
NO_PLACE_TOLD = "No offer here has a known location."

# loading
NO_OFFERS_NO_HISTORY = "No offers, so no price history to show."
NOT_SEEN_LATELY = (
    "None of these was seen in the last {days:g} days. Every search adds to the history; check "
    "again tomorrow."
)
ONE_POINT_SO_FAR = (
    "Only one point so far. Every search adds to the history; check again later, and this "
    "becomes a line."
)
HISTORY_NOT_READ = "The price history could not be read ({kind}: {error})."

# model
BAD_NUMBER = "{name}={value!r}: a number is needed. Nothing was searched."
BAD_GPU = "gpu={value!r}: a list of models is needed. Nothing was searched."
BAD_PER = 'per={value!r}: use "gpu" or "offer". Nothing was searched.'
GIVE_GPU_MODELS = (
    "The charts compare GPU models: give them as gpu=[...] or gpu_name=... . Nothing was searched."
)

# trend
TREND_TITLE = "Median price over {days:g} day{s}"
BAND = "the band covers the middle half of the machines"
TREND_UNIT = "$/h per GPU, without disk"
RARER_NOT_DRAWN = "; {lines} less common ones not drawn"
OF_A_DAY = (
    "{label}\n{at:%d %b %H:%M} UTC: median {median}/h\nhalf from {q25} to {q75}, {machines} "
    "machines"
)
LOOK_TOMORROW = "Every search adds to it: check again tomorrow."
NO_PRICE_HISTORY_YET = "No price history yet"

# view
MEDIAN_PRICE = "Median price"
CAPTION = "prices of {machines:,} machines, {models} GPU models"
COPY_NOTE = "{problem}As it was when the cell ran. Run the cell for the live charts. As code:"
NO_OFFERS = "No offers"
NOT_SEARCHED_YET = "Nothing has been searched yet."
MORE_MODELS_LEFT_OUT = "; {left} more models are not part of this copy"
SEARCHING = "Searching"
WAITING = "Waiting for Vast.ai."
SEARCH_FAILED = "The search failed; the message below says why."
