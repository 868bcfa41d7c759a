"""Results of the paper, to compare runs with.

Mostafa & Wang, 2019 (arXiv 1902.05967). Results on MNIST and CIFAR-10 are means
and standard deviations of 5 runs, from the accuracies published with
sparse_learning. Results on ImageNet are in the text.
"""

from dataclasses import dataclass

from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.groups import Group

SOURCE = "Mostafa & Wang, 2019, arXiv 1902.05967"

_Numbers = tuple[float, float | None]


@dataclass(frozen=True)
class Figure:
    """An accuracy that the paper gives.

    Args:
        method: Name of the method, as in the flags.
        density: Share of weights kept in the sparse layers; for a thin network,
            the share of the sparse network it is compared with.
        parameters: Parameters of the whole model, zeros left out.
        epochs: Epochs of training.
        mean: Test accuracy, in percent.
        deviation: Its standard deviation, or None if none is given.
    """

    method: str
    density: float
    parameters: int
    epochs: int
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class _Table:
    """Accuracies by method, one for each density."""

    densities: tuple[float, ...]
    parameters: tuple[int, ...]
    dense: tuple[int, float]
    epochs: dict[str, int]
    accuracies: dict[str, tuple[_Numbers, ...]]

    def figures(self) -> list[Figure]:
        parameters, mean = self.dense
        epochs = self.epochs["dense"]
        return [
            Figure("dense", 1.0, parameters, epochs, mean, None),
            *(
                Figure(method, density, parameters, epochs, *numbers)
                for method, row in self.accuracies.items()
                for epochs in (self.epochs.get(method, self.epochs["dense"]),)
                for density, parameters, numbers in zip(
                    self.densities, self.parameters, row, strict=True
                )
            ),
        ]


_TABLES = {
    ("mnist", "LeNet-300-100"): _Table(
        densities=(0.01, 0.02, 0.03, 0.05, 0.1),
        parameters=(3_482, 6_144, 8_806, 14_130, 27_440),
        dense=(267_020, 98.69),
        epochs={"dense": 100, "compressed": 50},
        accuracies={
            "dsr": (
                (97.75, 0.04),
                (98.14, 0.14),
                (98.20, 0.05),
                (98.32, 0.08),
                (98.44, 0.10),
            ),
            "compressed": (
                (97.47, 0.21),
                (98.12, 0.10),
                (98.34, 0.10),
                (98.47, 0.06),
                (98.55, 0.03),
            ),
            "static": (
                (49.5, 5.9),
                (82.8, 6.5),
                (94.4, 0.3),
                (96.7, 0.03),
                (97.9, 0.09),
            ),
            "set": (
                (95.8, None),
                (97.74, None),
                (98.06, None),
                (98.14, None),
                (98.39, None),
            ),
            "deepr": (
                (94.0, None),
                (98.21, None),
                (98.22, None),
                (98.06, None),
                (98.19, None),
            ),
        },
    ),
    ("cifar10", "WRN-28-2"): _Table(
        densities=(0.1, 0.2, 0.3, 0.4, 0.5),
        # 16,090 dense weights, and these shares of the other 1,451,520.
        parameters=(161_241, 306_394, 451_546, 596_698, 741_850),
        dense=(1_467_610, 94.70),
        epochs={"dense": 200, "compressed": 50, "static": 400},
        accuracies={
            "dsr": (
                (93.59, 0.18),
                (94.40, 0.11),
                (94.57, 0.12),
                (94.66, 0.12),
                (94.73, 0.10),
            ),
            "compressed": (
                (93.75, 0.08),
                (94.13, 0.13),
                (94.53, 0.13),
                (94.54, 0.05),
                (94.59, 0.13),
            ),
            "set": (
                (93.28, 0.12),
                (94.25, 0.15),
                (94.40, 0.20),
                (94.55, 0.14),
                (94.76, 0.09),
            ),
            "deepr": (
                (91.41, 0.13),
                (92.36, 0.19),
                (92.50, 0.21),
                (92.80, 0.14),
                (92.92, 0.18),
            ),
            "static": (
                (92.04, 0.31),
                (93.48, 0.11),
                (93.87, 0.11),
                (94.26, 0.11),
                (94.28, 0.14),
            ),
        },
    ),
    ("imagenet2012", "ResNet-50"): _Table(
        densities=(0.1, 0.2),
        parameters=(5_104_885, 7_377_346),
        dense=(25_557_032, 74.9),
        epochs={
            "dense": 100,
            "compressed": 50,
            "static": 200,
            "thin_dense": 200,
        },
        accuracies={
            "dsr": ((71.6, None), (73.3, None)),
            "compressed": ((70.3, None), (73.2, None)),
            "static": ((66.4, None), (70.4, None)),
            "thin_dense": ((69.4, None), (71.6, None)),
        },
    ),
}


def published(experiment: Experiment) -> list[Figure]:
    """Returns the paper's figures for methods that were run as long as there.

    Args:
        experiment: The runs. With only a part of the data set, there are none.
    """
    table = _TABLES.get((experiment.dataset, experiment.network))
    if table is None or not experiment.whole:
        return []
    run = {(x.method, x.epochs) for x in experiment.groups if _is_paper(x)}
    return [x for x in table.figures() if (x.method, x.epochs) in run]


def published_for(experiment: Experiment, group: Group) -> Figure | None:
    """Returns the paper's figure for a main group, or None.

    A network without masks is matched by its parameters, within 5 %.
    """
    if group not in experiment.main_groups or not _is_paper(group):
        return None
    run = group.method, group.epochs
    alike = [x for x in published(experiment) if (x.method, x.epochs) == run]
    return next((x for x in alike if _same_size(x, group)), None)


def _same_size(figure: Figure, group: Group) -> bool:
    if group.density is None:
        off = abs(group.parameters - figure.parameters)
        return off < 0.05 * figure.parameters
    # The budget is a whole number of weights in each layer.
    return abs(group.density - figure.density) < 1e-3


def _is_paper(group: Group) -> bool:
    weights = group.settings.get("granularity", "weight") == "weight"
    is_changed = group.is_ablation or group.is_unfinished
    return weights and group.is_as_in_paper and not is_changed
