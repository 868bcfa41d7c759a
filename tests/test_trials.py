"""Runs that are stopped at random moments; `python -m tests.trials` tries more.

With `TRIES=10` in the environment each run is stopped so often.
"""

import functools
import os
import random

import pytest

from tests.trials import METHODS
from tests.trials import OTHERS
from tests.trials import SIGNALS
from tests.trials import Trials
from tests.trials import race
from tests.trials import stop_often

pytestmark = pytest.mark.slow

# The others have less to forget.
MOVING = ("dsr", "set", "deepr", "compressed")
TRIES = int(os.environ.get("TRIES", "0"))


@pytest.fixture(scope="module")
def trials_of(starter, tmp_path_factory):
    """Returns the trials of a method, whose unbroken run is done once."""

    @functools.cache
    def make(method, workers=1):
        folder = tmp_path_factory.mktemp(f"{method}_{workers}")
        return Trials(starter, folder, method, workers)

    return make


def stopped(trials, method):
    """Stops a run by some signals, others for each method, or by all often."""
    first = list(METHODS).index(method) % len(SIGNALS)
    names = SIGNALS[first:] + SIGNALS[:first]
    tries = TRIES or (2 if trials.workers > 1 or method in MOVING else 1)
    survived = stop_often(trials, tries, random.Random(method), names)
    assert set(survived) == set(names[:tries])
    assert sum(survived.values()) >= tries


@pytest.mark.parametrize("method", METHODS)
def test_runs_survive_every_signal(trials_of, method):
    stopped(trials_of(method), method)


@pytest.mark.parametrize("method", METHODS if TRIES else ["dsr"])
def test_workers_survive_every_signal(trials_of, method):
    stopped(trials_of(method, workers=2), method)


def test_no_signal_to_a_worker_is_lost(trials_of):
    trials = trials_of("set", workers=2)
    assert race(trials, TRIES or 2, random.Random(0)) == (TRIES or 2)


@pytest.mark.parametrize("kind", OTHERS)
def test_runs_survive_other_faults(trials_of, kind):
    trials = trials_of("dsr")
    assert OTHERS[kind](trials, TRIES or 1, random.Random(kind)) == (TRIES or 1)
