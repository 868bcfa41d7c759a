"""The defaults of `--mode=prune`."""

from absl import flags

from dsr_tf.runs.config import AUTO

_METHOD = "compressed"
_USUAL = {"epochs": 10, "period": AUTO}


def prepare_prune() -> None:
    """Gives flags that were not given the values of `--mode=prune`.

    Raises:
        flags.Error: If the flags do not go together.
    """
    if flags.FLAGS.mode != "prune":
        return
    method = flags.FLAGS["method"]
    if method.present and method.value != _METHOD:
        raise flags.ValidationError(
            f"--mode=prune needs --method={_METHOD}, which is its default, "
            f"and no --method={method.value}"
        )
    for name, value in _USUAL.items():
        if not flags.FLAGS[name].present:
            setattr(flags.FLAGS, name, value)
    # What is given for SGD is not for others.
    own = ("optimizer", "learning_rate", "momentum")
    if not any(flags.FLAGS[name].present for name in own):
        flags.FLAGS.optimizer = "adam"
    # The last, as the others are checked with it.
    flags.FLAGS.method = _METHOD
