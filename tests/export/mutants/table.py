"""The mutants, one a row: who must catch each."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tests.export.mutants.edits import (
    Edit,
    add_at,
    after,
    anchor_axes_swapped,
    attribute,
    batch_repeats,
    before,
    boxes_changed,
    candidates,
    everywhere,
    fixed,
    inputs_swapped,
    labels_by_class,
    labels_through,
    levels_swapped,
    narrowed,
    one_level,
    one_level_cut,
    replaced,
    scores_changed,
    skipped,
    suppression_across_images,
    weights,
)

NMS_MAX, NMS_IOU, NMS_SCORE = 2, 3, 4  # inputs of NonMaxSuppression
F = np.float32


@dataclass(frozen=True)
class Mutant:
    """A graph that is not the model.

    verify: whether the files alone tell, so that `verify` must catch it; `create`'s gate must catch
        every one. quick: whether the default suite runs it.
    """

    name: str
    edit: Edit
    verify: bool = False
    quick: bool = False


def swap(first: int, second: int) -> np.ndarray:
    labels = np.arange(5)
    labels[[first, second]] = labels[[second, first]]
    labels[4] = -1  # what padding, -1, reads
    return labels


def one_class(factor: float, which: int = 3) -> np.ndarray:
    factors = np.ones(4, F)
    factors[which] = factor
    return factors


MUTANTS = (
    # run-time inputs
    Mutant("score_threshold ignored", fixed(NMS_SCORE, 0, F), True, True),
    Mutant("score_threshold never above .05", before(NMS_SCORE, ("Min", 0.05)), True, True),
    Mutant("score_threshold never above .1", before(NMS_SCORE, ("Min", 0.1)), True),
    Mutant("score_threshold never below .05", everywhere("score_threshold", "Max", F(0.05)), True),
    Mutant("score_threshold halved", before(NMS_SCORE, ("Mul", 0.5)), True),
    Mutant("iou_threshold fixed at .5", fixed(NMS_IOU, 0.5, F), True, True),
    Mutant("iou_threshold never above .5", before(NMS_IOU, ("Min", 0.5)), True, True),
    Mutant("iou_threshold never above .9", before(NMS_IOU, ("Min", 0.9)), True),
    Mutant("iou_threshold never below .2", before(NMS_IOU, ("Max", 0.2)), True),
    Mutant("iou_threshold .05 too high", before(NMS_IOU, ("Add", 0.05), ("Min", 1)), True),
    Mutant(
        "max_detections capped at 100",
        everywhere("max_detections", "Min", np.int64(100)),
        True,
        True,
    ),
    Mutant(
        "max_detections capped at 300", everywhere("max_detections", "Min", np.int64(300)), True
    ),
    Mutant(
        "max_detections capped at 1000", everywhere("max_detections", "Min", np.int64(1000)), True
    ),
    Mutant("max_detections at least 2", everywhere("max_detections", "Max", np.int64(2)), True),
    Mutant("NMS keeps at most 20 of a class", before(NMS_MAX, ("Min", 20), dtype=np.int64), True),
    Mutant("class_agnostic ignored", everywhere("class_agnostic", "And", np.bool_(0)), True),
    Mutant("class_agnostic always", everywhere("class_agnostic", "Or", np.bool_(1)), True),
    Mutant("class_agnostic labels by class", labels_by_class, True, True),
    # batches
    Mutant("batch above 7 repeats the first images", batch_repeats(7), True, True),
    Mutant("batch above 8 repeats the first images", batch_repeats(8), True),
    Mutant("every image is the first", batch_repeats(1), True),
    Mutant("boxes of the first image for all", suppression_across_images, True),
    # outputs
    Mutant("boxes past num_detections not 0", skipped("Where", -2, 1), True, True),
    Mutant("labels past num_detections not -1", skipped("Where", -1, 1), True),
    Mutant("num_detections one too many", after("num_detections", "Add", np.int64(1)), True),
    Mutant("labels 0 and 1 swapped", labels_through(swap(0, 1))),
    Mutant("labels one too high", after("labels", "Add", np.int64(1)), True),
    Mutant("the worst of a class first", attribute("TopK", -1, largest=0), True),
    Mutant("scores 1 % less", after("scores", "Mul", F(0.99))),
    Mutant("boxes a pixel off", boxes_changed("Add", F(1)), True),
    Mutant("boxes .02 pixels off", boxes_changed("Add", F([0.02, 0, 0, 0]))),
    Mutant("boxes in the order yxyx", inputs_swapped("Concat", -1, 0, 1)),
    # scores and candidates
    Mutant("last class never found", scores_changed("Mul", one_class(0))),
    Mutant("second class scores 2 % less", scores_changed("Mul", one_class(0.98, 1))),
    Mutant("scores .0002 too high", scores_changed("Add", F(2e-4))),
    Mutant("100 candidates", candidates(100)),
    Mutant("300 candidates", candidates(300)),
    Mutant("100 candidates of the finest level", one_level_cut(0, 100)),
    # pre-processing
    Mutant("mean of another data set", weights("normalise.shift", add_at(0, 0.02))),
    Mutant(
        "one channel's deviation 1 % off",
        weights("normalise.scale", lambda v: v * F([[[[1]], [[1]], [[1.01]]]]).reshape(v.shape)),
    ),
    Mutant("channels in the order BGR", weights("normalise.shift", lambda v: v[:, ::-1])),
    # of a photo whose sides differ it gives no answer at all
    Mutant("height and width transposed", attribute("Transpose", 0, perm=[0, 3, 2, 1]), True),
    # network
    Mutant("one class's bias .05 too high", weights("class_head.predict.bias", add_at(5, 0.05))),
    Mutant("one delta's bias .05 too high", weights("box_head.predict.bias", add_at(3, 0.05))),
    Mutant(
        "one filter of the pyramid 1 % larger", weights("pyramid.output.1.weight", add_at(7, 0.01))
    ),
    Mutant("first convolution in binary16", narrowed("backbone.conv1.weight", TensorProto.FLOAT16)),
    Mutant("class logits in bfloat16", narrowed("class_head.predict.weight", TensorProto.BFLOAT16)),
    Mutant("a residual sum left out", skipped("Add", 5)),
    Mutant("a rectifier left out", skipped("Relu", 6)),
    Mutant("a rectifier leaks", replaced("Relu", 8, "Elu")),
    Mutant("padding of a layer shifted", attribute("Conv", 8, pads=[0, 0, 2, 2])),
    Mutant("max pooling without padding's place", attribute("MaxPool", 0, pads=[0, 0, 2, 2])),
    Mutant(
        "one FPN level linear for nearest", attribute("Resize", 0, mode="linear", nearest_mode=None)
    ),
    Mutant(
        "one FPN level half a pixel off",
        attribute("Resize", 1, coordinate_transformation_mode="half_pixel", nearest_mode="ceil"),
    ),
    # anchors and decoding
    Mutant("one anchor level shifted by .05 pixels", one_level(0, 0, "Add", 0.05), quick=True),
    # of coarser levels only what is clipped would change
    Mutant("second anchor level 1 % larger", one_level(0, 1, "Mul", 1.01)),
    Mutant("logits of one level 1 % larger", one_level(1, 1, "Mul", 1.01)),
    Mutant("deltas of the finest level halved", one_level(2, 0, "Mul", 0.5)),
    Mutant("levels of logits swapped", levels_swapped(1)),
    Mutant("levels of deltas swapped", levels_swapped(2)),
    Mutant("x and y of the anchors swapped", anchor_axes_swapped),
    Mutant("widths decoded without their exponent", skipped("Exp", 0)),
    Mutant("left border not clipped", skipped("Max", -2), True),
    Mutant("upper border not clipped", skipped("Max", -1), True),
    Mutant("right border not clipped", skipped("Min", -4), True),
    Mutant("lower border not clipped", skipped("Min", -3), True),
)
