"""The features of views, computed once: the network's, and HOG beside them."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from models.training.dataset import normalise
from models.training.head.views import Pixels, View, pixels_of
from service.imaging.input_spec import CentreCrop, InputSpec, Stretch

NETWORK, HOG = "network", "hog"
BATCH_SIZE = 4  # of more, activations would be memory that the system hands out anew each time
# HOG as Dalal and Triggs have it (CVPR 2005), on cells as wide as a sixteenth of the picture.
HOG_SIDE, HOG_CELL, HOG_BLOCK = 128, 16, 2

Values = NDArray[np.floating[Any]]
Features = dict[str, Values]  # float32 [N, D] each, by what gives them: `NETWORK`, `HOG`


class FeatureExtractor:
    """A classifier's network without its class layer, on ``device``."""

    def __init__(
        self,
        network: nn.Module,
        spec: CentreCrop | Stretch,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """dtype: that convolutions compute in."""
        self.network, self.spec, self.device, self.dtype = network, spec, device, dtype
        network.set_submodule(network.class_layer, nn.Identity())
        network.to(device, memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def __call__(self, inputs: Sequence[Pixels]) -> Values:
        """Features float32 [N, D] of inputs uint8 [H, W, 3]."""
        images = torch.from_numpy(np.stack(inputs)).permute(0, 3, 1, 2).to(self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features: Tensor = self.network(normalise(images, self.spec))
        return features.float().cpu().numpy()

    def with_class_layer(self, weight: Values, bias: Values) -> nn.Module:
        """The whole network, whose class layer is the one of these [C, D] and [C]."""
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        self.network.set_submodule(self.network.class_layer, layer)
        return self.network.cpu()


def compute(
    extract: FeatureExtractor,
    views: Sequence[View],
    hog: bool,
    on_progress: Callable[[int], None],
) -> Features:
    """The features of ``views``, in order. Raises PhotoError."""
    rows: dict[str, list[Values]] = {NETWORK: [], **({HOG: []} if hog else {})}
    pixels = pixels_of(views, extract.spec)
    with ThreadPoolExecutor() as pool:
        while batch := list(islice(pixels, BATCH_SIZE)):
            described = pool.map(hog_of, batch) if hog else ()
            rows[NETWORK].append(extract(batch))  # meanwhile
            if hog:
                rows[HOG].append(np.stack(list(described)))
            on_progress(len(batch))
    return {name: np.concatenate(values) for name, values in rows.items()}


def hog_of(pixels: Pixels) -> Values:
    """The histogram of oriented gradients of an image uint8 [H, W, 3], float32 [D']."""
    from skimage.feature import hog

    image = Image.fromarray(pixels).resize((HOG_SIDE, HOG_SIDE), Image.Resampling.BILINEAR)
    cell, block = (HOG_CELL, HOG_CELL), (HOG_BLOCK, HOG_BLOCK)
    found: Values = hog(
        np.asarray(image), pixels_per_cell=cell, cells_per_block=block, channel_axis=-1
    )
    return found.astype(np.float32)


def key_of(
    network: nn.Module, spec: InputSpec, views: Sequence[View], how: Sequence[object]
) -> str:
    """A hash of all that the features depend on: weights, input, files by name, size and time, and
    ``how`` they are computed."""
    digest = hashlib.sha256(spec.model_dump_json().encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    files = {path: path.stat() for path in {view.path for view in views}}
    rows = [
        (str(view.path), files[view.path].st_size, files[view.path].st_mtime_ns, view.box)
        for view in views
    ]
    digest.update(json.dumps([rows, how]).encode())
    return digest.hexdigest()


def read_features(path: Path, key: str) -> Features | None:
    """Those of ``key`` that `save_features` has left at ``path``; None if there are none."""
    try:
        # opened here: of a damaged file NumPy leaves its own open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["key"]) == key:
                return {name: kept[name] for name in kept.files if name != "key"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # of another run, or of one that was interrupted
    return None


def save_features(path: Path, key: str, features: Features) -> None:
    """Raises OSError."""
    aside = path.with_suffix(".partial")
    with aside.open("wb") as file:
        np.savez(file, key=np.array(key), **features)
    aside.replace(path)
