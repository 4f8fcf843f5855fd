"""Architectures, anchors, box coding, NMS, losses and training, in plain PyTorch."""
