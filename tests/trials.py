"""What befalls runs, tried at random, and whether they end as if it had not.

    python -m tests.trials [--tries=10] [--races=50] [--seed=0]

A run of every method is stopped at random moments by every signal, in one
process and by two workers, and goes on each time; then all that it wrote is
compared with a run that nothing stopped. Other faults follow. It ends with an
error at the first that is not survived; the table of `docs/distributed.md` is
written where all are.
"""

import argparse
import functools
import json
import os
import random
import re
import resource
import shutil
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from tests.event_file import read
from tests.forking import Starter
from tests.processes import tf_configs

LOGGED = ("--tensorboard",)
METHODS = {
    "dsr": ("--num_pruned=50", *LOGGED),
    "set": LOGGED,
    "deepr": LOGGED,
    "compressed": ("--num_prunes=2", *LOGGED),
    "static": LOGGED,
    "hashed": LOGGED,
    "dense": (),
    "thin_dense": ("--width=0.5",),
}
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
FLAGS = (
    *("--epochs=6", "--period=3", "--checkpoint_steps=2", "--batch_size=50"),
    *("--train_examples=300", "--keep_best=val_accuracy"),
)
RESUME = 75
# A process takes some seconds; many times as long where others use the machine.
PATIENCE = 300


class Trials:
    """Runs of one method, alone or by two workers.

    Args:
        starter: Starts runs.
        folder: Where they write.
        method: Name of the method.
        workers: How many processes train together.
    """

    def __init__(self, starter, folder, method, workers=1):
        self.starter, self.folder, self.workers = starter, folder, workers
        self.flags = [*FLAGS, *METHODS[method], f"--method={method}"]
        if method == "compressed":
            dense = folder / "network"
            self._finish(dense, ["--method=dense", "--epochs=1"])
            self.flags.append(f"--init_from={dense}")

    @functools.cached_property
    def expected(self):
        """Returns what a run writes that nothing stops."""
        whole = self.folder / "whole"
        self._finish(whole, self.flags)
        return contents(whole)

    def start(self, path, flags=None):
        """Starts the processes of a run."""
        given = [*(flags or self.flags), f"--run_dir={path}"]
        if self.workers == 1:
            return [self.starter.start(*given)]
        return [
            self.starter.start(*given, "--strategy=multi_worker", TF_CONFIG=x)
            for x in tf_configs(self.workers)
        ]

    def finish(self, path):
        """Lets a run go on to its end; it is finished afterwards."""
        if not (path / "summary.json").exists():
            self._finish(path, self.flags)

    def _finish(self, path, flags):
        for run in self.start(path, flags):
            status = run.wait(PATIENCE)
            assert status == 0, (status, run.text("stderr"))

    def check(self, path):
        """Raises an error if a finished run has not written what it should."""
        found, expected = contents(path), self.expected
        differing = [
            name
            for name in sorted(found | expected)
            if found.get(name) != expected.get(name)
        ]
        assert not differing, f"{path} has other {', '.join(differing)}"


def contents(path):
    """Returns all that a finished run has written, but times."""
    found = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.suffix == ".keras":
            with zipfile.ZipFile(file) as archive:
                found[name] = archive.read("model.weights.h5")
        elif name == "summary.json":
            summary = json.loads(file.read_text())
            found[name] = {
                k: v for k, v in summary.items() if not k.endswith("seconds")
            }
        elif name == "history.json":
            # When it was started, and how often, depends on the stops.
            first, *_ = json.loads(file.read_text())
            found[name] = sorted(first)
        elif file.is_file() and file.parent == path:
            found[name] = file.read_bytes()
    # How many were written depends on the stops.
    left = list((path / "checkpoints").iterdir())
    found["checkpoints"] = sorted(file.suffix for file in left)
    curves = path / "tensorboard"
    found["tensorboard"] = {
        tag: {step: value.tobytes() for step, value in rows.items()}
        for tag, rows in read(curves).items()
    }
    return found


def stop_often(trials, tries, rng, names=SIGNALS):
    """Stops a run, and runs after it, at so many moments in all.

    Returns:
        How many stops by each signal were heard, and led to the same result.
    """
    survived, pending, number = Counter(), [], 0
    # From the begin of the process to the end of an unbroken run, about.
    length = 4.0 * trials.workers
    while sum(survived.values()) + len(pending) < tries:
        path = trials.folder / f"run_{number}"
        name = names[(sum(survived.values()) + len(pending)) % len(names)]
        runs = trials.start(path)
        victim = rng.choice(runs)
        if victim.wait(rng.uniform(0.0, length)) is None:
            victim.send(name)
            pending.append(name)
        _wait_for_all(runs, name)
        if (path / "summary.json").exists():
            # It had ended before, or with the signal.
            trials.check(path)
            survived.update(pending)
            pending, number = [], number + 1
            length *= 0.8
    path = trials.folder / f"run_{number}"
    trials.finish(path)
    trials.check(path)
    survived.update(pending)
    return survived


def _wait_for_all(runs, name):
    """Waits until all processes of a run have ended, as they should.

    A worker that waits for one that has not begun to train is told too, as a
    scheduler does when one of its tasks ends.
    """
    for run in sorted(runs, key=lambda x: x.poll() is None):
        if run.wait(20) is None:
            run.send("SIGTERM")
        status = run.wait(PATIENCE)
        assert status is not None, f"{name} was not heard"
        errors = run.text("stderr")
        assert "Traceback" not in errors, errors
        # One whose partner has ended asks to be started again, too.
        allowed = {0, RESUME} | ({-9} if name == "SIGKILL" else set())
        assert status in allowed, (name, status, errors)


def race(trials, tries, rng):
    """Sends signals to workers that train, and so ask each other always."""
    survived = 0
    for number in range(tries):
        path = trials.folder / f"race_{number}"
        runs = trials.start(path)
        while not (path / "checkpoints").exists():
            assert all(run.wait(0.02) is None for run in runs)
        runs[0].wait(rng.uniform(0.0, 1.5))
        rng.choice(runs).send(rng.choice(SIGNALS[1:]))
        statuses = [run.wait(60) for run in runs]
        assert statuses in ([RESUME] * 2, [0] * 2), (
            statuses,
            [run.text("stderr") for run in runs],
        )
        survived += 1
        shutil.rmtree(path)
    return survived


def interrupted(trials, name="interrupted"):
    """Returns the folder of a run that was stopped in its middle."""
    path = trials.folder / name
    while True:
        (run,) = trials.start(path)
        while run.wait(0.02) is None:
            if len(list((path / "checkpoints").glob("*.index"))) >= 3:
                run.send("SIGTERM")
                if run.wait(PATIENCE) == RESUME:
                    return path
        shutil.rmtree(path)


def damage(trials, tries, rng, pattern):
    """Damages files of a stopped run, which then goes on or says why not."""
    source = interrupted(trials)
    survived = 0
    for number in range(tries):
        path = trials.folder / f"damaged_{number}"
        shutil.copytree(source, path)
        file = rng.choice(sorted(path.glob(pattern)))
        _damage(file, rng)
        (run,) = trials.start(path)
        status, errors = run.wait(PATIENCE), run.text("stderr")
        assert "Traceback" not in errors, errors
        if status == 0:
            trials.check(path)
        else:
            assert status == 1 and len(errors.splitlines()) == 1, errors
        survived += 1
        shutil.rmtree(path)
    shutil.rmtree(source)
    return survived


def _damage(path, rng):
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content) or 1)
    kind = rng.randrange(4)
    if kind == 0:
        content = content[:place]
    elif kind == 1 and content:
        content[place] ^= 1 << rng.randrange(8)
    elif kind == 2:
        content = bytearray(rng.randbytes(len(content)))
    if kind == 3:
        path.unlink()
    else:
        path.write_bytes(content)


def fill_disk(trials, tries, rng):
    """Lets writes fail from a random size on, as on a full disk."""
    survived = 0
    for number in range(tries):
        path = trials.folder / f"full_{number}"
        (run,) = trials.start(path)
        while not (path / "checkpoints").exists():
            assert run.wait(0.02) is None
        size = rng.randrange(100_000)
        resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, size))
        status, errors = run.wait(PATIENCE), run.text("stderr")
        assert status == 1 and len(errors.splitlines()) == 1, errors
        trials.finish(path)
        trials.check(path)
        survived += 1
        shutil.rmtree(path)
    return survived


def run_twice(trials, tries, rng):
    """Starts the same command, and other ones, while a run is there."""
    survived = 0
    for number in range(tries):
        path = trials.folder / f"twice_{number}"
        (first,) = trials.start(path)
        while not (path / "flags.cfg").exists():
            assert first.wait(0.02) is None
        first.wait(rng.uniform(0.0, 0.5))
        (second,) = trials.start(path, [*trials.flags, f"--seed={number % 2}"])
        assert second.wait(PATIENCE) == 1
        assert "is in use" in second.text("stderr"), second.text("stderr")
        assert first.wait(PATIENCE) == 0
        trials.check(path)
        survived += 1
        shutil.rmtree(path)
    return survived


def rows(tries, races, seed):
    """Yields kind of fault, tries, and how many were survived."""
    rng = random.Random(seed)
    with Starter() as starter, tempfile.TemporaryDirectory() as scratch:
        for workers in (1, 2):
            found = Counter()
            for method in METHODS:
                folder = Path(scratch) / f"{method}_{workers}"
                folder.mkdir()
                trials = Trials(starter, folder, method, workers)
                found += stop_often(trials, tries, rng)
                print(f"{method}, {workers}: {dict(found)}", flush=True)
            who = "one process" if workers == 1 else "one of two workers"
            for name in SIGNALS:
                yield f"{name} to {who}", found[name], found[name]
        (folder := Path(scratch) / "race").mkdir()
        pair = Trials(starter, folder, "dsr", 2)
        done = race(pair, races, rng)
        yield "a signal to one of two workers that train", races, done
        (folder := Path(scratch) / "others").mkdir()
        single = Trials(starter, folder, "dsr")
        for kind, make in OTHERS.items():
            yield kind, tries, make(single, tries, rng)


OTHERS = {
    "a damaged checkpoint": lambda *x: damage(*x, "checkpoints/*"),
    "damaged flags or metrics": lambda *x: damage(*x, "[fm]*.c*"),
    "a full disk": fill_disk,
    "a second run in the same folder": run_twice,
}
PAGE = Path(__file__).parents[1] / "docs" / "distributed.md"
BEGIN, END = "<!-- tried -->\n", "<!-- end of tried -->"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--races", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    lines = ["| what befell runs | tries | survived |", "|---|---|---|"]
    for row in rows(given.tries, given.races, given.seed):
        lines.append("| {} | {} | {} |".format(*row))
        print(lines[-1], flush=True)
    table = "\n".join(lines) + "\n"
    page = PAGE.read_text()
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    PAGE.write_text(
        re.sub(pattern, lambda _: BEGIN + table + END, page, flags=re.S)
    )


if __name__ == "__main__":
    # Workers of one machine share its cores.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
