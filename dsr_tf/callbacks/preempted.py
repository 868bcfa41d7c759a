"""The error that ends a training on request."""


class PreemptedError(Exception):
    """Training was asked to stop, and stopped at a checkpoint.

    Args:
        epoch: Epoch to resume with, counted from 0.
        step: Batches of this epoch that are done.
        signal_name: Signal that this process got, such as `"SIGTERM"`; None
            where it was asked in another way.
    """

    def __init__(
        self, epoch: int, step: int, signal_name: str | None = None
    ) -> None:
        reason = f", on {signal_name}" if signal_name else ""
        super().__init__(
            f"stopped in epoch {epoch + 1}, after {step} batches{reason}"
        )
        self.epoch = epoch
        self.step = step
