"""What offers cost, and which are worth it: functions from a frame of offers to figures and frames.

`cost` and `bids` reckon with prices, `formula`, `ranking`, `summary` and `pareto` compare offers,
`explain` says in words what is unusual about one.
"""
