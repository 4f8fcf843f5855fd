"""A model's accuracy as a network, as packages and behind a server, on the same photos.

photo_set.py     photos, and what they are known to show
column.py        one way to answer photos: a package; network.py and server.py are others
figures.py       a column's answers -> AP, top-1, agreement with the reference; a package's accuracy
comparison.py    all columns side by side, and whether one is too far below the first
table.py         the comparison as a table
"""
