"""What a data set says of its photos, read from COCO, PASCAL VOC or folders of classes.

A reader checks every row and leaves out those that are wrong; each is listed as a `Fault`. Whether
the photos themselves can be used, which takes longer, is for `models.training.check` to say.
"""

from models.training.annotations.class_folders import read_class_folders
from models.training.annotations.coco import read_coco
from models.training.annotations.content import (
    Annotations,
    Categories,
    ClassFolders,
    DataError,
    Fault,
    Kind,
    LabelledPhoto,
    Photo,
    Reading,
)
from models.training.annotations.voc import read_voc

__all__ = [
    "Annotations",
    "Categories",
    "ClassFolders",
    "DataError",
    "Fault",
    "Kind",
    "LabelledPhoto",
    "Photo",
    "Reading",
    "read_class_folders",
    "read_coco",
    "read_voc",
]
