"""A trained network -> one checked ONNX graph.

graph.py         the whole path from pixels to answers as one PyTorch module
operators.py     ONNX subgraphs for what torch.export cannot trace
trace.py         PyTorch's exporter, the passes and the checks, in order
passes.py        graph transformations after tracing; nodes.py reads and edits graphs
checks.py        what no package may have
"""
