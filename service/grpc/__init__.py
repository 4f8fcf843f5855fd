"""The Open Inference Protocol over gRPC. Nothing imports it where no port is set for it."""

import os

# Its C library would write a line of its own form for what callers do, as often as they do it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
