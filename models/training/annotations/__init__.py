"""What a data set says of its photos, read from COCO, PASCAL VOC or folders of classes.

A reader checks every row and leaves out those that are wrong; each is listed as a `Fault`. Whether
the photos themselves can be used, which takes longer, `models.training.check` finds out.
"""
