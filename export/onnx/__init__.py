"""A trained network -> one sound ONNX graph."""
