"""The package against its owner's own model, from the bytes of photos on.

reference.py      the owner's code, asked in a process and a Python of its own
asking.py         that process: the one file here that runs without Boxport
results.py        or a file of the owner's results
answers.py        what either says of photos
comparison.py     those answers beside the package's, and its network's
pixels.py         what that network reads: photos before they are rounded to 8 bits
explanation.py    where they disagree: which other settings or classes would make them agree
alternatives.py   the settings that are tried
"""
