"""What each family's own code does with its outputs, in NumPy: what the graphs are held against.

Nothing here is shared with the graphs. Outputs are those of one image, [1, ...] each.
"""
