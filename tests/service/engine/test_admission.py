"""What is let in is counted, bounded, and given back whatever happens."""

import threading
from contextlib import ExitStack

import pytest

from service.engine.admission import BULK_SHARE, LARGE_PHOTO, Admission
from service.inference.deadline import Priority
from service.problems import Problem

SOON, BULK = Priority.INTERACTIVE, Priority.BULK


@pytest.fixture
def admission() -> Admission:
    return Admission(max_images=8, max_bytes=1000, max_decoding=10_000)


def test_images_are_let_in_up_to_the_limit(admission: Admission) -> None:
    with admission.hold_images(5, SOON), admission.hold_images(3, SOON):
        with pytest.raises(Problem, match="8 images are in service; at most 8") as caught:
            admission.check(SOON)
        assert caught.value.code == "overloaded"
        with pytest.raises(Problem), admission.hold_images(1, SOON):
            pass
        assert admission.images == 8
    assert admission.images == 0
    admission.check(SOON)


def test_a_request_comes_in_whole_or_not_at_all(admission: Admission) -> None:
    with admission.hold_images(6, SOON):
        admission.check(SOON)
        with pytest.raises(Problem), admission.hold_images(3, SOON):
            pass
        assert admission.images == 6


def test_bulk_leaves_room_for_those_who_wait(admission: Admission) -> None:
    share = int(8 * BULK_SHARE)
    with admission.hold_images(share, BULK):
        with pytest.raises(Problem, match=f"at most {share}"), admission.hold_images(1, BULK):
            pass
        with pytest.raises(Problem, match=f"at most {share}"):
            admission.check(BULK)
        admission.check(SOON)
        with admission.hold_images(8 - share, SOON):
            assert admission.images == 8


def test_bulk_is_let_in_where_there_is_room_for_one() -> None:
    admission = Admission(max_images=1, max_bytes=1, max_decoding=1)
    admission.check(BULK)
    with admission.hold_images(1, BULK):
        assert admission.images == 1


def test_bodies_are_counted_as_they_come(admission: Admission) -> None:
    with admission.hold_bytes() as first, admission.hold_bytes() as second:
        first.add(600)
        second.add(300)
        assert admission.bytes == 900
        with pytest.raises(Problem, match="at most 1000"):
            second.add(101)
    assert admission.bytes == 0


def test_decoding_is_bounded_together(admission: Admission) -> None:
    with admission.hold_memory(6000), admission.hold_memory(4000):
        assert admission.decoding == 10_000
        with pytest.raises(Problem, match="take 10000 bytes") as caught:
            admission.hold_memory(1).__enter__()
    assert caught.value.code == "overloaded"
    assert admission.decoding == 0


def test_what_a_large_photo_leaves_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    admission = Admission(max_images=1, max_bytes=1, max_decoding=2 * LARGE_PHOTO)
    monkeypatch.setattr(
        "service.engine.admission.trim_memory", lambda: trimmed.append(admission.decoding)
    )
    with admission.hold_memory(LARGE_PHOTO - 1):
        pass
    with admission.hold_memory(LARGE_PHOTO):
        assert trimmed == []
    assert trimmed == [0]


@pytest.mark.parametrize("kind", ["images", "bytes", "decoding"])
def test_what_fails_gives_its_room_back(admission: Admission, kind: str) -> None:
    def fail() -> None:
        with ExitStack() as stack:
            if kind == "images":
                stack.enter_context(admission.hold_images(3, SOON))
            elif kind == "bytes":
                stack.enter_context(admission.hold_bytes()).add(10)
            else:
                stack.enter_context(admission.hold_memory(10))
            assert getattr(admission, kind) > 0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert getattr(admission, kind) == 0


def test_threads_lose_no_count(admission: Admission) -> None:
    def work() -> None:
        for _ in range(500):
            with ExitStack() as stack:
                try:
                    stack.enter_context(admission.hold_images(2, SOON))
                    stack.enter_context(admission.hold_bytes()).add(400)
                    stack.enter_context(admission.hold_memory(4000))
                except Problem:
                    pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (admission.images, admission.bytes, admission.decoding) == (0, 0, 0)


def test_what_never_fits_is_not_told_to_come_again(admission: Admission) -> None:
    with pytest.raises(Problem, match="9 images; at most 8") as images:
        admission.hold_images(9, SOON).__enter__()
    with admission.hold_bytes() as room:
        room.add(900)
        with pytest.raises(Problem, match="over 1000 bytes") as body:
            room.add(101)
    with pytest.raises(Problem, match="takes 10001 bytes; at most 10000") as photo:
        admission.hold_memory(10_001).__enter__()
    codes = [caught.value.code for caught in (images, body, photo)]
    assert codes == ["too_many_images", "body_too_large", "image_too_large"]
    assert (admission.images, admission.bytes) == (0, 0)
