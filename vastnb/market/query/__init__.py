"""From what somebody wrote to the JSON that is sent, and to what it says about rows at hand.

`language` splits text into comparisons, `conditions` reads each of them, `query` puts them together
and adds the defaults. `extent` and `local` work out the same comparisons here.
"""
