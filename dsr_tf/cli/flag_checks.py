"""Checks of flags that depend on each other."""

from collections.abc import Callable
from collections.abc import Iterable
from functools import partial
from typing import Any

from absl import flags

from dsr_tf.checks import is_remote
from dsr_tf.cli.flag_groups import GROUPS
from dsr_tf.cli.flag_types import LARGEST_INT
from dsr_tf.methods.record import Record
from dsr_tf.methods.records import find
from dsr_tf.methods.records import records
from dsr_tf.runs.build import MODELS
from dsr_tf.runs.build import is_own
from dsr_tf.runs.own_network import is_file
from dsr_tf.units import Granularity

Values = dict[str, Any]
# Returns what is wrong, if anything is.
Check = Callable[[Values], str | None]
# What a method that requires a flag wants of it, where more is to be said.
_WANTED = {"init_from": ", a trained dense network, or --model=FILE.keras"}
_LIBRARY = ", ".join(MODELS)
# Beyond what is trained anywhere; others are limited by their type.
_MOST = {"depth": 1204, "image_size": 10_000}


def check(*names: str) -> Callable[[Check], Check]:
    """Registers a check of the values of some flags."""

    def register(problem: Check) -> Check:
        def passes(values: Values) -> bool:
            text = problem(values)
            if text:
                raise flags.ValidationError(text)
            return True

        flags.register_multi_flags_validator(names, passes)
        return problem

    return register


def _record(values: Values) -> Record:
    record = find(values["method"])
    # The flag takes no other name.
    assert record
    return record


def listed(chosen: Iterable[Record]) -> str:
    """Returns the names of methods, as a sentence lists them."""
    *names, last = [record.name for record in chosen]
    return f"{', '.join(names)} or {last}" if names else last


def _missing(flag: str, values: Values) -> str | None:
    record = _record(values)
    if flag == "init_from" and is_file(values["model"]):
        return None
    if flag in record.requires and values[flag] is None:
        return f"--method={record.name} needs --{flag}{_WANTED.get(flag, '')}"
    return None


def _is_at_most(most: int, value: int | None) -> bool:
    return value is None or value <= most


for _name in ("init_from", "masks_from", "weights_from"):
    flags.register_validator(_name, lambda v: v != "", "must not be empty")
for _name in ("run_dir", "init_from", "masks_from", "model_path", "out"):
    flags.register_validator(
        _name,
        lambda v: v is None or not is_remote(v),
        "must be a path of this machine",
    )
for _name in (name for names in GROUPS.values() for name in names):
    _parser = flags.FLAGS[_name].parser
    if isinstance(_parser, flags.IntegerParser):
        _most = _MOST.get(_name, LARGEST_INT)
        flags.register_validator(
            _name, partial(_is_at_most, _most), f"must be at most {_most}"
        )
    elif type(_parser) is flags.ArgumentParser:
        flags.register_validator(
            _name,
            lambda v: v is None or "\0" not in v,
            "must not hold a null byte",
        )
for _name in sorted({name for x in records() for name in x.requires}):
    check("method", "model", _name)(partial(_missing, _name))


@check("mode", "format", "quantize", "encoding", "inputs")
def _tflite_has_options(values: Values) -> str | None:
    usual = {"quantize": None, "encoding": "auto", "inputs": None}
    for name, value in usual.items():
        if values[name] != value and values["format"] != "tflite":
            return f"--{name} needs --format=tflite"
    if values["inputs"] and values["quantize"] != "int8":
        return f"--inputs={values['inputs']} needs --quantize=int8"
    if values["inputs"] and values["encoding"] == "sparse":
        return f"--inputs={values['inputs']} does not go with --encoding=sparse"
    return None


@check("mode", "format", "compute")
def _saved_models_compute(values: Values) -> str | None:
    if values["compute"] != "dense" and values["format"] != "saved_model":
        return f"--compute={values['compute']} needs --format=saved_model"
    return None


@check("method", "tensorboard")
def _logged_have_a_budget(values: Values) -> str | None:
    if values["tensorboard"] and _record(values).kernels == "dense":
        dense = listed(x for x in records() if x.kernels == "dense")
        return f"--tensorboard needs a --method that has a budget, not {dense}"
    return None


@check("method", "init_from")
def _hashed_start_fresh(values: Values) -> str | None:
    record = _record(values)
    if values["init_from"] is not None and record.kernels == "hashed":
        return f"--method={record.name} cannot use --init_from"
    return None


@check("masks_from", "weights_from", "init_from")
def _ablations_are_whole(values: Values) -> str | None:
    masks, weights = values["masks_from"], values["weights_from"]
    start = values["init_from"]
    if weights is not None and (masks is None or start is not None):
        return "--weights_from needs --masks_from, and no --init_from"
    if masks is not None and weights is None and start is None:
        return "--masks_from needs --weights_from or --init_from"
    return None


def _needs_masks(option: str, record: Record) -> str | None:
    if record.starts_sparse:
        return None
    masked = listed(x for x in records() if x.starts_sparse)
    return f"{option} needs a --method that trains under masks: {masked}"


@check("method", "masks_from")
def _masks_have_a_use(values: Values) -> str | None:
    if values["masks_from"] is None:
        return None
    return _needs_masks("--masks_from", _record(values))


@check("method", "distribution")
def _distributed_have_masks(values: Values) -> str | None:
    if values["distribution"] == "uniform":
        return None
    option = f"--distribution={values['distribution']}"
    return _needs_masks(option, _record(values))


@check("method", "sparsity", "prune_initial_sparsity")
def _sparsity_rises(values: Values) -> str | None:
    initial, sparsity = values["prune_initial_sparsity"], values["sparsity"]
    if values["method"] == "compressed" and initial > sparsity:
        return (
            f"--prune_initial_sparsity={initial:g} must be at most "
            f"--sparsity={sparsity:g}"
        )
    return None


@check("method", "prune_schedule", "prune_power")
def _power_is_of_a_polynomial(values: Values) -> str | None:
    schedule, power = values["prune_schedule"], values["prune_power"]
    if values["method"] == "compressed" and power != 3 and schedule != "cubic":
        return f"--prune_power={power:g} needs --prune_schedule=cubic"
    return None


@check("method", "model", "width")
def _own_networks_have_one_width(values: Values) -> str | None:
    model, width = values["model"], values["width"]
    if not is_own(model):
        return None
    if _record(values).name == "thin_dense":
        return (
            f"--method=thin_dense does not go with --model={model}: only "
            f"networks of this library can be made thinner, {_LIBRARY}"
        )
    if width is not None:
        return f"--width does not go with --model={model}, but with {_LIBRARY}"
    return None


@check("model", "l1", "l2", "group_lasso")
def _own_networks_have_their_penalties(values: Values) -> str | None:
    if not is_own(values["model"]):
        return None
    for name in ("l1", "l2", "group_lasso"):
        if values[name] and flags.FLAGS[name].present:
            return (
                f"--{name} does not go with --model={values['model']}: give "
                "its layers their regularizers, or take --weight_decay"
            )
    return None


@check("model", "weights_from", "mixed_precision")
def _files_are_as_they_are(values: Values) -> str | None:
    if not is_file(values["model"]):
        return None
    if values["weights_from"] == "random":
        return "--weights_from=random needs a --model that is no .keras file"
    if values["mixed_precision"]:
        return (
            "--mixed_precision needs a --model that is no .keras file, whose "
            "layers have their own precision"
        )
    return None


@check("epochs", "warmup_epochs")
def _warm_up_ends(values: Values) -> str | None:
    if values["warmup_epochs"] >= values["epochs"]:
        return (
            f"--warmup_epochs={values['warmup_epochs']:g} must be below "
            f"--epochs={values['epochs']}"
        )
    return None


@check("model", "granularity", "group_lasso")
def _slices_need_convolutions(values: Values) -> str | None:
    slices = values["granularity"] == "kernel" or values["group_lasso"] > 0
    if slices and values["model"] in ("lenet_300_100", "mlp"):
        return (
            "--granularity=kernel and --group_lasso need a network with "
            "convolutions: wide_resnet or resnet50"
        )
    return None


@check("model", "sparse_logits", "granularity")
def _blocks_need_a_matrix(values: Values) -> str | None:
    block = Granularity.of(values["granularity"]).block
    has_logits = values["sparse_logits"]
    if block and values["model"] == "wide_resnet" and not has_logits:
        return (
            f"--granularity={values['granularity']} needs a network with "
            "sparse dense layers or 1x1 convolutions: lenet_300_100, mlp, "
            "resnet50, or wide_resnet with --sparse_logits"
        )
    return None


@check("granularity", "storage")
def _stored_blocks_are_blocks(values: Values) -> str | None:
    block = Granularity.of(values["granularity"]).block
    if block is None and values["storage"] != "masks":
        return (
            f"--storage={values['storage']} needs blocks, such as "
            "--granularity=32x32"
        )
    return None


@check("granularity", "group_lasso")
def _blocks_are_no_slices(values: Values) -> str | None:
    block = Granularity.of(values["granularity"]).block
    if block and values["group_lasso"] > 0:
        option = f"--granularity={values['granularity']}"
        return f"--group_lasso does not go with {option}: its groups are slices"
    return None


@check("method", "granularity", "group_lasso")
def _units_can_move(values: Values) -> str | None:
    record = _record(values)
    if values["granularity"] != "weight" and not record.moves_units:
        option = f"--granularity={values['granularity']}"
        return f"{option} does not go with --method={record.name}"
    if values["group_lasso"] > 0 and record.kernels == "hashed":
        return f"--group_lasso does not go with --method={record.name}"
    return None
