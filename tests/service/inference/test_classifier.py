"""Serving a classifier: what a request asks of it."""

from types import SimpleNamespace

import pytest

from service.inference.classifier import Classifier
from service.manifest import ModelManifest
from service.parameters import ClassifyParameters
from service.problems import Problem


@pytest.mark.parametrize("number", [1001, 10**4000])
def test_more_classes_than_there_are_are_refused_in_short(
    manifest: ModelManifest, number: int
) -> None:
    classifier = Classifier(SimpleNamespace(manifest=manifest))
    with pytest.raises(Problem, match=r"^top_k = 10.*: .* has only 1000 classes\.$") as caught:
        classifier.to_query(ClassifyParameters(top_k=number))
    assert len(caught.value.detail) < 150
    assert classifier.to_query(ClassifyParameters(top_k=1000)).top_k == 1000
