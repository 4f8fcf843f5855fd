"""The resources of actors."""

import pytest

from service.bulk.layout import Resources, resources_of, settings_of
from service.imaging.cost import worst_bytes
from service.settings import ModelSettings, Settings

SMALL, LARGE = Resources(4, 0.0), Resources(32, 4.0)
PETS = ["pets"]


@pytest.mark.parametrize(
    ("wanted", "nodes", "cpus", "gpus", "resources"),
    [
        ({}, [SMALL], None, None, Resources(1, 0.0)),
        ({"threads": 3}, [SMALL], None, None, Resources(3, 0.0)),
        ({}, [SMALL], 2, None, Resources(2, 0.0)),
        ({"execution_providers": ["cuda"]}, [SMALL, LARGE], None, None, Resources(8, 1.0)),
        ({"execution_providers": ["cuda"]}, [SMALL, LARGE], None, 0.5, Resources(4, 0.5)),
        ({"execution_providers": ["tensorrt"]}, [SMALL], None, None, Resources(4, 1.0)),
        ({"execution_providers": ["auto"]}, [SMALL], None, None, Resources(1, 0.0)),
        ({"execution_providers": ["auto"]}, [LARGE], 2, None, Resources(2, 1.0)),
        ({"execution_providers": ["openvino"]}, [LARGE], None, None, Resources(1, 0.0)),
    ],
)
def test_needs_follow_from_the_model_and_the_nodes(
    wanted: dict, nodes: list[Resources], cpus: int | None, gpus: float | None, resources: Resources
) -> None:
    assert resources_of(ModelSettings(**wanted), nodes, cpus, gpus) == resources


def test_an_engine_on_a_processor_runs_as_many_batches_as_it_has_room_for() -> None:
    made, ahead = settings_of(Settings(threads=2, max_image_pixels=10), PETS, Resources(6, 0.0))
    assert (made.concurrent_runs, made.threads, made.latency_threads) == (3, 2, 2)
    assert (made.decode_threads, made.max_decoding_bytes) == (0, 3 * worst_bytes(10, 64 * 2**20))
    assert (made.max_images_in_service, ahead) == (48, 24)


def test_photos_that_are_cut_are_few_and_bring_regions() -> None:
    """The engine has room for all that they bring: it is the actor that lets few in."""
    settings = Settings(threads=2, max_image_pixels=10, max_regions=7)
    made, ahead = settings_of(settings, PETS, Resources(6, 0.0), cuts=True)
    assert (made.max_images_in_service, ahead) == (192, 12)
    assert made.max_decoding_bytes == 3 * worst_bytes(10, 64 * 2**20) + 12 * 4 * 10


def test_a_second_model_keeps_what_its_answers_depend_on() -> None:
    settings = Settings(
        models={"pets": {"max_batch_size": 5}, "breeds": {"precision": "bf16", "threads": 7}}
    )
    made, _ = settings_of(settings, ["pets", "breeds"], Resources(2, 0.0))
    second = made.for_model("breeds")
    assert (second.precision, made.for_model("pets").precision) == ("bf16", "as_exported")
    assert (second.max_batch_size, second.threads, second.concurrent_runs) == (5, 1, 2)


def test_an_engine_on_a_gpu_decodes_on_all_its_processors() -> None:
    made, _ = settings_of(Settings(max_image_pixels=10), PETS, Resources(6, 1.0))
    assert (made.concurrent_runs, made.decode_threads) == (1, 6)
    assert made.max_decoding_bytes == 6 * worst_bytes(10, 64 * 2**20)


def test_the_models_own_settings_hold_but_for_where_it_runs() -> None:
    settings = Settings(
        max_batch_size=3,
        models={"pets": {"max_batch_size": 5, "concurrent_runs": 9}},
        max_session_bytes=10,
        reduce_jpegs=False,
    )
    made, _ = settings_of(settings, PETS, Resources(2, 0.0))
    assert (made.max_batch_size, made.concurrent_runs, made.models) == (5, 2, {})
    assert (made.watch_seconds, made.max_session_bytes, made.reduce_jpegs) == (0, None, False)
    assert settings_of(settings, ["other"], Resources(2, 0.0))[0].max_batch_size == 3
