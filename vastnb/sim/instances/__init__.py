"""Simulated instances: how they are ordered, what becomes of them, what they cost and show.

`fleet` does what users ask for, `events` what time brings; `instance` holds the truth and the
record that the service shows of it. `doors` and `ssh` let a client log in.
"""
