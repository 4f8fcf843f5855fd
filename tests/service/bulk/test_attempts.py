"""Photos that crash the process are found from the third attempt on."""

from pathlib import Path

from service.bulk.attempts import Attempts
from service.bulk.folder import Folder


def die_at(folder: Folder, photo: int | None) -> Attempts:
    """An attempt that ends without `end`, at a photo if photos are answered one at a time."""
    attempts = Attempts(folder, 3)
    attempts.begin()
    if attempts.careful and photo is not None:
        attempts.note(photo)
    return attempts


def test_the_photo_at_which_it_dies_twice_is_left_out(here: Folder) -> None:
    tried = [die_at(here, 7) for _ in range(5)]
    assert [attempts.careful for attempts in tried] == [False, False, True, True, True]
    assert [attempts.fatal for attempts in tried] == [set(), set(), set(), set(), {7}]


def test_a_node_that_is_lost_blames_no_photo(here: Folder) -> None:
    for photo in (None, None, 4, 9):
        die_at(here, photo)
    assert die_at(here, None).fatal == set()


def test_several_photos_can_be_fatal(here: Folder) -> None:
    for photo in (None, None, 2, 2, 5, 5):
        die_at(here, photo)
    assert die_at(here, None).fatal == {2, 5}


def test_a_shard_that_is_done_leaves_no_file(here: Folder, tmp_path: Path) -> None:
    attempts = die_at(here, None)
    assert len(list(tmp_path.iterdir())) == 1
    attempts.end()
    attempts.end()
    assert list(tmp_path.iterdir()) == []
    again = die_at(here, None)
    assert again.begun == 1
