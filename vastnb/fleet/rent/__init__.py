"""Renting: a machine is rented once or not at all, and ends on time.

What is asked for (`spec`, `candidates`, `account`); what is decided and written down (`plan`,
`journal`, `obligations`, `process`); what is done (`attempt`, `settle`, `rental`, `replacement`,
`recovery`, `events`); how it ends (`deadline`, `guard`, `on_machine`); all of it for one client
(`renter`). Nothing here knows of watching.
"""
