"""Training detectors on photos with boxes."""
