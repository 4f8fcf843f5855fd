"""What a key map is."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True)
class KeyMap:
    """How one family's names become ours.

    name: of the family, as a reader would call it.
    mark: a key that every checkpoint of the family has, and no other family's.
    rules: (regular expression, replacement) pairs, applied to a key one after the other.
    renumber: for a family that counts blocks as our network does not; applied first, and of no
        effect on a network of another kind.
    """

    name: str
    mark: str
    rules: tuple[Rule, ...]
    renumber: Callable[[nn.Module, str], str] = lambda network, key: key

    def rename(self, network: nn.Module, key: str) -> str:
        """Our name for ``key``; one that no rule knows stays as it is."""
        key = self.renumber(network, key)
        for pattern, replacement in self.rules:
            key = re.sub(pattern, replacement, key)
        return key
