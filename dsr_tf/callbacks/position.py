"""How far a run has come."""

from dsr_tf.training.state import JsonState


class Position(JsonState):
    """How far a run has come.

    Attributes:
        epoch: Epoch to resume with, counted from 0.
        step: Batches of this epoch that are done.
        stopped: Whether a callback has ended the training, by
            `model.stop_training`.
        ended: Whether it was saved at the end of the last epoch of a `fit`.
        seconds: Time in training so far, earlier runs included.
        num_saves: Checkpoints written so far.
        carries: Names of the callbacks whose state the checkpoint holds.
    """

    fields = (
        "epoch",
        "step",
        "stopped",
        "ended",
        "seconds",
        "num_saves",
        "carries",
    )

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Goes back to the start."""
        self.epoch = 0
        self.step = 0
        self.stopped = False
        self.ended = False
        self.seconds = 0.0
        self.num_saves = 0
        self.carries: list[str] = []
