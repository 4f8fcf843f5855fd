"""From a trained network to a model package, with the proof that nothing was lost."""

import service  # noqa: F401  (before ONNX Runtime is: it turns its telemetry off)
