"""Inputs of a package's graph."""

import numpy as np

from service.package import ModelPackage


def feeds_for(
    package: ModelPackage,
    images: np.ndarray,
    max_detections: int = 100,
    score_threshold: float = 0.01,
) -> dict[str, np.ndarray]:
    """For ``images``, uint8 [N, H, W, 3]; a classifier has no other inputs."""
    if package.manifest.task == "classification":
        return {"images": images}
    return {
        "images": images,
        "score_threshold": np.array(score_threshold, np.float32),
        "iou_threshold": np.array(0.5, np.float32),
        "max_detections": np.array(max_detections),
        "class_agnostic": np.array(False),
    }
