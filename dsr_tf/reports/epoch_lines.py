"""Lines over the epochs of a training, one for each method."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dsr_tf.reports import names
from dsr_tf.reports.groups import Group
from dsr_tf.reports.groups import heading
from dsr_tf.reports.picture import legend_below
from dsr_tf.reports.picture import log_percent
from dsr_tf.reports.picture import panels
from dsr_tf.reports.styles import style

Points = tuple[Sequence[int], Sequence[float]]
# Of fewer epochs a line says no more than the table.
FEWEST = 3


def draw_lines(
    levels: Mapping[float, Sequence[Group]],
    points: Callable[[Group], Points],
    label: str,
    narrow: bool,
) -> Figure:
    """Draws axes for each share of weights kept, a line for each method.

    Args:
        levels: Groups, by the share of weights that they keep.
        points: Returns epochs, from 1 on, and a share for each.
        label: What the shares are of.
        narrow: Whether the picture is for narrow pages.
    """
    titles = [heading(groups, density) for density, groups in levels.items()]
    drawn, every = panels(narrow, titles, label)
    handles = {}
    for axes, groups in zip(every, levels.values(), strict=True):
        for group in groups:
            axes.plot(
                *points(group),
                **style(group.method),
                markevery=max(group.epochs // 6, 1),
                markersize=5,
                linewidth=1.2,
                label=group.method,
            )
            handles[group.method] = Line2D(
                [], [], **style(group.method), label=names.method(group.method)
            )
    log_percent(every[0])
    legend_below(drawn, list(handles.values()), narrow)
    return drawn
