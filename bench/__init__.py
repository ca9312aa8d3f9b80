"""Benchmarks: what vastnb costs beside what its peers cost, measured in the same run.

``python -m bench`` (or ``make bench``) prints tables of figures and ratios. Nothing here passes or
fails; a machine under load changes the seconds, and far less the ratios. Everything stays on
loopback and is bounded in time and count.
"""
