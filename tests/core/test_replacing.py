"""A file that appears when it is whole: what was there before, its mode, links, what is left."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from vinci_code.core.replacing import written_whole


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "place"
    made.mkdir()
    return made


def write(file: Path, data: bytes, *, private: bool = False) -> None:
    with written_whole(str(file), private=private) as raw:
        raw.write(data)


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_it_appears_when_it_is_whole(place: Path) -> None:
    file = place / "a"
    with written_whole(str(file)) as raw:
        raw.write(b"new")
        assert not file.exists()
    assert file.read_bytes() == b"new"
    assert list(place.iterdir()) == [file]


def test_what_was_there_stays_where_it_fails(place: Path) -> None:
    file = place / "a"
    file.write_bytes(b"old")
    with pytest.raises(TypeError), written_whole(str(file)) as raw:
        raw.write(b"new" + str(file))  # type: ignore[operator]
    assert file.read_bytes() == b"old"
    assert list(place.iterdir()) == [file]


@pytest.mark.skipif(os.name == "nt", reason="a mode tells nothing there")
def test_the_mode(place: Path) -> None:
    file, plain = place / "a", place / "plain"
    plain.write_bytes(b"")
    write(file, b"new")
    assert mode_of(file) == mode_of(plain)
    file.chmod(0o640)
    write(file, b"newer")
    assert mode_of(file) == 0o640
    write(file, b"newest", private=True)
    assert mode_of(file) == 0o600
    write(place / "b", b"new", private=True)
    assert mode_of(place / "b") == 0o600


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("private", [False, True])
def test_what_a_link_points_to_is_replaced(place: Path, private: bool) -> None:
    target, link = place / "target", place / "link"
    target.write_bytes(b"old")
    link.symlink_to("target")
    write(link, b"new", private=private)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("private", [False, True])
def test_what_lies_under_the_name_beside_it_is_not_followed(place: Path, private: bool) -> None:
    others, file = place / "others", place / "a"
    others.write_bytes(b"theirs")
    beside = place / f".a.{os.getpid()}.unfinished"
    beside.symlink_to(others)
    write(file, b"new", private=private)
    assert others.read_bytes() == b"theirs"
    assert not file.is_symlink()
    assert file.read_bytes() == b"new"
    assert not beside.is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes of this kind")
def test_a_pipe_is_written_to(place: Path) -> None:
    pipe = place / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b"new")
    reader.join(PATIENCE_S)
    assert read == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_place_that_cannot_be_written_is_named(place: Path) -> None:
    for file in (place, place / "no" / "folder"):
        with pytest.raises(OSError, match=str(file)):
            write(file, b"new")
    assert list(place.iterdir()) == []
