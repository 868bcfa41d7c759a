"""How far a run has come."""

from dsr_tf.training.state import JsonState


class Position(JsonState):
    """How far a run has come.

    Attributes:
        epoch: Epoch to resume with, counted from 0.
        step: Batches of this epoch that are done.
        seconds: Time in training so far, earlier runs included.
        num_saves: Checkpoints written so far.
    """

    fields = ("epoch", "step", "seconds", "num_saves")

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Goes back to the start."""
        self.epoch = 0
        self.step = 0
        self.seconds = 0.0
        self.num_saves = 0
