from pathlib import Path

import pytest

from tests import rooms

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"


def test_every_room_has_its_place():
    assert {room for room, _ in rooms.files()} == set(rooms.ROOMS)


@pytest.mark.parametrize("room", rooms.ROOMS)
def test_imports_go_to_lower_rooms_alone(room):
    lower = rooms.ROOMS[: rooms.ROOMS.index(room)]
    upward = {b for a, b in rooms.arrows() if a == room} - set(lower)
    assert not upward


def test_methods_know_nothing_of_keras():
    for room, path in rooms.files():
        if room in ("checks", "budget", "schedules", "methods"):
            names = {m.split(".")[0] for m in rooms.imported(path)}
            assert "keras" not in names, path


def test_layers_know_nothing_of_methods():
    assert ("layers", "methods") not in rooms.arrows()
    assert ("graph", "methods") not in rooms.arrows()


def test_no_two_rooms_have_a_file_of_one_name():
    seen = {}
    for room, path in rooms.files():
        if path.stem != "__init__":
            assert seen.setdefault(path.stem, room) == room, path


def test_picture_is_that_of_the_code():
    assert f"```mermaid\n{rooms.picture()}\n```" in PAGE.read_text()
