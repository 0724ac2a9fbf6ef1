"""The deliveries that are kept, in memory and in a file."""

import errno
import os
import subprocess
import sys

import pytest

from port_webhook.devtools import _history
from port_webhook.devtools._history import Forwarded, History, Record


def record(body=b"{}", **fields):
    found = Record(1.5, "http", "POST", "/port?x=1", [("A", "é"), ("A", "b")], body)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def keep(history, *records):
    for each in records:
        history.add(each)
        history.finish(each, 202, None)


def test_the_last_ones_are_kept():
    history = History(2)
    keep(history, record(b"1"), record(b"2"), record(b"3"))
    assert [each.body for each in history.since(0)] == [b"2", b"3"]
    assert (len(history), history.first_id) == (2, 2)
    assert history.get(1) is None


def test_what_changed_is_found_by_its_version():
    history = History(5)
    first, second = record(), record()
    history.add(first)
    history.add(second)
    seen = history.version
    history.finish(first, 202, None)
    assert history.since(seen) == [first]
    assert history.since(0) == [second, first]


def test_one_that_had_to_go_is_not_changed():
    history = History(1)
    gone = record()
    history.add(gone)
    keep(history, record())
    seen = history.version
    history.finish(gone, 202, None)
    assert history.version == seen
    assert History(1).first_id == 1


def test_bytes_are_bounded_too_but_one_is_always_kept(monkeypatch):
    monkeypatch.setattr(_history, "_MAX_BYTES", 5000)
    history = History(100)
    for size in (1000, 1000, 1000, 9000):
        keep(history, record(b"x" * size))
    assert [len(each.body) for each in history.since(0)] == [9000]


def test_everything_survives_in_the_file(tmp_path):
    file = tmp_path / "history"
    forwarded = Forwarded("http://a/", 0.5, 201, [("B", "ö")], b"\xff", None)
    whole = record(
        b"\x00\xff",
        payload=b"null",
        verified=True,
        via="agent",
        secret_index=0,
        shape="CustomPayload",
        action="a",
        run_id="r_\ud800",
    )
    refused = record(code="missing_header", reason="because")
    history = History(5, file)
    history.add(whole)
    history.finish(whole, 202, forwarded)
    keep(history, refused)

    again = History(5, file)
    assert again.skipped == 0
    found = again.since(0)
    for each in (whole, refused, *found):
        each.version = 0
    assert found == [whole, refused]
    keep(again, record())
    assert sorted(each.id for each in again.since(-1)) == [1, 2, 3]


def test_lines_that_cannot_be_read_are_skipped(tmp_path):
    file = tmp_path / "history"
    keep(History(5, file), record())
    good = file.read_bytes()
    bad = [
        b"[]",
        b"{",
        b"{}",
        b"\xff",
        b"[" * 200_000,
        good[: len(good) // 2],
        good.replace(b'"id":1', b'"id":0').strip(),
        good.replace(b'"POST"', b"7").strip(),
        good.replace(b'"e30="', b'"?"').strip(),
        good.replace(b"1.5", b'"x"').strip(),
    ]
    file.write_bytes(b"\n".join([good.strip(), *bad]))
    history = History(5, file)
    assert (len(history), history.skipped) == (1, len(bad))
    assert file.read_bytes() == good


def test_the_file_stays_bounded(tmp_path):
    file = tmp_path / "history"
    history = History(2, file)
    for _ in range(250):
        keep(history, record())
    assert len(file.read_bytes().splitlines()) <= 104


def test_a_link_to_the_file_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    keep(History(2, tmp_path / "link"), record())
    assert (tmp_path / "link").is_symlink()
    assert len(History(2, tmp_path / "file")) == 1


def test_a_folder_is_no_history(tmp_path):
    with pytest.raises(OSError, match=r"."):
        History(2, tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_what_is_no_file_is_left_alone(tmp_path):
    # A pipe of our own: as root, a mistake would replace a device of the machine.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is not a file"):
        History(2, pipe)
    assert pipe.is_fifo()


@pytest.mark.parametrize("text", [b"my notes\nline 2\n", b"a line", b'{"a": 1}'])
def test_a_file_of_something_else_is_left_alone(tmp_path, text):
    file = tmp_path / "notes"
    file.write_bytes(text)
    with pytest.raises(OSError, match="not overwritten"):
        History(2, file)
    assert file.read_bytes() == text


def test_a_file_that_cannot_be_written_is_given_up_with_a_word(tmp_path):
    words = []
    folder = tmp_path / "folder"
    folder.mkdir()
    history = History(2, folder / "file", words.append)
    (folder / "file").unlink()
    folder.rmdir()
    keep(history, record(), record())
    assert len(words) == 1
    assert "cannot be written" in words[0]
    assert len(history) == 2


FULL = """
import resource, signal, sys
from pathlib import Path
from port_webhook.devtools._history import History, Record

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, at_start = Path(sys.argv[1]), sys.argv[2] == "start"
words = []


def record(size):
    return Record(1.5, "http", "POST", "/", [], b"x" * size)


def keep(history, each):
    history.add(each)
    history.finish(each, 202, None)


def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


history = History(9, folder / "file", words.append)
if at_start:
    keep(history, record(2000))
    limit(1000)
    try:
        History(9, folder / "file")
    except OSError as error:
        words.append(str(error))
else:
    limit(3000)
    for size in (500, 5000, 500):
        keep(history, record(size))
print(len(words), len(history), words[0])
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the size of a file")
@pytest.mark.parametrize("when", ["start", "later"])
def test_a_full_disk_costs_no_line_that_was_there(tmp_path, when):
    command = [sys.executable, "-c", FULL, str(tmp_path), when]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, held, words = done.stdout.split(" ", 2)
    assert (count, int(held)) == ("1", 1 if when == "start" else 3)
    assert "large" in words.lower()
    # Nothing is left of what was not written.
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    again = History(9, tmp_path / "file")
    assert (len(again), again.skipped) == (1, 0)


@pytest.mark.parametrize("when", ["start", "later"])
def test_a_write_that_fails_half_way_is_undone(tmp_path, monkeypatch, when):
    words = []
    file = tmp_path / "history"
    keep(History(9, file), record())
    good = file.read_bytes()
    history = History(9, file, words.append)

    def fail(opened, data):
        opened.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_history, "_write_all", fail)
    if when == "start":
        with pytest.raises(OSError, match="No space"):
            History(9, file)
    else:
        keep(history, record())
        assert len(words) == 1
    assert file.read_bytes() == good
    assert [each.name for each in tmp_path.iterdir()] == ["history"]
