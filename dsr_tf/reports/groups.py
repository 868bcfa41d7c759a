"""Runs that differ in their seed only."""

import statistics
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from typing import TypeVar

from dsr_tf.methods.records import Record
from dsr_tf.methods.records import find
from dsr_tf.reports import names
from dsr_tf.reports.finished_run import Run
from dsr_tf.reports.links import LINKS

# Flags that do not change the result, or that are compared in another way.
UNCOMPARED = ("seed", "data_dir", *LINKS)

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in their seed only.

    Args:
        runs: The runs, by seed.
        differing: Settings in which the group differs from others of its
            method and size, such as `L1 0.0002`; empty if there is no other.
        source: Group that gave the runs their first masks, or None.
    """

    runs: tuple[Run, ...]
    differing: str = ""
    source: "Group | None" = None

    @property
    def settings(self) -> dict[str, str]:
        return dict(self.runs[0].settings)

    @property
    def method(self) -> str:
        return str(self.runs[0].summary["method"])

    @property
    def record(self) -> Record | None:
        """The record of the method; None if it has none."""
        return find(self.method)

    @property
    def is_full(self) -> bool:
        """Whether it is the full dense network, the baseline of the others."""
        return self.method == "dense"

    @property
    def has_masks(self) -> bool:
        """Whether it has layers with masks; without a record, any layers."""
        masked = self.record is None or self.record.kernels == "masked"
        return masked and bool(self.shapes)

    @property
    def keeps_counts(self) -> bool:
        """Whether each layer is known to end with the count it began with."""
        return self.record is not None and self.record.keeps_counts

    @property
    def keeps_masks(self) -> bool:
        """Whether it has masks, and they are known never to change."""
        known = self.record is not None and not self.record.moves_weights
        return known and self.has_masks

    @property
    def epochs(self) -> int:
        return int(self.runs[0].summary["epochs"])

    @property
    def parameters(self) -> int:
        """Parameters of the whole model, zeros left out."""
        return int(self.runs[0].summary["model_parameters"])

    @property
    def asked(self) -> float | None:
        """Share of weights that the budget allows sparse layers; or None."""
        summary = self.runs[0].summary
        if not summary["num_weights"]:
            return None
        return float(summary["budget"] / summary["num_weights"])

    @property
    def density(self) -> float | None:
        """Share of weights kept in sparse layers; None if there are none.

        It is what the budget allows, unless the runs ended with more.
        """
        if self.asked is None or not self.is_unfinished:
            return self.asked
        kept = self.average("num_active")
        return kept / float(self.runs[0].summary["num_weights"])

    @property
    def is_unfinished(self) -> bool:
        """Whether pruning ended above the budget."""
        return any(
            run.summary["num_active"] > run.summary["budget"]
            for run in self.runs
        )

    @property
    def unfinished(self) -> str | None:
        """What pruning left, and what it was to leave; None if it did."""
        if not self.is_unfinished:
            return None
        left, asked = map(names.kept, (self.density, self.asked))
        if left != asked:
            return f"ended at {left} of the weights, {asked} were asked"
        left, asked = (
            f"{self.average(x):,.0f}" for x in ("num_active", "budget")
        )
        return f"ended with {left} active weights, {asked} were asked"

    @property
    def is_as_in_paper(self) -> bool:
        """Whether its method is its paper's: DSR grows at random there."""
        growth = self.settings.get("growth", "random")
        return self.method != "dsr" or growth == "random"

    @property
    def is_ablation(self) -> bool:
        return "masks_from" in self.settings

    @property
    def stop_epoch(self) -> int:
        """Epochs after which masks stop changing; all if they never do."""
        epoch = self.settings.get("stop_epoch")
        return self.epochs if epoch is None else min(int(epoch), self.epochs)

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def accuracies(self) -> list[float]:
        return [run.accuracy for run in self.runs]

    @cached_property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @cached_property
    def deviation(self) -> float | None:
        """Sample standard deviation; None for a single run."""
        if len(self.runs) < 2:
            return None
        return statistics.stdev(self.accuracies)

    def average(self, field: str) -> float:
        """Returns the mean of a field of the summaries."""
        return statistics.fmean(run.summary[field] for run in self.runs)

    def known_average(self, field: str) -> float | None:
        """Returns the mean of a field; None if a run does not have it."""
        found = [run.summary.get(field) for run in self.runs]
        return None if None in found else self.average(field)

    @property
    def multiply_adds(self) -> float | None:
        """Those of the training, and of that of weights it began from.

        The mean over the runs; None if a run does not say them.
        """
        fields = ("training_multiply_adds", "earlier_multiply_adds")
        parts = [self.known_average(field) for field in fields]
        known = [x for x in parts if x is not None]
        return sum(known) if len(known) == len(parts) else None

    def num_dead(self, which: str) -> float | None:
        """Returns the mean number of dead units of all layers of a run.

        None if a run does not say it of any layer.

        Args:
            which: `"inputs"` or `"outputs"`.
        """
        runs = [
            [x for x in counts if x is not None]
            for counts in self.layer_counts(f"dead_{which}")
        ]
        return statistics.fmean(map(sum, runs)) if all(runs) else None

    def settings_without(self, *left_out: str) -> frozenset[Any]:
        """Returns all settings to compare groups by, without some of them."""
        own = self.settings.items()
        names_out = (*UNCOMPARED, *left_out)
        kept = {item for item in own if item[0] not in names_out}
        return frozenset(kept | {self.is_ablation})

    def layer_counts(self, field: str = "num_active") -> list[list[Any]]:
        """Returns a field of all layers of each run; None if it is missing."""
        return [
            [layer.get(field) for layer in run.summary["layers"]]
            for run in self.runs
        ]

    @property
    def shapes(self) -> list[list[int]]:
        return [layer["shape"] for layer in self.runs[0].summary["layers"]]

    @property
    def label(self) -> str:
        parts = [names.method(self.method), self.differing]
        parts += ["unfinished"] if self.is_unfinished else []
        return ", ".join(filter(None, parts))


def heading(groups: Iterable[Group], density: float) -> str:
    """Returns the share of weights that groups keep, in words."""
    masked = [group for group in groups if group.density is not None]
    ended = not all(group.is_unfinished for group in masked)
    text = names.kept(density)
    return f"{text} kept" if ended else f"{text} left, pruning unfinished"


def gathered(
    items: Iterable[_T], key: Callable[[_T], _K]
) -> dict[_K, list[_T]]:
    """Returns lists of items by key, all in their first order."""
    found = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return dict(found)
