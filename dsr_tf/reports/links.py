"""Which runs other runs began with."""

import re
from collections.abc import Iterable
from pathlib import Path

from dsr_tf.reports.runs import Run

# As `main.py` names runs, or short.
_SEED = re.compile(r"(seed|_s)\d+$")
LINKS = ("init_from", "masks_from", "weights_from")


class Links:
    """Finds the runs that runs began with, among those at hand.

    They are found by path, and where folders have been moved since, by the
    folder's name, if it is the only one of that name.

    Args:
        runs: All runs at hand.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)

    def source(self, run: Run, link: str) -> Run | None:
        """Returns the run that a flag names, or None."""
        named = Path(run.settings.get(link, ""))
        if not named.name:
            return None
        there = [x for x in self.runs if x.path.resolve() == named.resolve()]
        alike = [x for x in self.runs if x.path.name == named.name]
        found = there or (alike if len(alike) == 1 else [])
        return found[0] if found else None

    def _sibling(self, run: Run, link: str) -> Run | None:
        """Returns a run that is named alike but for its seed, or None."""
        name = _SEED.sub("", Path(run.settings.get(link, "")).name)
        alike = (x for x in self.runs if _SEED.sub("", x.path.name) == name)
        return next(alike, None)

    def keys(self, run: Run) -> dict[str, object]:
        """Returns what stands for each link where runs are compared.

        Two that differ in the seed of what they began with began alike.
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
