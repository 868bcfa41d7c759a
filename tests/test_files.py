"""Files and folders that are replaced whole or not at all."""

import os

import pytest

from dsr_tf.files import replacing

OLD = ["nothing", "file", "folder", "link", "link to folder", "dead link"]


def write(path, kind, text):
    """Writes something of a kind that holds a text."""
    if kind == "file":
        path.write_text(text)
    elif kind == "folder":
        path.mkdir()
        (path / "inner").write_text(text)
    elif kind != "nothing":
        aim = path.parent / "elsewhere" / "aim"
        aim.parent.mkdir()
        if kind != "dead link":
            write(aim, "folder" if kind == "link to folder" else "file", text)
        path.symlink_to(aim)


def contents(folder):
    """Returns every file below a folder, and where every link leads."""
    return {
        str(path.relative_to(folder)): (
            os.readlink(path) if path.is_symlink() else path.read_text()
        )
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def only(kind, text):
    """Returns the contents of a folder that holds `name` alone."""
    return {"name/inner" if kind == "folder" else "name": text}


def elsewhere(folder):
    """Returns what a link at `name` leads to."""
    return {k: v for k, v in contents(folder).items() if "elsewhere" in k}


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("new", ["file", "folder"])
def test_what_was_there_is_replaced(tmp_path, old, new):
    write(tmp_path / "name", old, "old")
    aim = elsewhere(tmp_path)
    # Twice, as the first may leave what hinders the second.
    for text in ("new", "newer"):
        with replacing(tmp_path / "name") as partial:
            assert partial.parent == tmp_path and partial.name[0] == "."
            assert not os.path.lexists(partial)
            write(partial, new, text)
        assert contents(tmp_path) == {**aim, **only(new, text)}
        assert not (tmp_path / "name").is_symlink()
    assert {x.name for x in tmp_path.iterdir()} <= {"name", "elsewhere"}


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("new", ["file", "folder"])
def test_a_block_that_raises_leaves_what_was_there(tmp_path, old, new):
    write(tmp_path / "name", old, "old")
    before = contents(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        with replacing(tmp_path / "name") as partial:
            write(partial, new, "half")
            raise KeyboardInterrupt
    assert contents(tmp_path) == before
    assert {x.name for x in tmp_path.iterdir()} <= {"name", "elsewhere"}


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("new", ["file", "folder"])
def test_a_move_that_fails_leaves_what_was_there(
    tmp_path, monkeypatch, old, new
):
    write(tmp_path / "name", old, "old")
    before = contents(tmp_path)
    move = os.replace

    def fails(source, target):
        if ".partial." in str(source):
            raise OSError(28, "No space left on device")
        move(source, target)

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="No space left"):
        with replacing(tmp_path / "name") as partial:
            write(partial, new, "new")
    assert contents(tmp_path) == before
    assert {x.name for x in tmp_path.iterdir()} <= {"name", "elsewhere"}


def test_a_block_that_writes_nothing_leaves_what_was_there(tmp_path):
    write(tmp_path / "name", "folder", "old")
    with pytest.raises(FileNotFoundError):
        with replacing(tmp_path / "name"):
            pass
    assert contents(tmp_path) == only("folder", "old")


@pytest.mark.parametrize("left", ["file", "folder", "link", "link to folder"])
def test_what_a_killed_process_left_is_removed(tmp_path, left):
    partial = tmp_path / ".partial.name"
    write(partial, left, "left")
    aim = elsewhere(tmp_path)
    # As if it had been killed between the two moves of a folder.
    write(tmp_path / ".old.name", "folder", "old")
    with replacing(tmp_path / "name") as found:
        assert found == partial
        write(found, "file", "new")
    assert contents(tmp_path) == {**aim, **only("file", "new")}


def test_a_file_is_replaced_in_one_step(tmp_path, monkeypatch):
    write(tmp_path / "name", "file", "old")
    moves = []
    move = os.replace

    def noted(*paths):
        moves.append(paths)
        move(*paths)

    monkeypatch.setattr("os.replace", noted)
    with replacing(tmp_path / "name") as partial:
        write(partial, "file", "new")
    assert moves == [(partial, tmp_path / "name")]


def test_the_partial_file_has_the_ending_of_the_file():
    with pytest.raises(FileNotFoundError):
        with replacing("model.keras") as partial:
            assert partial.suffix == ".keras"


@pytest.mark.parametrize("path", [".", "..", "/", "a/.."])
def test_a_path_without_a_name_is_refused(path):
    with pytest.raises(ValueError, match="`path` must end in the name"):
        with replacing(path):
            pass
