"""Finds the runs that gave other runs their first weights or masks."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dsr_tf.reports.finished_run import Run

# In a folder's name as `main.py` makes it, or at the end of a shorter one.
_SEED = re.compile(r"_?seed\d+(?=_|$)|_s\d+$")
LINKS = ("init_from", "masks_from", "weights_from")


def without_seed(name: str) -> str:
    """Returns the name of a folder as runs of other seeds have it."""
    return _SEED.sub("", name) or name


class Links:
    """Finds the runs that other runs started from, among the given runs.

    A run is found by its path. If its folder has been moved since, it is found
    by the folder's name, unless several have that name.

    Args:
        runs: All runs of the report.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)

    def source(self, run: Run, link: str) -> Run | None:
        """Returns the run that a flag names, or None."""
        named = Path(run.settings.get(link, ""))
        if not named.name:
            return None
        place = os.path.realpath(named)
        there = [x for x in self.runs if os.path.realpath(x.path) == place]
        alike = [x for x in self.runs if x.path.name == named.name]
        found = there or (alike if len(alike) == 1 else [])
        return found[0] if found else None

    def _sibling(self, run: Run, link: str) -> Run | None:
        """Returns a run whose name differs in the seed only, or None."""
        name = without_seed(Path(run.settings.get(link, "")).name)
        alike = (x for x in self.runs if without_seed(x.path.name) == name)
        return next(alike, None)

    def keys(self, run: Run) -> dict[str, object]:
        """Returns a value for each link, by which runs can be compared.

        The value is the same for source runs that differ only in their seed.
        """
        keys: dict[str, object] = {}
        for link in LINKS:
            source = self.source(run, link) or self._sibling(run, link)
            if source:
                left_out = ("seed", "data_dir", *LINKS)
                keys[link] = frozenset(
                    item
                    for item in source.settings.items()
                    if item[0] not in left_out
                )
            elif link in run.settings:
                keys[link] = _SEED.sub("", run.settings[link])
        return keys
