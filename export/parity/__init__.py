"""The parity gate: an exported graph must answer as its reference does, or there is no package.

model.py         the two sides: anything that turns feeds into outputs
cases.py         the photos, images and thresholds that they are compared on
comparison.py    when two answers are the same, with the tolerances of each precision
gate.py          all cases through both models: passed, or a ParityError
layers.py        models whose intermediate values can be read
bisection.py     the first node that differs, once the gate has failed
answers.py       what any graph's answers must be, without a reference
"""
