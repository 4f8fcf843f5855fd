"""How a model is laid out: by its settings, and else by what runs it."""

import pytest

from service.inference.layout import Layout
from service.providers import CPU, OPENVINO, PROVIDERS, ExecutionProvider
from service.settings import ModelSettings

CUDA = PROVIDERS["cuda"]


@pytest.mark.parametrize(
    ("provider", "settings", "layout"),
    [
        (CPU, {}, Layout(4, 1, 2, 0, 4)),
        (CUDA, {}, Layout(1, 1, 8, 4, 4)),
        (CPU, {"threads": 6}, Layout(4, 6, 2, 0, 6)),
        (CPU, {"concurrent_runs": 2, "latency_threads": 1}, Layout(2, 1, 2, 0, 1)),
        (CPU, {"max_batch_size": 16, "decode_threads": 3}, Layout(4, 1, 16, 3, 4)),
        (CUDA, {"concurrent_runs": 2, "decode_threads": 0}, Layout(2, 1, 8, 0, 4)),
        (OPENVINO, {}, Layout(4, 1, 1, 0, 1)),
        (OPENVINO, {"latency_threads": 4}, Layout(4, 1, 1, 0, 4)),
    ],
)
def test_settings_go_before_what_suits_the_provider(
    provider: ExecutionProvider, settings: dict, layout: Layout
) -> None:
    assert Layout.resolve(ModelSettings(**settings), provider, cpus=4) == layout


def test_it_is_described_in_words() -> None:
    assert str(Layout(2, 1, 4, 0, 2)) == "2 x 1 threads, batches of 4"
    assert str(Layout(1, 2, 8, 3, 2)) == "1 x 2 threads, batches of 8, 3 decoding"
