"""What units that do not exist yet would be worth: growth scores."""

import math
from dataclasses import dataclass

from dsr_tf.checks import checked_fraction
from dsr_tf.checks import keep

# What is forgotten of a gradient may weigh so much.
_FORGOTTEN = 1e-3


@dataclass(frozen=True)
class Scores:
    """Growth scores by the gradient of the loss at all positions.

    Gradients are of the weights before a reallocation, and are added up in
    float32: those of all uses of a kernel, of all batches and of all replicas.
    In mixed precision each of them comes in half precision.

    Args:
        decay: How much of what was is kept in a step, in `[0, 1)`. With 0, the
            scores are the gradient of the last step; with more they are a
            running mean of gradients, as of an optimizer with this momentum.

    Raises:
        ValueError: If `decay` is out of its range.
    """

    decay: float = 0.0

    def __post_init__(self) -> None:
        keep(self, decay=checked_fraction("decay", self.decay))

    @property
    def num_steps(self) -> int:
        """Steps before a reallocation that matter to it.

        Gradients of earlier steps would weigh less than a thousandth.
        """
        if not self.decay:
            return 1
        return math.ceil(math.log(_FORGOTTEN) / math.log(self.decay))


GRADIENT = Scores()
MOMENTUM = Scores(0.9)
