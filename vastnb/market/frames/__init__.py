"""From the rows of an answer to frames of fixed columns and dtypes, and what in them is credible.

`offers` builds the frame of a search with `arrays`, column by column; values stay as they came.
Whoever compares or sums up reads columns through `credible`, which leaves out the impossible.
"""
