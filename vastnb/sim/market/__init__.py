"""The simulated market: machines, offers, prices, and the search over them.

Two markets stand behind one interface (`listing`): one drawn from statistics of recorded offers
(`machines`, `drift`, `drawn`), and one that serves recorded offers as they are (`recorded`).
"""
