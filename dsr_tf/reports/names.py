"""The words of a report for methods, networks, settings and numbers."""

import math
from collections.abc import Sequence

from dsr_tf.methods.records import find
from dsr_tf.methods.records import records
from dsr_tf.reports.finished_run import Run
from dsr_tf.reports.texts import shortened

_DATASETS = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet2012": "ImageNet",
}
# Flags that take a part of a data set.
PARTS = ("train_examples", "train_split", "test_split")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NETWORKS = {
    "lenet_300_100": "LeNet-300-100",
    "mlp": "MLP",
    "resnet50": "ResNet-50",
}


def method(name: str) -> str:
    """Returns the label of a method: its name, if it has no record."""
    record = find(name)
    return record.label if record else shortened(name)


def rank(name: str) -> int:
    """Returns the place of a method; those without a record come last."""
    known = [record.name for record in records()]
    return known.index(name) if name in known else len(known)


def network(run: Run) -> str:
    """Returns the name of a network; a thin network has the full one's name."""
    model = str(run.summary["model"])
    thin = run.summary["method"] == "thin_dense"
    width = None if thin else run.settings.get("width")
    if model == "wide_resnet":
        return f"WRN-{run.settings.get('depth')}-{float(width or 2):g}"
    name = _NETWORKS.get(model, model)
    return f"{name}, width {width}" if float(width or 1) != 1 else name


def experiment(run: Run) -> str:
    """Returns data set and network, and the part that was used if not all."""
    dataset = str(run.summary["dataset"])
    parts = [_DATASETS.get(dataset, dataset), network(run)]
    if "image_size" in run.settings:
        parts.append(f"{run.settings['image_size']} pixels")
    if "train_examples" in run.settings:
        examples = int(run.settings["train_examples"])
        parts.append(f"{examples:,} training examples")
    for name, use in (("train_split", "trained"), ("test_split", "tested")):
        if name in run.settings:
            parts.append(f"{use} on {run.settings[name]}")
    return ", ".join(parts)


def kept(density: float | None) -> str:
    """Returns a share of weights kept, in percent."""
    return "" if density is None else f"{100 * round(density, 4):g} %"


def large(number: float | None) -> str:
    """Returns a large number with three digits, such as `1.25·10¹²`."""
    if number is None:
        return ""
    digits, _, exponent = f"{number:.2e}".partition("e")
    power = str(int(exponent)).translate(_RAISED)
    factor = f"{float(digits):g}"
    return f"10{power}" if factor == "1" else f"{factor}·10{power}"


def epochs(first: int, last: int) -> str:
    """Returns a number of epochs, or a range."""
    if first != last:
        return f"{first}–{last} epochs"
    return "1 epoch" if last == 1 else f"{last} epochs"


def size(shape: Sequence[int]) -> int:
    """Returns how many weights a kernel has."""
    return math.prod(shape)


def spread(mean: float, deviation: float | None) -> str:
    """Returns a mean and, where there is one, its standard deviation."""
    text = f"{mean:.2f}"
    return text if deviation is None else f"{text} ± {deviation:.2f}"
