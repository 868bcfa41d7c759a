"""All groups of one data set and network."""

import math
from dataclasses import dataclass
from functools import cached_property

from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import gathered


@dataclass(frozen=True)
class Experiment:
    """All groups of runs on one data set with one network.

    Args:
        dataset: Name of the data set, as in the flags.
        network: Name of the network, such as `WRN-28-2`.
        title: Data set and network, and the part that was used if not all.
        slug: The same for names of files, unlike those of other experiments.
        whole: Whether the whole set was used, and split as it is.
        groups: The groups, by method and size.
    """

    dataset: str
    network: str
    title: str
    slug: str
    whole: bool
    groups: tuple[Group, ...]

    @cached_property
    def main_groups(self) -> tuple[Group, ...]:
        """The group to draw for each method and size, without ablations.

        It is the group with the most epochs. If there are several, it is the
        one whose method is that of its paper, then the one with the most
        seeds, then the one with the settings that most groups of other sizes
        have, then the first.
        """
        plain = [group for group in self.groups if not group.is_ablation]
        places = gathered(plain, lambda x: (x.method, x.parameters))
        return tuple(
            max(
                place,
                key=lambda x: (
                    x.epochs,
                    x.is_as_in_paper,
                    len(x.runs),
                    _num_alike(x, plain),
                ),
            )
            for place in places.values()
        )

    @cached_property
    def stop_families(self) -> tuple[tuple[Group, ...], ...]:
        """Groups that differ in `stop_epoch` only, earliest first."""
        moving = [x for x in self.groups if x.runs[0].summary["reallocations"]]
        families = gathered(moving, lambda x: x.settings_without("stop_epoch"))
        return tuple(
            tuple(sorted(family, key=lambda x: x.stop_epoch))
            for family in families.values()
            if len({group.stop_epoch for group in family}) > 1
        )

    @property
    def other_groups(self) -> tuple[Group, ...]:
        """Groups that are neither main groups nor ablations.

        Groups that differ only in `stop_epoch` have a picture of their own. At
        most one of them is listed here: the last to stop, if none of them is a
        main group.
        """
        mains = self.main_groups
        in_families = {
            group
            for family in self.stop_families
            for group in (
                family if any(x in mains for x in family) else family[:-1]
            )
        }
        return tuple(
            group
            for group in self.groups
            if not group.is_ablation
            and group not in mains
            and group not in in_families
        )

    @property
    def levels(self) -> dict[float, list[Group]]:
        """Main groups by the share of weights kept, smallest first.

        A dense network is added to the level with the nearest number of
        parameters. The full network is in no level.
        """
        masked = [x for x in self.main_groups if x.density is not None]
        levels = gathered(masked, lambda x: round(x.density or 0, 4))
        for group in self.main_groups:
            if masked and group.density is None and not group.is_full:
                nearest = min(
                    masked, key=lambda x: abs(x.parameters - group.parameters)
                )
                levels[round(nearest.density or 0, 4)].append(group)
        return dict(sorted(levels.items()))

    def counts_at_start(self, group: Group) -> list[list[int]] | None:
        """Returns the active weights of each layer at the start of each run.

        Older runs did not write them. Then the counts follow from the method,
        or from another group whose masks began with the same counts and kept
        them.

        Returns:
            A list of counts for each run, or None if they are not known.
        """
        found = group.layer_counts("num_active_at_start")
        if all(None not in counts for counts in found):
            return found
        if group.record and group.record.starts_dense:
            return [list(map(math.prod, group.shapes))] * len(group.runs)
        if group.keeps_counts:
            return group.layer_counts()
        for other in self.groups:
            if other.keeps_counts and _begin_alike(group, other):
                return other.layer_counts()[:1] * len(group.runs)
        return None


def _num_alike(group: Group, groups: list[Group]) -> int:
    """Counts the groups that differ from a group in their size only."""
    own = group.settings_without("sparsity", "width")
    return sum(x.settings_without("sparsity", "width") == own for x in groups)


def _begin_alike(group: Group, other: Group) -> bool:
    """Tells whether masks of two groups began with the same counts."""
    settings = group.settings, other.settings
    sparsity, granularity = (
        [x.get(name) for x in settings] for name in ("sparsity", "granularity")
    )
    return (
        sparsity[0] == sparsity[1]
        and granularity[0] == granularity[1]
        and group.shapes == other.shapes
        and group.has_masks
        and other.has_masks
        and not group.is_ablation
        and not other.is_ablation
    )
