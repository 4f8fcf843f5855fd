"""Companions: packages that tell how far a photo is from those that a model was trained on.

unlike.py     photos that are unlike any training photo, made of these
candidates.py the ways to measure a distance, fitted to the training photos
companion.py  photos -> candidates -> AUROC of each -> the best one's package, proven
report.py     the distances of both kinds of photo, on one page
"""
