import json
import threading

import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.distribute import OtherWorkerError
from dsr_tf.distribute import agree
from dsr_tf.distribute.differences import check_alike
from dsr_tf.distribute.differences import differences
from tests.distributed.agree import TEXTS
from tests.processes import run_workers


class Together:
    """Workers as threads, which gather through a list."""

    def __init__(self, monkeypatch, num_workers, num_replicas=1):
        self.rows = [None] * num_workers
        self.num_replicas = num_replicas
        self.barrier = threading.Barrier(num_workers, timeout=60)
        monkeypatch.setattr(agree, "has_workers", lambda strategy: True)
        monkeypatch.setattr(agree, "worker_index", lambda strategy: strategy)
        monkeypatch.setattr(agree, "gather", self.gather)

    def gather(self, strategy, numbers):
        self.barrier.wait()
        self.rows[strategy] = numbers
        self.barrier.wait()
        # TensorFlow need not sort tasks by number.
        rows = [*self.rows[::-1]] * self.num_replicas
        assert len({len(row) for row in rows}) == 1
        return np.array(rows, np.int64)

    def run(self, function):
        """Calls it with the index of each worker; returns what each gets."""
        found = [None] * len(self.rows)

        def call(index):
            try:
                found[index] = function(index)
            except BaseException as error:
                found[index] = error

        threads = [
            threading.Thread(target=call, args=(i,)) for i in range(len(found))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize(
    "given",
    [
        ["", "", ""],
        ["a", "bcdefgh", "ijklmnop"],
        ["\0", "", "x\0"],
        ["naïve 漢字", "x" * 10_001, "\udc80"],
        [str(i) for i in range(12)],
    ],
)
def test_texts_come_in_the_order_of_the_workers(
    monkeypatch, given, num_replicas
):
    together = Together(monkeypatch, len(given), num_replicas)
    found = together.run(lambda index: agree.texts(index, given[index]))
    assert found == [given] * len(given)


def test_one_worker_agrees_with_itself():
    strategy = tf.distribute.get_strategy()
    assert agree.texts(strategy, "é") == ["é"]
    assert agree.largest(strategy, [3, -1]) == [3, -1]
    check_alike(strategy, {"--seed": "0"})
    with pytest.raises(ValueError, match="^mine$"):
        with agree.agree_on(strategy):
            raise ValueError("mine")


def test_all_end_when_one_fails(monkeypatch):
    def work(index):
        with agree.agree_on(index):
            if index == 1:
                raise ValueError("`x` is bad")

    first, second, third = Together(monkeypatch, 3).run(work)
    assert type(second) is ValueError and str(second) == "`x` is bad"
    for other in (first, third):
        assert type(other) is OtherWorkerError
        assert str(other) == "worker 1 ended: `x` is bad"
        assert not other.was_stopped


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(75)])
def test_all_end_when_one_is_stopped(monkeypatch, end):
    def work(index):
        with agree.agree_on(index):
            if index == 0:
                raise end

    first, second = Together(monkeypatch, 2).run(work)
    assert first is end
    assert str(second) == "worker 0 ended: it was asked to stop"
    assert second.was_stopped


def test_an_error_without_a_message_is_named(monkeypatch):
    def work(index):
        with agree.agree_on(index):
            if index == 0:
                raise MemoryError

    _, second = Together(monkeypatch, 2).run(work)
    assert str(second) == "worker 0 ended: MemoryError"


def test_differing_facts_are_named_on_all_workers(monkeypatch):
    facts = [
        {"--seed": "0", "--epochs": "2", "data": "mnist"},
        {"--seed": "1", "--epochs": "2", "data": "mnist"},
        {"--seed": "0", "--epochs": "2", "data": "mnist", "--l1": "0.5"},
    ]
    together = Together(monkeypatch, 3)
    errors = together.run(lambda index: check_alike(index, facts[index]))
    for error in errors:
        assert type(error) is ValueError
        assert str(error) == (
            "The workers must have the same flags, data and code. Received: "
            "--seed is 0 on workers 0, 2 and 1 on worker 1; "
            "--l1 is not given on workers 0, 1 and 0.5 on worker 2"
        )


def test_equal_facts_do_not_differ():
    assert differences([{"a": "1", "b": "2"}, {"b": "2", "a": "1"}]) == []


def test_long_values_are_shown_where_they_differ():
    long = "x" * 200
    (text,) = differences([{"a": f"{long}1{long}"}, {"a": f"{long}2"}])
    assert text == (
        f"a is …{'x' * 20}1{'x' * 39}… on worker 0 and …{'x' * 20}2 on worker 1"
    )
    (text,) = differences([{"a": ""}, {"a": "a\nb" + long}])
    assert text == f"a is empty on worker 0 and a b{'x' * 57}… on worker 1"


def test_a_worker_that_settles_last_is_not_disturbed(monkeypatch):
    def gone(strategy, numbers):
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    together = Together(monkeypatch, 2)
    monkeypatch.setattr(agree, "gather", gone)
    assert together.run(agree.settle) == [None, None]


@pytest.mark.slow
def test_two_workers_agree(starter, tmp_path):
    run_workers(starter, "agree.py", tmp_path)
    first, second = (
        json.loads((tmp_path / f"worker_{i}.json").read_text())
        for i in range(2)
    )
    assert first.pop("is_chief") and not second.pop("is_chief")
    own = [
        ["ValueError: `x` is bad", "OtherWorkerError: worker 1 ended: it was "
         "asked to stop"],
        ["OtherWorkerError: worker 0 ended: `x` is bad", "KeyboardInterrupt: "],
    ]  # fmt: skip
    assert [first.pop("failed"), second.pop("failed")] == own
    assert first == second
    assert first["largest"] == [1, 0, 2**62 + 1]
    pairs = [[TEXTS[i], TEXTS[(i + 1) % 3]] for i in range(3)]
    assert first["texts"] == pairs
    assert first["same"] == first["none"] == "no error"
    assert first["differing"] == (
        "ValueError: The workers must have the same flags, data and code. "
        "Received: --seed is 0 on worker 0 and 1 on worker 1; "
        "--late is not given on worker 0 and 1 on worker 1"
    )
    assert first["after"] == [1]
