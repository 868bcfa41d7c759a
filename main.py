"""Trains a sparse network. `python main.py --help` lists the flags."""

import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from absl import app
from absl import flags
from absl import logging


class _Schedule(flags.ArgumentParser):
    """Parses `0:0.1,25:0.02`, or one value for all epochs."""

    def __init__(self, number: type, above: float) -> None:
        self._number = number
        self._above = above
        self.syntactic_help = (
            f"one {number.__name__} above {above:g}, or a schedule of "
            "EPOCH:VALUE with an entry for epoch 0, such as 0:8,25:4"
        )

    def flag_type(self) -> str:
        return f"schedule of {self._number.__name__}"

    def parse(self, argument: Any) -> dict[int, Any]:
        if isinstance(argument, dict):
            return argument
        text = argument if ":" in argument else f"0:{argument}"
        pairs = [part.split(":") for part in text.split(",")]
        try:
            schedule = {int(e): self._number(value) for e, value in pairs}
        except ValueError as error:
            raise ValueError(f"must be {self.syntactic_help}") from error
        values = schedule.values()
        in_range = all(self._above < v < math.inf for v in values)
        ordered = list(schedule) == sorted(schedule) and min(schedule) == 0
        if not in_range or not ordered or len(schedule) < len(pairs):
            raise ValueError(f"must be {self.syntactic_help}")
        return schedule


class _ScheduleSerializer(flags.ArgumentSerializer):
    def serialize(self, value: dict[int, Any]) -> str:
        return ",".join(f"{epoch}:{v}" for epoch, v in value.items())


class _Number(flags.FloatParser):
    """Parses a finite number, at least `lower`, below or up to `upper`."""

    def __init__(
        self, lower: float = 0.0, below: float = math.inf, open: bool = False
    ) -> None:
        super().__init__()
        self._lower, self._below, self._open = lower, below, open
        self.syntactic_help = f"a number {'above' if open else 'from'} " + (
            f"{lower:g}" + (f", below {below:g}" if below < math.inf else "")
        )

    def parse(self, argument: Any) -> float:
        number = super().parse(argument)
        too_low = number <= self._lower if self._open else number < self._lower
        if too_low or not number < self._below:
            raise ValueError(f"must be {self.syntactic_help}")
        return number


def _define_number(name: str, default: float, help: str, **bounds: Any) -> Any:
    return flags.DEFINE(
        _Number(**bounds),
        name,
        default,
        help,
        serializer=flags.ArgumentSerializer(),
    )


def _define_schedule(
    name: str, default: str, help: str, number: type, above: float = 0
) -> Any:
    parser = _Schedule(number, above)
    return flags.DEFINE(
        parser, name, default, help, serializer=_ScheduleSerializer()
    )


_RUN_FLAGS = [
    flags.DEFINE_string(
        "dataset",
        "digits",
        "Data set: digits, which is built in, or an image-classification set "
        "of TensorFlow Datasets, such as mnist.",
    ),
    flags.DEFINE_enum("model", "lenet_300_100", ["lenet_300_100"], "Network."),
    flags.DEFINE_enum(
        "method",
        "dsr",
        ["dsr", "static"],
        "How the weights are kept within the budget: dsr moves them, static "
        "leaves them where they are.",
    ),
    _define_number(
        "sparsity", 0.9, "Fraction of zeros in the sparse tensors.", below=1
    ),
    flags.DEFINE_enum(
        "granularity", "weight", ["weight"], "What is moved as one."
    ),
    flags.DEFINE_integer("epochs", 100, "Epochs to train.", lower_bound=1),
    flags.DEFINE_integer(
        "batch_size", 100, "Images in a batch.", lower_bound=1
    ),
    _define_schedule(
        "learning_rate",
        "0:0.1,25:0.02,50:0.004,75:0.0008",
        "Learning rate, by epoch.",
        float,
    ),
    _define_number("momentum", 0.9, "Nesterov momentum.", below=1),
    _define_number("l1", 1e-4, "L1 penalty: adds l1 * sign(w) to gradients."),
    _define_number("l2", 0.0, "L2 penalty: adds l2 * w to gradients."),
    flags.DEFINE_integer(
        "num_pruned",
        150,
        "Weights to prune in a reallocation; the threshold adapts to it.",
        lower_bound=1,
    ),
    _define_number(
        "tolerance",
        0.1,
        "Fraction of num_pruned by which the count may miss before the "
        "threshold moves.",
        below=1,
    ),
    _define_number(
        "initial_threshold",
        1e-3,
        "Magnitude below which the first reallocation prunes.",
        open=True,
    ),
    _define_number(
        "regrow_stddev", 0.0, "Standard deviation of newly grown weights."
    ),
    _define_schedule(
        "period",
        "0:15,25:30,50:60,75:120",
        "Optimizer steps between reallocations, by epoch.",
        int,
    ),
    flags.DEFINE_integer(
        "stop_epoch",
        None,
        "Epoch from which on masks stay as they are.",
        lower_bound=0,
    ),
    flags.DEFINE_integer(
        "seed",
        0,
        "Seed of everything.",
        lower_bound=0,
        upper_bound=2**31 - 1,
    ),
    flags.DEFINE_string(
        "data_dir", None, "Where TensorFlow Datasets keeps prepared sets."
    ),
]
_RUN_DIR = flags.DEFINE_string(
    "run_dir",
    None,
    "Folder for the run's files. By default runs/ and a name made of data "
    "set, model, method, sparsity and seed.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace the finished run in run_dir."
)


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        _fail(f"unexpected argument '{argv[1]}'; flags begin with --", 2)
    if flags.FLAGS.verbosity <= 0:
        logging.set_verbosity(logging.ERROR)
    with _quiet_start():
        from dsr_tf import train
        from dsr_tf.data import DatasetUnavailableError
    settings = {flag.name: flag.value for flag in _RUN_FLAGS}
    config = train.Config(
        **settings,
        run_dir=_RUN_DIR.value or _default_run_dir(settings),
        overwrite=_OVERWRITE.value,
        flags=_flagfile(),
    )
    try:
        train.run(config)
    except (
        ValueError,
        FloatingPointError,
        DatasetUnavailableError,
        OSError,
    ) as error:
        logging.debug("The run failed.", exc_info=True)
        _fail(str(error), 1)


def _default_run_dir(settings: dict[str, Any]) -> str:
    parts = [settings[k] for k in ("dataset", "model", "method")]
    parts += [f"s{settings['sparsity']:g}", f"seed{settings['seed']}"]
    return os.path.join("runs", "_".join(parts))


def _flagfile() -> str:
    """Returns the settings as a flagfile, without the folder they go to."""
    set_flags = [flags.FLAGS[flag.name] for flag in _RUN_FLAGS]
    lines = [flag.serialize() for flag in set_flags if flag.value is not None]
    remark = "# python main.py --flagfile=THIS_FILE --run_dir=ANOTHER_FOLDER"
    return "\n".join([remark, *lines]) + "\n"


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Keeps TensorFlow's start-up messages off the screen, unless it fails.

    They are written by C++ before any log level is obeyed, so the file
    descriptor itself is turned aside.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(screen, aside.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


def _fail(message: str, status: int) -> None:
    print(f"main.py: {message}", file=sys.stderr)
    sys.exit(status)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses flags; a bad one ends the program with one line."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _fail(" ".join(str(error).split()), 2)
        raise


if __name__ == "__main__":
    app.run(main, flags_parser=_parse_flags)
