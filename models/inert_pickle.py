"""Pickles read without running them.

A pickle names functions and classes, and whoever imports and calls them runs what its author
wanted. Here only what rebuilds tensors is known (`KNOWN`), all of it written below; every other
name becomes a stand-in that keeps what it is given and does nothing. So whole pickled networks,
trainers' arguments, NumPy scalars and TorchScript archives give up their tensors too.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, ClassVar

import torch
from torch import Tensor

# The dtypes of PyTorch's storages, which a pickle names by their old classes.
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}


class StandIn:
    """An object whose class was not imported.

    origin: where the class lies, such as "torchvision.models.resnet.ResNet".
    attributes: by name, as the pickle sets them.
    items: of one that is filled like a mapping.
    """

    origin: ClassVar[str] = ""
    attributes: dict[Any, Any]
    items: dict[Any, Any]

    def __new__(cls, *arguments: object, **named: object) -> "StandIn":
        """Any constructor: the arguments are dropped."""
        stand_in = object.__new__(cls)
        stand_in.attributes, stand_in.items = {}, {}
        return stand_in

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):  # slots come apart
            if isinstance(part, Mapping):
                self.attributes.update(part)

    def __setitem__(self, key: object, value: object) -> None:
        self.items[key] = value

    def __call__(self, *arguments: object, **named: object) -> "StandIn":
        return self

    def append(self, item: object) -> None:
        """A list's, of no effect."""

    def extend(self, items: object) -> None:
        """A list's, of no effect."""

    def add(self, item: object) -> None:
        """A set's, of no effect."""

    @property
    def is_module(self) -> bool:
        """Whether it was a network or a layer, pickled whole or as TorchScript."""
        return "_modules" in self.attributes or self.origin.startswith("__torch__")

    def tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """What ``state_dict()`` of the network had."""
        own = children = self.attributes
        if "_modules" in own:  # a pickled nn.Module, where TorchScript has plain attributes
            children = own["_modules"]
            unsaved = own.get("_non_persistent_buffers_set", ())
            buffers = {k: v for k, v in own.get("_buffers", {}).items() if k not in unsaved}
            own = {**own.get("_parameters", {}), **buffers}
        for name, value in own.items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
        for name, child in children.items():
            if isinstance(child, StandIn):
                yield from child.tensors(f"{prefix}{name}.")


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: object
) -> Tensor:
    """A view of ``storage``; `as_strided` refuses one that reaches beyond it."""
    return storage.as_strided(size, stride, offset)


def _tensor_of_type(
    storage: Tensor,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    hooks: object,
    dtype: torch.dtype,
    *rest: object,
) -> Tensor:
    return storage.view(dtype).as_strided(size, stride, offset)


def _parameter(data: object, *rest: object) -> object:
    return data


def _subclass(
    rebuild: Callable[..., object], kind: object, arguments: tuple[object, ...], state: object
) -> object:
    """A tensor of a subclass, as the plain one; ``rebuild`` is known here or a stand-in."""
    return rebuild(*arguments)


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # as Python 2 called it, and pickles of its protocols do
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_type,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _subclass,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
    **{("torch.storage", name): dtype for name, dtype in STORAGES.items()},
    **{
        ("torch", name): value
        for name, value in vars(torch).items()
        if isinstance(value, torch.dtype)
    },
}


class InertUnpickler(pickle.Unpickler):
    """An unpickler that imports and calls nothing but what `KNOWN` has.

    storage: given a storage's dtype, key and number of elements, its tensor of one dimension.
    """

    def __init__(
        self, file: IO[bytes], storage: Callable[[torch.dtype, str, int], Tensor] | None = None
    ) -> None:
        super().__init__(file)
        self._storage = storage
        self._classes: dict[tuple[str, str], type[StandIn]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What is known by that name, or a stand-in's class."""
        where = (module, name)
        if where in KNOWN:
            return KNOWN[where]
        if where not in self._classes:
            self._classes[where] = type(name, (StandIn,), {"origin": f"{module}.{name}"})
        return self._classes[where]

    def persistent_load(self, pid: Any) -> Any:
        """What ``pid`` names: ("storage", dtype, key, location, elements, …), or a class."""
        if self._storage is None:
            raise pickle.UnpicklingError("a storage where none can be")
        if pid[0] == "module":  # a class and its source, in whole networks of before 1.6
            return pid[1]
        _, dtype, key, _, elements, *_ = pid
        return self._storage(dtype, str(key), int(elements))
