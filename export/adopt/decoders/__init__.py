"""The table of decoders: a row for each family of outputs that a file may have.

row.py        what a row is made of
reference/    the same in NumPy, which each row's graph is held against

To add a family: a function that tells a file by its outputs, one that adds nodes, and one in NumPy;
then a row here (docs/adopt.md).
"""

from dataclasses import replace

from export.adopt.decoders import (
    boxes,
    classifier,
    detr,
    dfl,
    final,
    generic,
    plugin,
    priors,
    yolo,
)
from export.adopt.decoders.reference import classifier as classifier_reference
from export.adopt.decoders.reference import detr as detr_reference
from export.adopt.decoders.reference import dfl as dfl_reference
from export.adopt.decoders.reference import final as final_reference
from export.adopt.decoders.reference import generic as generic_reference
from export.adopt.decoders.reference import priors as priors_reference
from export.adopt.decoders.reference import yolo as yolo_reference
from export.adopt.decoders.row import (
    DENSE,
    IMAGENET,
    RAW,
    SUPPRESSED,
    ULTRALYTICS,
    Decoder,
)
from export.settings import Settings

YOLOX = Settings(  # Megvii YOLOX, `data/data_augment.py`: since 0.2 pixels as they are
    channel_order="bgr",
    scale=1.0,
    resize="letterbox",
    anchor="top_left",
    fill=(114, 114, 114),
    antialias=False,
)
NANODET = Settings(  # RangiLyu/nanodet, `config/`: OpenCV's order
    channel_order="bgr",
    scale=1.0,
    mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395),
    antialias=False,
)
PADDLE = replace(IMAGENET, antialias=False)  # `configs/`: the same for most
TFLITE = Settings(scale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3)  # of float SSDs: -1..1
STRETCHED = Settings()  # of torchvision's and RT-DETR's: pixels of 0 to 1
MMDETECTION = Settings(  # `configs/_base_/`: DetDataPreprocessor; padding is 0 after the mean
    scale=1.0,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    resize="letterbox",
    anchor="top_left",
    fill=(124, 116, 104),
    antialias=False,
)
RETINAFACE = Settings(  # biubug6 `test_widerface.py`; what is empty is 0 after the mean
    channel_order="bgr",
    scale=1.0,
    mean=(104.0, 117.0, 123.0),
    resize="letterbox",
    anchor="top_left",
    fill=(123, 117, 104),
    antialias=False,
)

DECODERS: dict[str, Decoder] = {
    row.name: row
    for row in (
        Decoder(
            "classifier",
            "a classifier: logits, softmax or sigmoid",
            classifier.recognise,
            classifier.graph,
            classifier_reference.probabilities,
            classifier.preprocessing,
            options=("activation",),
        ),
        Decoder(
            "yolov5",
            "YOLOv5, and YOLOv7 of several classes",
            yolo.recognise_yolov5,
            yolo.objectness_by_class,
            yolo_reference.yolov5,
            ULTRALYTICS,
            DENSE,
        ),
        Decoder(
            "yolov7",
            "YOLOv7 of one class, whose score is the objectness",
            yolo.recognise_yolov7,
            yolo.objectness_alone,
            yolo_reference.yolov7,
            ULTRALYTICS,
            DENSE,
        ),
        Decoder(
            "yolov6",
            "YOLOv6",
            yolo.recognise_yolov6,
            yolo.objectness_by_class,
            yolo_reference.yolov5,
            ULTRALYTICS,
            DENSE,
        ),
        Decoder(
            "yolov8",
            "YOLOv8, YOLO11, YOLO12",
            yolo.recognise_yolov8,
            yolo.yolov8,
            yolo_reference.yolov8,
            ULTRALYTICS,
            DENSE,
        ),
        Decoder(
            "yolo_end_to_end",
            "YOLOv10, YOLO26: final detections, without suppression",
            final.recognise_end_to_end,
            final.six_columns,
            final_reference.six_columns,
            ULTRALYTICS,
            SUPPRESSED,
        ),
        Decoder(
            "yolo_nms",
            "YOLO exported with nms=True",
            final.recognise_suppressed,
            final.six_columns,
            final_reference.six_columns,
            ULTRALYTICS,
            SUPPRESSED,
        ),
        Decoder(
            "yolox",
            "YOLOX, raw",
            yolo.recognise_yolox,
            yolo.yolox,
            yolo_reference.yolox,
            YOLOX,
            DENSE,
        ),
        Decoder(
            "yolox_decoded",
            "YOLOX, exported with --decode_in_inference",
            yolo.recognise_yolox_decoded,
            yolo.objectness_by_class,
            yolo_reference.yolov5,
            YOLOX,
            DENSE,
        ),
        Decoder(
            "nanodet",
            "NanoDet: scores and distributions of three levels",
            dfl.recognise_nanodet,
            dfl.heads,
            dfl_reference.heads,
            NANODET,
            DENSE,
        ),
        Decoder(
            "nanodet_plus",
            "NanoDet-Plus: one output of scores and distributions",
            dfl.recognise_nanodet_plus,
            dfl.joined,
            dfl_reference.joined,
            NANODET,
            DENSE,
        ),
        Decoder(
            "picodet",
            "PicoDet: scores and distributions of four levels",
            dfl.recognise_picodet,
            dfl.heads,
            dfl_reference.heads,
            PADDLE,
            DENSE,
        ),
        Decoder(
            "detr",
            "DETR, YOLOS: softmax, the last class no-object",
            detr.recognise_softmax,
            boxes.scored,
            detr_reference.detr,
            detr.preprocessing,
            SUPPRESSED,
            options=("activation",),
        ),
        Decoder(
            "detr_sigmoid",
            "Deformable DETR, and RT-DETR and D-FINE from transformers: sigmoid",
            detr.recognise_sigmoid,
            boxes.scored,
            detr_reference.detr_sigmoid,
            detr.preprocessing,
            SUPPRESSED,
            options=("activation",),
        ),
        Decoder(
            "rf_detr",
            "RF-DETR",
            detr.recognise_rf_detr,
            boxes.scored,
            detr_reference.rf_detr,
            IMAGENET,
            SUPPRESSED,
        ),
        Decoder(
            "ultralytics_rt_detr",
            "RT-DETR by Ultralytics",
            detr.recognise_ultralytics,
            detr.joined,
            detr_reference.ultralytics,
            Settings(antialias=False),
            SUPPRESSED,
        ),
        Decoder(
            "rt_detr",
            "RT-DETR and D-FINE, with their post-processing",
            final.recognise_rt_detr,
            boxes.labelled,
            final_reference.rt_detr,
            STRETCHED,
            SUPPRESSED,
        ),
        Decoder(
            "yolov7_nms",
            "YOLOv7 exported with --end2end for ONNX Runtime",
            final.recognise_yolov7,
            final.yolov7,
            final_reference.yolov7,
            ULTRALYTICS,
            SUPPRESSED,
        ),
        Decoder(
            "torchvision",
            "torchvision's detectors, one photo at a time",
            final.recognise_torchvision,
            boxes.labelled,
            final_reference.torchvision,
            STRETCHED,
            SUPPRESSED,
            options=("background",),
        ),
        Decoder(
            "tf_detection",
            "TensorFlow Object Detection API",
            final.recognise_tf_detection,
            boxes.labelled,
            final_reference.tf_detection,
            RAW,
            SUPPRESSED,
            options=("background",),
        ),
        Decoder(
            "tflite",
            "TensorFlow Lite with its Detection_PostProcess",
            final.recognise_tflite,
            boxes.labelled,
            final_reference.tflite,
            TFLITE,
            SUPPRESSED,
        ),
        Decoder(
            "paddle",
            "PaddleDetection with its suppression",
            final.recognise_paddle,
            final.paddle,
            final_reference.paddle,
            PADDLE,
            SUPPRESSED,
        ),
        Decoder(
            "mmdeploy",
            "MMDetection by MMDeploy, end to end",
            final.recognise_mmdeploy,
            final.mmdeploy,
            final_reference.mmdeploy,
            MMDETECTION,
            SUPPRESSED,
        ),
        Decoder(
            "ssd",
            "SSD with priors",
            priors.recognise_ssd,
            priors.graph,
            priors_reference.ssd,
            priors.preprocessing,
            DENSE,
        ),
        Decoder(
            "retinaface",
            "RetinaFace: without its landmarks",
            priors.recognise_retinaface,
            priors.graph,
            priors_reference.retinaface,
            RETINAFACE,
            DENSE,
        ),
        Decoder(
            "efficient_nms",
            "any detector that ends in TensorRT's EfficientNMS or BatchedNMS",
            plugin.recognise,
            plugin.graph,
            generic_reference.efficient_nms,
            ULTRALYTICS,
            DENSE,
            cuts=plugin.PLUGINS,
        ),
        Decoder(
            generic.NAME,
            "any other detector: boxes and scores as the options describe them",
            generic.recognise,
            generic.graph,
            generic_reference.generic,
            STRETCHED,
            DENSE,
            options=("box_format", "box_units", "activation", "background"),
        ),
    )
}
