"""An ONNX file that another tool exported -> model package.

foreign.py    reads the file: what it is, its inputs and outputs, and its answers to one image
safety.py     what no file may hold; checked before anything of it runs
cleaning.py   the file's graph in the opset and the operators of packages
finder.py     proposes decoder, input and labels, each with its reason; plan.py is the proposal
decoders/     a row for each family of outputs: how it is told, its graph, its reference in NumPy
batch.py      a batch of one made dynamic, and proven to be
build.py      pixels -> network -> decoder -> selection, as one graph
prove.py      the package against the untouched file
adoption.py   the steps, in order; limited.py runs them in a process with bounds
"""
