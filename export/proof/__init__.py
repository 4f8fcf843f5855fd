"""The package against its owner's own model, from the bytes of photos on.

reference.py      the owner's code, asked in a process and a Python of its own
asking.py         that process: the one file here that runs without Boxport
results.py        or a file of the owner's results
answers.py        what either says of photos
comparison.py     those answers beside the package's
alternatives.py   where they disagree: which pre-processing, anchors or classes would agree
"""
