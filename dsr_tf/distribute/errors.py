"""What ends a worker because of others."""


class WorkersMissingError(TimeoutError):
    """Workers did not come within the limit."""


class OtherWorkerError(RuntimeError):
    """Another worker has ended, so this one cannot go on.

    Args:
        message: Which worker has ended, and why.
        was_stopped: Whether it was asked to stop, as by a signal: all workers
            can then be started again.
    """

    def __init__(self, message: str, was_stopped: bool = False) -> None:
        super().__init__(message)
        self.was_stopped = was_stopped

    @classmethod
    def stopped(cls, index: int) -> "OtherWorkerError":
        """Returns the error for a worker that was asked to stop."""
        return cls(f"worker {index} ended: it was asked to stop", True)
