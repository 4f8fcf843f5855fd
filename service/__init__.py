"""The torch-free runtime: decode, batch, run, answer."""

import os

# Since 1.29 ONNX Runtime's own builds send usage data to their maker from the moment they are
# imported, so it is turned off before anything here can do that. Whoever wants it says "0".
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
