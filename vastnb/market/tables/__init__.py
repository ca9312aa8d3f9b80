"""What the market is made of, as tables: columns, search fields, GPU names, VRAM sizes, regions.

Each fact about the service's vocabulary stands in exactly one of them; everything else in
`vastnb.market` reads it from here, and nothing here reads from anything else in it.
"""
