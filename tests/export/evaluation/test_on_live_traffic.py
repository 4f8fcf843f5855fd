"""A version on trial agrees with the other as `export evaluate` says of the same photos."""

import asyncio
from pathlib import Path

import pytest

from export.evaluation.column import PackageColumn
from export.evaluation.figures import agreement
from export.progress import ignore_progress
from service.engine.engine import Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.package import open_package
from service.parameters import DetectParameters
from service.rollout.plan import Plan, Shadow
from service.rollout.report import report
from service.rollout.rollout import RequestKey
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from tests.packages import copy_package


async def ask_for_all(engine: Engine, photos: list[Path]) -> None:
    for photo in photos:
        answer = await engine.answer(
            "detection",
            [photo.read_bytes()],
            DetectParameters(model="voc"),
            RequestPolicy(Deadline.after(60)),
            RequestKey(photo.name, {}),
        )
        assert answer.sample is not None
        await engine.shadows.offer(answer.sample)
    assert engine.shadows.running is not None
    await engine.shadows.running


def test_two_detectors_of_one_list_of_labels(tmp_path: Path, store: Path, photos: Path) -> None:
    names = ("efficientdet_lite0_voc", "retinanet_lite0_voc")
    defaults = {"score_threshold": 0.3, "iou_threshold": 0.5, "max_detections": 100}
    versions = [
        copy_package(store / name / "1", tmp_path, "voc", version, defaults=defaults)
        for version, name in enumerate(names, start=1)
    ]
    files = sorted(photos.glob("*.jpg"))
    columns = [PackageColumn(open_package(version)) for version in versions]
    answers = [column.answer(files, ignore_progress) for column in columns]
    expected = agreement(columns[1].manifest, answers[1], answers[0])
    settings = Settings(
        model_store=tmp_path,
        watch_seconds=0,
        concurrent_runs=1,
        decoding="in_process",
        reduce_jpegs=False,
    )
    engine = Engine(settings, Metrics(lambda: ServiceState()))
    try:
        engine.rollouts.begin("voc", Plan(version="2", shadow=Shadow(share=1))).result(120)
        asyncio.run(ask_for_all(engine, files))
        found = report(engine.rollouts.all[0])
    finally:
        engine.close()
    assert found.compared == len(files)
    assert found.agreement is not None
    assert expected is not None
    assert 0.2 < expected < 1
    assert found.agreement.value == pytest.approx(expected, abs=1e-6)
