"""Gathers runs into groups, and groups into experiments."""

from collections.abc import Hashable
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dsr_tf.reports import in_words
from dsr_tf.reports import names
from dsr_tf.reports.experiment import Experiment
from dsr_tf.reports.finished_run import Run
from dsr_tf.reports.groups import UNCOMPARED
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import gathered
from dsr_tf.reports.links import LINKS
from dsr_tf.reports.links import Links
from dsr_tf.reports.texts import slugs

# Flags that a run leaves out of its file if they are not given.
_WITHOUT_DEFAULT = (
    "begin_step",
    "data_dir",
    "distribution",
    "image_size",
    "prune_initial_sparsity",
    "prune_power",
    "stop_epoch",
    "test_split",
    "train_examples",
    "train_split",
    "width",
    *LINKS,
)


def experiments(runs: Iterable[Run]) -> list[Experiment]:
    """Groups runs by data set and network, then by all but the seed."""
    links = Links(_completed(list(runs)))
    apart = gathered(links.runs, names.experiment)
    return [
        _experiment(list(alike), links, slug)
        for alike, slug in zip(apart.values(), slugs(list(apart)), strict=True)
    ]


def _completed(runs: list[Run]) -> list[Run]:
    """Names runs, and adds flags to those made before the flags existed.

    If all other runs of the method have the same value, the older runs are
    taken to have it too.
    """
    alike = gathered(runs, _comparable)
    agreed = {key: _agreed(members) for key, members in alike.items()}
    anchors = slugs([run.path.name for run in runs], "unnamed")
    return [
        replace(
            run,
            settings={**agreed[_comparable(run)], **run.settings},
            anchor=f"run-{anchor}",
        )
        for run, anchor in zip(runs, anchors, strict=True)
    ]


def _comparable(run: Run) -> tuple[str, str]:
    return names.experiment(run), str(run.summary["method"])


def _agreed(runs: list[Run]) -> dict[str, str]:
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.settings.items():
            values.setdefault(name, set()).add(value)
    return {
        name: next(iter(given))
        for name, given in values.items()
        if len(given) == 1 and name not in _WITHOUT_DEFAULT
    }


def _experiment(runs: list[Run], links: Links, slug: str) -> Experiment:
    def key(run: Run) -> Hashable:
        own = {k: v for k, v in run.settings.items() if k not in UNCOMPARED}
        # Seeds have the same layers, unless a summary is not that of its flags.
        shapes = tuple(tuple(x["shape"]) for x in run.summary["layers"])
        return frozenset({**own, **links.keys(run)}.items()), shapes

    alike = gathered(sorted(runs, key=lambda x: x.seed), key)
    plain = {k: Group(tuple(members)) for k, members in alike.items()}
    groups = []
    for group in plain.values():
        source = links.source(group.runs[0], "masks_from")
        origin = plain.get(key(source)) if source else None
        differing = _differing(group, list(plain.values()), links)
        groups.append(Group(group.runs, differing, origin))
    first = runs[0]
    return Experiment(
        str(first.summary["dataset"]),
        names.network(first),
        names.experiment(first),
        slug,
        not set(names.PARTS) & set(first.settings),
        tuple(sorted(groups, key=_order)),
    )


def _order(group: Group) -> tuple[Any, ...]:
    return (
        group.is_ablation,
        names.rank(group.method),
        group.method,
        group.parameters,
        group.stop_epoch,
        group.differing,
    )


def _differing(group: Group, groups: list[Group], links: Links) -> str:
    """Says in words how a group differs from others of its method and size."""
    if group.is_ablation:
        fresh = group.settings.get("weights_from") == "random"
        return (
            f"last masks of a run, {'fresh' if fresh else 'its first'} weights"
        )
    alike = [
        x for x in groups if _size(x) == _size(group) and not x.is_ablation
    ]
    given = [x.settings for x in alike]
    differing = [
        name
        for name in dict.fromkeys(n for x in given for n in x)
        if name not in UNCOMPARED and len({x.get(name) for x in given}) > 1
    ]
    parts = [in_words.setting(x, group.settings.get(x)) for x in differing]
    begins = {links.keys(x.runs[0]).get("init_from") for x in alike}
    if len(begins) > 1:
        parts.append(in_words.begin(group.settings.get("init_from")))
    return ", ".join(parts)


def _size(group: Group) -> tuple[object, ...]:
    """Returns by what groups are other settings of the same thing."""
    summary = group.runs[0].summary
    if not summary["num_weights"]:
        return group.method, group.parameters
    return group.method, summary["num_weights"], summary["budget"]
