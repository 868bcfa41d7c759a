"""Trains a sparse network. `python main.py --help` lists the flags."""

import contextlib
import math
import os
import signal
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

    def __init__(self, number: type, zero: bool) -> None:
        self._number = number
        self._zero = zero
        self.syntactic_help = (
            f"one {number.__name__} {'from' if zero else 'above'} 0, or a "
            "schedule of EPOCH:VALUE with an entry for epoch 0, such as "
            "0:8,25:4"
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
        in_range = all(0 <= v < math.inf for v in values)
        in_range &= self._zero or all(values)
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


def _define_number(
    name: str, default: float | None, help: str, **bounds: Any
) -> Any:
    return flags.DEFINE(
        _Number(**bounds),
        name,
        default,
        help,
        serializer=flags.ArgumentSerializer(),
    )


def _define_schedule(
    name: str, default: str, help: str, number: type, zero: bool = False
) -> Any:
    parser = _Schedule(number, zero)
    return flags.DEFINE(
        parser, name, default, help, serializer=_ScheduleSerializer()
    )


_METHODS = {
    "dense": "the full network",
    "thin_dense": "a narrower one, by --width",
    "static": "sparse, with masks that stay",
    "set": "sparse evolutionary training",
    "deepr": "deep rewiring",
    "hashed": "kernels that share values",
    "compressed": "a trained dense network, from --init_from, pruned in steps",
    "dsr": "dynamic sparse reparameterization",
}
# The exit status "temporary failure: try again" of sysexits.h.
_RESUME = 75
_MODELS = ["lenet_300_100", "wide_resnet", "resnet50"]

_RUN_FLAGS = [
    flags.DEFINE_string(
        "dataset",
        "digits",
        "Data set: digits, which is built in, or an image-classification set "
        "of TensorFlow Datasets, such as mnist, cifar10 or imagenet2012.",
    ),
    flags.DEFINE_string(
        "data_dir", None, "Where TensorFlow Datasets keeps prepared sets."
    ),
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width to crop images to, in sets whose images vary in "
        "size; 224 if it is not given.",
        lower_bound=1,
    ),
    flags.DEFINE_integer(
        "train_examples",
        None,
        "Train on the first so many images only.",
        lower_bound=1,
    ),
    flags.DEFINE_enum("model", "lenet_300_100", _MODELS, "Network."),
    flags.DEFINE_integer(
        "depth", 28, "Layers of wide_resnet: 6n + 4.", lower_bound=10
    ),
    _define_number(
        "width",
        None,
        "Factor of the channels; without it 2 for wide_resnet, else 1.",
        open=True,
    ),
    flags.DEFINE_bool(
        "sparse_logits",
        False,
        "Make the last layer of wide_resnet sparse too, as in the paper's "
        "text; in the authors' code it is dense.",
    ),
    flags.DEFINE_enum(
        "method",
        "dsr",
        list(_METHODS),
        "How parameters are kept within the budget. "
        + "; ".join(f"{name}: {text}" for name, text in _METHODS.items())
        + ".",
    ),
    _define_number(
        "sparsity",
        0.9,
        "Fraction of zeros in the sparse tensors, or of parameters that "
        "hashed ones save.",
        below=1,
    ),
    flags.DEFINE_enum(
        "granularity",
        "weight",
        ["weight", "kernel"],
        "What is moved as one: single weights, or, in convolutions, all "
        "weights between one input and one output channel.",
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
    _define_number(
        "group_lasso",
        0.0,
        "Penalty on the norm of each slice that --granularity=kernel moves.",
    ),
    flags.DEFINE_integer(
        "num_pruned",
        150,
        "dsr: weights, or slices, to prune in a reallocation; the threshold "
        "adapts to it.",
        lower_bound=1,
    ),
    _define_number(
        "tolerance",
        0.1,
        "dsr: fraction of num_pruned by which the count may miss before the "
        "threshold moves.",
        below=1,
    ),
    _define_number(
        "initial_threshold",
        1e-3,
        "dsr: magnitude below which the first reallocation prunes.",
        open=True,
    ),
    _define_number(
        "regrow_stddev", 0.0, "dsr: standard deviation of newly grown weights."
    ),
    _define_number(
        "drop_fraction",
        0.1,
        "set: fraction of the weights of each tensor that is replaced.",
        below=1,
    ),
    _define_schedule(
        "temperature",
        "0:1e-5,25:1e-8,50:1e-12,75:1e-15",
        "deepr: temperature of the noise, by epoch.",
        float,
        zero=True,
    ),
    _define_number(
        "noise_rate", 0.01, "deepr: learning rate in the noise's formula."
    ),
    flags.DEFINE_integer(
        "num_prunes",
        20,
        "compressed: prunes down to the sparsity.",
        lower_bound=1,
    ),
    flags.DEFINE_enum(
        "prune_schedule",
        "cubic",
        ["cubic", "exponential"],
        "compressed: how the sparsity rises.",
    ),
    flags.DEFINE_bool(
        "prune_across_tensors",
        True,
        "compressed: rank the weights of all tensors together; otherwise every "
        "tensor gets the sparsity.",
    ),
    _define_schedule(
        "period",
        "0:15,25:30,50:60,75:120",
        "Optimizer steps between reallocations, or prunes, by epoch.",
        int,
    ),
    flags.DEFINE_integer(
        "stop_epoch",
        None,
        "Epoch from which on masks stay as they are.",
        lower_bound=0,
    ),
    flags.DEFINE_string(
        "init_from",
        None,
        "Start with the weights of this: the folder of a finished run, or a "
        ".keras file of the same network.",
    ),
    flags.DEFINE_string(
        "masks_from",
        None,
        "Start with the last masks of this run; needs --weights_from.",
    ),
    flags.DEFINE_string(
        "weights_from",
        None,
        "Start with the first weights of this run, or with fresh ones, which "
        "no run has: random.",
    ),
    flags.DEFINE_integer(
        "seed",
        0,
        "Seed of everything.",
        lower_bound=0,
        upper_bound=2**31 - 1,
    ),
]
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "export", "evaluate", "report", "compare"],
    "train: train a network. export: write the network of the run in run_dir "
    "for use without this library. evaluate: print accuracy and loss, on the "
    "test images of a data set, of what model_path names. report: write a page "
    "on finished runs, with pictures and tables. compare: print a table of "
    "them.",
)
_MODEL_PATH = flags.DEFINE_string(
    "model_path",
    None,
    "What to evaluate: the folder of a finished run, by default that in "
    "run_dir, on its own data set; or a .keras file, a SavedModel or a .tflite "
    "file, exported or not, on --dataset.",
)
_RUNS = flags.DEFINE_string(
    "runs",
    "runs/*",
    "report, compare: folders of runs, or patterns of such, separated by "
    "commas.",
)
_OUT = flags.DEFINE_string("out", "report", "report: folder to write.")
_FORMAT = flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "saved_model_dense", "tflite", "npz", "csr"],
    "What to export. saved_model: packed, unpacked when it is loaded; "
    "saved_model_dense: with zeros written out; tflite: a TFLite file; npz, "
    "csr: NumPy arrays.",
)
_QUANTIZE = flags.DEFINE_enum(
    "quantize",
    None,
    ["float16", "int8"],
    "How to quantize what is exported as tflite.",
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir",
    None,
    "Folder for the run's files. By default runs/ and a name made of data "
    "set, model, method, sparsity, epochs, seed and such.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Replace what run_dir holds: a finished run, an unfinished one of other "
    "flags, or an export; or the report in out.",
)
# What is saved of a run does not change what it computes: these are not among
# the flags that make it the same run.
_EXECUTION_FLAGS = [
    flags.DEFINE_enum(
        "strategy",
        "auto",
        ["auto", "none", "mirrored", "multi_worker"],
        "Devices to train on. none: one. mirrored: all GPUs of this machine. "
        "multi_worker: several processes, which TF_CONFIG or Slurm names. "
        "auto: several workers where they are named, else all GPUs.",
    ),
    flags.DEFINE_integer(
        "checkpoint_steps",
        None,
        "Optimizer steps between checkpoints within an epoch, written at the "
        "end of the execution in which they are due; without it there is one "
        "at the end of each epoch.",
        lower_bound=1,
    ),
    flags.DEFINE_integer(
        "keep_checkpoints",
        3,
        "How many of the newest checkpoints to keep.",
        lower_bound=1,
    ),
    flags.DEFINE_enum(
        "keep_best",
        None,
        ["val_accuracy", "val_loss", "accuracy", "loss"],
        "Also keep the network of the epoch at which this was best, as "
        "best.keras.",
    ),
    flags.DEFINE_bool(
        "tensorboard",
        False,
        "Write, for TensorBoard, where the weights are and went, into the "
        "folder tensorboard/ of the run.",
    ),
]


_HELP = {
    "What to do": ("mode", "run_dir", "overwrite", "verbosity"),
    "Data": ("dataset", "data_dir", "image_size", "train_examples"),
    "Network": ("model", "depth", "width", "sparse_logits"),
    "Budget": ("method", "sparsity", "granularity"),
    "Training": (
        "epochs",
        "batch_size",
        "learning_rate",
        "momentum",
        "l1",
        "l2",
        "group_lasso",
        "seed",
    ),
    "Moving weights": (
        "period",
        "stop_epoch",
        "num_pruned",
        "tolerance",
        "initial_threshold",
        "regrow_stddev",
        "drop_fraction",
        "temperature",
        "noise_rate",
        "num_prunes",
        "prune_schedule",
        "prune_across_tensors",
    ),
    "Weights to start with": ("init_from", "masks_from", "weights_from"),
    "Where it runs, and what it keeps": tuple(
        flag.name for flag in _EXECUTION_FLAGS
    ),
    "With --mode=export": ("format", "quantize"),
    "With --mode=evaluate": ("model_path",),
    "With --mode=report or --mode=compare": ("runs", "out"),
}


_MORE_HELP = (
    "--flagfile=FILE reads flags from a file; flags after it win.\n"
    "--helpfull lists flags of absl, too."
)


for _name in ("init_from", "masks_from", "weights_from"):
    flags.register_validator(_name, lambda v: v != "", "must not be empty")


@flags.multi_flags_validator(
    ["mode", "format", "quantize"], "--quantize needs --format=tflite"
)
def _tflite_is_quantized(values: dict[str, Any]) -> bool:
    return values["quantize"] is None or values["format"] == "tflite"


@flags.multi_flags_validator(
    ["method", "width"], "--method=thin_dense needs --width"
)
def _thin_has_a_width(values: dict[str, Any]) -> bool:
    return values["method"] != "thin_dense" or values["width"] is not None


@flags.multi_flags_validator(
    ["method", "init_from"],
    "--method=compressed needs --init_from, a trained dense network",
)
def _compressed_has_a_start(values: dict[str, Any]) -> bool:
    return values["method"] != "compressed" or values["init_from"] is not None


@flags.multi_flags_validator(
    ["method", "tensorboard"],
    "--tensorboard needs a --method that has a budget, not dense or thin_dense",
)
def _logged_have_a_budget(values: dict[str, Any]) -> bool:
    dense = values["method"] in ("dense", "thin_dense")
    return not (values["tensorboard"] and dense)


@flags.multi_flags_validator(
    ["method", "init_from"], "--method=hashed cannot use --init_from"
)
def _hashed_starts_fresh(values: dict[str, Any]) -> bool:
    return values["method"] != "hashed" or values["init_from"] is None


@flags.multi_flags_validator(
    ["masks_from", "weights_from", "init_from"],
    "--masks_from and --weights_from go together, without --init_from",
)
def _ablations_are_whole(values: dict[str, Any]) -> bool:
    masks, weights = values["masks_from"], values["weights_from"]
    together = (masks is None) == (weights is None)
    return together and (masks is None or values["init_from"] is None)


@flags.multi_flags_validator(
    ["method", "masks_from"],
    "--masks_from needs a --method that trains under masks: static, set, "
    "deepr or dsr",
)
def _masks_have_a_use(values: dict[str, Any]) -> bool:
    masked = values["method"] in ("static", "set", "deepr", "dsr")
    return masked or values["masks_from"] is None


@flags.multi_flags_validator(
    ["model", "granularity", "group_lasso"],
    "--granularity=kernel and --group_lasso need a network with convolutions: "
    "wide_resnet or resnet50",
)
def _slices_need_convolutions(values: dict[str, Any]) -> bool:
    slices = values["granularity"] == "kernel" or values["group_lasso"] > 0
    return values["model"] != "lenet_300_100" or not slices


@flags.multi_flags_validator(
    ["method", "granularity", "group_lasso"],
    "--granularity=kernel does not go with --method=deepr, nor with "
    "--method=hashed, and neither does --group_lasso with the latter",
)
def _slices_are_of_single_weights(values: dict[str, Any]) -> bool:
    slices = values["granularity"] == "kernel"
    if values["method"] == "hashed":
        return not slices and not values["group_lasso"]
    return values["method"] != "deepr" or not slices


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        _fail(f"unexpected argument '{argv[1]}'; flags begin with --", 2)
    # Until training begins, and once it has ended, there is nothing to save.
    signal.signal(signal.SIGTERM, _leave)
    if flags.FLAGS.verbosity <= 0:
        logging.set_verbosity(logging.ERROR)
    with _quiet_start():
        from tensorflow import errors

        from dsr_tf import reports
        from dsr_tf import runs
    try:
        if _MODE.value == "export":
            path = runs.export_run(
                settings()["run_dir"],
                _FORMAT.value,
                _QUANTIZE.value,
                settings()["data_dir"],
                _OVERWRITE.value,
            )
            print(f"written to      {path}")
        elif _MODE.value == "evaluate":
            runs.evaluate(
                _MODEL_PATH.value or settings()["run_dir"],
                # The default is that of training.
                _named("dataset"),
                settings()["data_dir"],
            )
        elif _MODE.value == "report":
            page = reports.write_report(
                _RUNS.value, _OUT.value, _OVERWRITE.value
            )
            print(f"written to      {page}")
        elif _MODE.value == "compare":
            print(reports.compare(_RUNS.value), end="")
        else:
            runs.run(runs.Config(**settings()))
    except runs.PreemptedError as stopped:
        _fail(f"{stopped}, on SIGTERM; run the same command to go on", _RESUME)
    except (
        ValueError,
        RuntimeError,
        FloatingPointError,
        OSError,
    ) as error:
        logging.debug("The run failed.", exc_info=True)
        _fail(str(error), 1)
    except errors.OpError as error:
        logging.debug("The run failed.", exc_info=True)
        # The cause stands after a trace, whose lines are indented.
        lines = error.message.splitlines()
        causes = [x for x in lines if x.strip() and not x[0].isspace()]
        _fail(f"TensorFlow failed ({type(error).__name__}): {causes[-1]}", 1)


def _named(name: str) -> Any:
    """Returns the value of a flag that was given, else None."""
    flag = flags.FLAGS[name]
    return flag.value if flag.present else None


def settings() -> dict[str, Any]:
    """Returns the settings of a run, as `runs.Config` takes them."""
    values = {flag.name: flag.value for flag in _RUN_FLAGS}
    return values | {
        "run_dir": _RUN_DIR.value or _default_run_dir(values),
        "overwrite": _OVERWRITE.value,
        **{flag.name: flag.value for flag in _EXECUTION_FLAGS},
        "flags": _flagfile(),
    }


def _default_run_dir(values: dict[str, Any]) -> str:
    parts = [values["dataset"], values["model"]]
    if values["model"] == "wide_resnet":
        width = 2 if values["width"] is None else values["width"]
        parts[-1] += f"_{values['depth']}_{width:g}"
    elif values["width"] is not None:
        parts.append(f"w{values['width']:g}")
    parts.append(values["method"])
    if values["method"] not in ("dense", "thin_dense"):
        parts.append(f"s{values['sparsity']:g}")
    if values["granularity"] != "weight":
        parts.append(values["granularity"])
    if values["masks_from"] is not None:
        fresh = values["weights_from"] == "random"
        parts.append("fresh_weights" if fresh else "first_weights")
    moves = values["method"] in ("set", "deepr", "compressed", "dsr")
    if values["stop_epoch"] is not None and moves:
        parts.append(f"stop{values['stop_epoch']}")
    # Nothing that was only tried should pass for the whole run.
    parts.append(f"e{values['epochs']}")
    if values["train_examples"] is not None:
        parts.append(f"n{values['train_examples']}")
    parts.append(f"seed{values['seed']}")
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


def _leave(*_: Any) -> None:
    _fail("stopped on SIGTERM; run the same command to go on", _RESUME)


def _fail(message: str, status: int) -> None:
    print(f"main.py: {message}", file=sys.stderr)
    sys.exit(status)


def _help() -> str:
    """Returns the flags by subject; absl sorts them by name."""
    lines = ["Trains a sparse network, and looks at what was trained."]
    for title, names in _HELP.items():
        lines += ["", title, *(_flag_help(flags.FLAGS[x]) for x in names)]
    return "\n".join([*lines, "", _MORE_HELP])


def _flag_help(flag: Any) -> str:
    notes = [f"default: {flag.default_as_str}", flag.parser.syntactic_help]
    known = [flag.default is not None, notes[1]]
    text = " ".join(
        [flag.help, *(f"({n})" for n, k in zip(notes, known, strict=True) if k)]
    )
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    return f"  {name}\n{flags.text_wrap(text, 78, '      ', '      ')}"


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses flags; a bad one ends the program with one line."""
    if {"--help", "-help", "-h", "-?"} & set(argv[1:]):
        print(_help())
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _fail(" ".join(str(error).split()), 2)
        raise


if __name__ == "__main__":
    app.run(main, flags_parser=_parse_flags)
