"""Finds good defaults of callbacks: how much to move, and how often.

    python -m benchmarks.defaults --out=FILE [--networks=mlp,...]
        [--optimizers=sgd,...] [--methods=static,...] [--seeds=0,...]
    python -m benchmarks.defaults --table FILE
    python -m benchmarks.defaults --quick

Four networks are trained by two optimizers each, at a sparsity of .95, with
SET, RigL and DSR: a perceptron and a transformer on MNIST
(`block_networks.py`), and WRN-10-1 and MobileNetV2, of a width of .35, on
CIFAR-10. Each has one setting changed: the share that moves at first, or how
often weights move in a training. Accuracies are those of the last epoch on a
part of the training images that is not trained on, so that no test image
chooses a setting. What FILE holds is not run again, so a stopped benchmark goes
on.
"""

import argparse
import functools
import json
import os
import statistics
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

import dsr_tf
from benchmarks import block_networks
from benchmarks import command
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import RigL
from dsr_tf.data import ImageSet
from dsr_tf.data import load_images
from dsr_tf.files import replacing
from dsr_tf.models import wide_resnet
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import Times

SPARSITY = 0.95
BATCH_SIZE = 100
# Those of the callbacks.
SHARE, TIMES = 0.3, 100
# Where masks stop changing, as a share of the training.
STOP = 0.75


def _wide_resnet(shape: tuple[int, ...], num_classes: int) -> keras.Model:
    return wide_resnet(
        depth=10,
        width=1,
        input_shape=shape,
        num_classes=num_classes,
        sparsity=None,
    )


def _mobilenet(shape: tuple[int, ...], num_classes: int) -> keras.Model:
    network = keras.applications.MobileNetV2(
        shape,
        0.35,
        weights=None,
        classes=num_classes,
        classifier_activation=None,
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # The averages of 0.999 take more steps than there are to settle.
            layer.momentum = 0.9
    return network


# The network, its images, how many of them to train on, and epochs.
TASKS: dict[str, tuple[Callable[..., keras.Model], str, int, int]] = {
    "mlp": (block_networks.mlp, "mnist", 50_000, 4),
    "transformer": (block_networks.transformer, "mnist", 20_000, 2),
    "wrn_10_1": (_wide_resnet, "cifar10", 20_000, 3),
    "mobilenet_v2": (_mobilenet, "cifar10", 20_000, 3),
}
OPTIMIZERS: dict[str, Callable[[Any], keras.optimizers.Optimizer]] = {
    "sgd": lambda rate: keras.optimizers.SGD(rate(0.1), 0.9, clipnorm=5.0),
    "adam": lambda rate: keras.optimizers.Adam(rate(0.002)),
}
METHODS = {"static": None, "set": SET, "dsr": DSR, "rigl": RigL}


@dataclass(frozen=True)
class Run:
    """The settings of a training.

    Args:
        network: A name in `TASKS`.
        optimizer: A name in `OPTIMIZERS`.
        method: A name in `METHODS`.
        share: Share of the weights that move at first; None if static.
        times: How often they move in the training; None if static.
        seed: Of weights, masks, moves and the order of images.
    """

    network: str
    optimizer: str
    method: str
    share: float | None
    times: int | None
    seed: int


def planned(
    networks: Sequence[str],
    optimizers: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
) -> list[Run]:
    """Returns the runs, those of one network after another."""
    return [
        Run(network, optimizer, method, *setting, seed)
        for seed in seeds
        for network in networks
        for optimizer in optimizers
        for method in methods
        for setting in _tried(method)
    ]


def _tried(method: str) -> list[tuple[float | None, int | None]]:
    """Returns pairs of share and times, each but for one thing the default."""
    if METHODS[method] is None:
        return [(None, None)]
    shares = [(share, TIMES) for share in (0.1, SHARE, 0.5)]
    return [*shares, (SHARE, 30), (SHARE, 300)]


@functools.cache
def images(network: str, quick: bool) -> ImageSet:
    _, name, count, _ = TASKS[network]
    if quick:
        return load_images("digits")
    return load_images(
        name,
        train_split=f"train[:{count}]",
        test_split="train[-5000:]",
    )


def accuracy(run: Run, quick: bool = False) -> float:
    """Trains, and returns the accuracy of the last epoch, in %."""
    # Models of earlier runs would stay in memory, and their names counted on.
    keras.backend.clear_session()
    keras.utils.set_random_seed(run.seed)
    make, _, _, epochs = TASKS[run.network]
    data = images(run.network, quick)
    steps = 2 if quick else data.num_train // BATCH_SIZE
    model = dsr_tf.sparsify(
        make(data.image_shape, data.num_classes), SPARSITY, seed=run.seed
    )
    rate = functools.partial(
        keras.optimizers.schedules.CosineDecay, decay_steps=epochs * steps
    )
    model.compile(
        OPTIMIZERS[run.optimizer](rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        data.train_batches(BATCH_SIZE, run.seed),
        epochs=epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=_moves(run),
    )
    found = model.evaluate(data.eval_batches(), verbose=0, return_dict=True)
    return round(100 * found["accuracy"], 2)


def _moves(run: Run) -> list[keras.callbacks.Callback]:
    moves = METHODS[run.method]
    if moves is None:
        return []
    share = Cosine(run.share, 0.0, STOP)
    return [moves(share, Times(run.times), stop=STOP, seed=run.seed)]


def run_all(runs: Sequence[Run], path: Path) -> list[dict[str, Any]]:
    """Runs what a file does not hold yet, and adds each result to it."""
    records = json.loads(path.read_text()) if path.exists() else []
    known = [{k: row[k] for k in Run.__annotations__} for row in records]
    for run in runs:
        if asdict(run) in known:
            continue
        records.append({**asdict(run), "accuracy": accuracy(run)})
        print(records[-1], flush=True)
        with replacing(path) as partial:
            rows = ",\n".join(map(json.dumps, records))
            partial.write_text(f"[\n{rows}\n]\n")
    return records


def show(records: Sequence[dict[str, Any]]) -> None:
    """Prints accuracies of each training, and their means over all."""
    columns = list(
        dict.fromkeys((row["network"], row["optimizer"]) for row in records)
    )
    settings = list(dict.fromkeys(map(_setting, records)))
    found = {
        (_setting(row), row["network"], row["optimizer"], row["seed"]): row[
            "accuracy"
        ]
        for row in records
    }

    def cell(setting: Any, column: Any) -> float | None:
        of = [v for k, v in found.items() if k[:3] == (setting, *column)]
        return statistics.mean(of) if of else None

    rows = []
    for setting in settings:
        method, share, times = setting
        values = [cell(setting, column) for column in columns]
        whole = [x for x in values if x is not None]
        mean = statistics.mean(whole) if len(whole) == len(values) else None
        cells = ["" if x is None else f"{x:.2f}" for x in [*values, mean]]
        rows.append([method, _text(share), _text(times), *cells])
    names = [", ".join(column) for column in columns]
    command.table(["method", "share", "times", *names, "mean"], rows)


def _setting(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["method"], row["share"], row["times"]


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Trains each network and method a little, to see that they run."""
    if not quick:
        raise ValueError(
            "`quick` must be True, as all runs take hours. Run "
            "`python -m benchmarks.defaults --out=FILE` instead. "
            f"Received: quick={quick}"
        )
    runs = [
        Run("mlp", "sgd", "static", None, None, 0),
        Run("mlp", "adam", "set", SHARE, TIMES, 0),
        Run("wrn_10_1", "sgd", "dsr", SHARE, TIMES, 0),
        Run("transformer", "adam", "rigl", SHARE, TIMES, 0),
    ]
    return {
        "runs": [{**asdict(x), "accuracy": accuracy(x, True)} for x in runs]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(TASKS))
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--out", type=Path, help="file to add results to")
    parser.add_argument("--table", type=Path, help="file to show, and no run")
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    given = parser.parse_args()
    texts = (given.networks, given.optimizers, given.methods)
    names = [text.split(",") for text in texts]
    for chosen, known in zip(names, (TASKS, OPTIMIZERS, METHODS), strict=True):
        unknown = [x for x in chosen if x not in known]
        if unknown:
            parser.error(
                f"names must be of {', '.join(known)}, not {', '.join(unknown)}"
            )
    # One thread, so that a run does not depend on the number of processors.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if given.quick:
        show(measure(1, quick=True)["runs"])
    elif given.table:
        show(json.loads(given.table.read_text()))
    elif given.out:
        seeds = list(map(int, given.seeds.split(",")))
        show(run_all(planned(*names, seeds), given.out))
    else:
        parser.error("--out, --table or --quick must be given")


if __name__ == "__main__":
    main()
