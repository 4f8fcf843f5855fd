"""What a data set says of its photos, whatever its files look like.

layouts.py        the table of layouts: how each is recognised, and what reads it
coco.py, yolo.py, voc.py, labelme.py, class_folders.py   a reader each
files.py          finding the photos that annotations name
content.py        what all of them give: photos with their objects, categories, faults
rows.py           the rows of one photo, checked
splits.py         which photos are trained on, and which are measured on

A reader checks every row and leaves out those that are wrong; each is listed as a `Fault`. Whether
the photos themselves can be used, which takes longer, `models.training.check` finds out.
"""
