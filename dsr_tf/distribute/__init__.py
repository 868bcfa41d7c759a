from dsr_tf.distribute.errors import OtherWorkerError
from dsr_tf.distribute.errors import WorkersMissingError
from dsr_tf.distribute.fingerprint import ReplicasDifferError
from dsr_tf.distribute.sharing import share_batches
from dsr_tf.distribute.strategy import STRATEGIES
from dsr_tf.distribute.strategy import choose_strategy
from dsr_tf.distribute.strategy import is_chief
from dsr_tf.distribute.strategy import multi_worker_strategy

__all__ = [
    "STRATEGIES",
    "OtherWorkerError",
    "ReplicasDifferError",
    "WorkersMissingError",
    "choose_strategy",
    "is_chief",
    "multi_worker_strategy",
    "share_batches",
]
