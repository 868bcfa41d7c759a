import io
import time

import pytest

from dsr_tf import runs
from dsr_tf.runs import progress
from dsr_tf.runs.progress import Progress
from dsr_tf.runs.progress import duration
from tests.configs import config

CLEAR = "\r\x1b[K"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Returns the time, which tests change, in a list."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def train(bar, clock, epochs, steps, seconds=1.0):
    for epoch in epochs:
        bar.on_epoch_begin(epoch)
        for batch in range(steps):
            clock[0] += seconds
            bar.on_train_batch_end(batch)
        bar.on_epoch_end(epoch)


def test_a_bar_shows_steps_and_the_time_left(clock):
    terminal = Terminal()
    train(Progress(2, 4, terminal), clock, range(2), 4)
    *drawn, last = terminal.getvalue().split(CLEAR)[1:]
    assert last == ""
    assert drawn == [
        "epoch 1/2 [#####...............] 1/4",
        "epoch 1/2 [##########..........] 2/4  6 s left",
        "epoch 1/2 [###############.....] 3/4  5 s left",
        "epoch 1/2 [####################] 4/4  4 s left",
        "",
        "epoch 2/2 [#####...............] 1/4  3 s left",
        "epoch 2/2 [##########..........] 2/4  2 s left",
        "epoch 2/2 [###############.....] 3/4  1 s left",
        "epoch 2/2 [####################] 4/4  0 s left",
    ]


def test_short_epochs_have_no_bar(clock):
    terminal = Terminal()
    train(Progress(3, 10, terminal), clock, range(3), 10, seconds=0.01)
    assert terminal.getvalue() == CLEAR * 3


def test_logs_have_no_bar(clock):
    log = io.StringIO()
    train(Progress(3, 10, log), clock, range(3), 10)
    assert log.getvalue() == ""


def test_a_resumed_epoch_counts_its_own_steps(clock):
    terminal = Terminal()
    bar = Progress(2, 4, terminal)
    bar.on_epoch_begin(0)
    for batch in (2, 3):
        clock[0] += 1
        bar.on_train_batch_end(batch)
    drawn = terminal.getvalue().split(CLEAR)[1:]
    assert drawn[0].endswith("3/4") and drawn[1].endswith("4/4  4 s left")


@pytest.mark.parametrize(
    "seconds, text",
    [(0.2, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")],
)
def test_times_are_in_words(seconds, text):
    assert duration(seconds) == text


def test_a_run_on_a_terminal_shows_it(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress, "_PAUSE", 0.0)
    monkeypatch.setattr("sys.stdout", terminal)
    runs.run(config(tmp_path, epochs=1))
    printed = terminal.getvalue()
    assert "epoch 1/1 [" in printed
    # The line of the epoch begins where the bar was.
    assert f"{CLEAR}epoch 1/1  loss" in printed
