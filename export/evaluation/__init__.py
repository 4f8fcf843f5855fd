"""What a model is worth as a network, as packages and behind a server, on the same photos.

photo_set.py     photos, and what is known to be in them
column.py        one way to have photos answered: a package; network.py and server.py are others
figures.py       a column's answers -> AP, top-1, agreement with the reference
comparison.py    all columns beside each other, and whether one falls too far behind
table.py         that as a table
"""
