"""Ask a Boxport service what is in a photo."""

from boxport_client.client import Client
from boxport_client.errors import (
    ApiError,
    BoxportError,
    ConnectionFailed,
    PhotoError,
    RequestTimedOut,
)
from boxport_client.photos import Photo
from boxport_client.results import (
    Box,
    Classification,
    ClassificationResult,
    Detection,
    DetectionResult,
    ModelInfo,
    ModelReference,
)

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "Box",
    "BoxportError",
    "Classification",
    "ClassificationResult",
    "Client",
    "ConnectionFailed",
    "Detection",
    "DetectionResult",
    "ModelInfo",
    "ModelReference",
    "Photo",
    "PhotoError",
    "RequestTimedOut",
]
