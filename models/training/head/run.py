"""A run of `python -m models.training head`: the data read, and a class layer trained on it."""

from models.checkpoints import load_checkpoint
from models.datasets.content import ClassFolders, DataError
from models.training.console import say
from models.training.data import read_data, unseen_classes
from models.training.devices import current_process
from models.training.head.classifier import train_classifier
from models.training.head.job import HeadJob, find_data, find_features, published_weights
from models.training.head.rcnn import train_rcnn


def run(job: HeadJob) -> None:
    """Train a class layer, and write the network with it. Raises one of `console.FAULTS`."""
    process = current_process(job.device)
    variant = find_features(job)
    source = job.weights or published_weights(job.features)
    state = load_checkpoint(source).state
    outside = "clip" if job.clip_boxes else "refuse"
    content = read_data(find_data(job), job.validation_share, job.skip_bad, outside, process)
    training, validation = content
    say(process, f"training on {training}, measuring on {validation}")
    if unseen := unseen_classes(training, validation):
        say(process, f"no training photo shows {', '.join(unseen)}: it will not be learnt")
    if variant.task == "classification":
        train_classifier(job, variant, state, content, process)
        return
    if isinstance(training, ClassFolders) or isinstance(validation, ClassFolders):
        raise DataError(f"{job.data}: has no boxes, which {job.features} learns to find")
    train_rcnn(job, variant, state, (training, validation), process)
