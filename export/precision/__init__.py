"""Packages in lower precision, each compared with the float32 package that it is made from.

conversion.py        the steps; half.py makes float16, all others 8 bits
preparation.py       constants folded, operators fused
calibration.py       the range of each tensor on photos
bias_correction.py   biases that compensate for rounded weights
quantisation.py      the graph in 8 bits; first_layer.py and repetition.py make it fast
fidelity.py          how close the answers stay; sensitivity.py keeps layers in float by it
"""

CALIBRATION_PHOTOS = 32
