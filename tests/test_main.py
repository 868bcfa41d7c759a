"""The command line, as a user runs it: in a process of its own."""

import json
import re
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from dsr_tf import cli
from dsr_tf.cli import entry
from dsr_tf.cli.flag_names import in_flags
from dsr_tf.methods import evolution
from tests.command_line import main


def assert_refused(result, message, status):
    assert result.returncode == status
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert re.search(message, result.stderr), result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    return path, main(f"--run_dir={path}", "--epochs=2", "--period=15")


def test_run_tells_what_it_did(finished):
    path, result = finished
    assert result.returncode == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) == 2 + 9
    assert lines[0].startswith("epoch 1/2  loss ")
    summary = json.loads((path / "summary.json").read_text())
    assert f"{summary['test_accuracy']:.4f}" in lines[2]
    assert "5,020 of 50,200 weights (0.1 kept)" in lines[3]
    assert "5,020" in lines[4]
    assert f"{summary['weights_moved']:,} in 2 reallocations" in lines[5]
    assert f"{summary['ever_active']:.4f} of all weights" in lines[6]
    dead = [sum(x["dead_inputs"] for x in summary["layers"])]
    dead.append(sum(x["dead_outputs"] for x in summary["layers"]))
    assert f"{dead[0]} inputs" in lines[7] and "without an active" in lines[7]
    assert (f"{dead[1]} outputs" in lines[7]) == (dead[1] > 0)
    assert "5,840 in the whole model" in lines[8]
    assert lines[10].endswith(str(path))


@pytest.mark.slow
def test_flags_of_a_run_run_again(starter, finished, tmp_path):
    path, _ = finished
    again = tmp_path / "again"
    result = starter.main(
        f"--flagfile={path / 'flags.cfg'}", f"--run_dir={again}"
    )
    assert result.returncode == 0
    assert (again / "flags.cfg").read_text() == (path / "flags.cfg").read_text()
    accuracy = [
        json.loads((p / "summary.json").read_text())["test_accuracy"]
        for p in (path, again)
    ]
    assert accuracy[0] == accuracy[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, name",
    [
        ((), "saved_model"),
        (("--format=tflite", "--quantize=int8"), "model_int8.tflite"),
        (("--format=npz",), "weights.npz"),
    ],
)
def test_run_is_exported_into_its_folder(starter, finished, arguments, name):
    path, _ = finished
    command = "--mode=export", f"--run_dir={path}", *arguments
    result = starter.main(*command)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1].endswith(str(path / name)) and (path / name).exists()
    assert any("bytes of the dense weights" in x for x in lines)
    refused = f"already holds this export. Add --overwrite.*{name}"
    assert_refused(starter.main(*command), refused, 1)
    assert starter.main(*command, "--overwrite").returncode == 0


def test_only_finished_runs_are_exported(starter, tmp_path):
    result = starter.main("--mode=export", f"--run_dir={tmp_path}")
    assert_refused(result, "--run_dir must be the folder of a finished run", 1)


@pytest.mark.slow
def test_second_run_is_refused(starter, finished):
    path, _ = finished
    result = starter.main(f"--run_dir={path}", "--epochs=2")
    other = "already holds a finished run with other flags.*--overwrite"
    assert_refused(result, other, 1)


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--sparsity=1", "a number from 0, below 1"),
        ("--sparsity=nan", "a number from 0, below 1"),
        ("--momentum=1.5", "a number from 0, below 1"),
        ("--l1=-1", "a number from 0"),
        ("--initial_threshold=0", "a number above 0"),
        ("--epochs=0", "is not a positive integer"),
        ("--num_pruned=0", "a whole number from 1, or a share"),
        ("--num_pruned=-3", "a whole number from 1, or a share"),
        ("--num_pruned=1.5", "a whole number from 1, or a share"),
        ("--num_pruned=cosine:2:0", "a whole number from 1, or a share"),
        ("--method=snip", "should be one of <dsr|compressed|deepr|set|rigl|"),
        ("--method=thin_dense", "--method=thin_dense needs --width"),
        ("--width=0", "a number above 0"),
        ("--method=dense --tensorboard", "--tensorboard needs a --method"),
        ("--method=compressed", "needs --init_from, a trained dense network"),
        ("--masks_from=run", "needs --weights_from or --init_from"),
        ("--weights_from=run", "--weights_from needs --masks_from, and no"),
        (
            "--masks_from=run --weights_from=a --init_from=b",
            "--weights_from needs --masks_from, and no --init_from",
        ),
        (
            "--method=dense --masks_from=a --weights_from=a",
            "trains under masks",
        ),
        ("--method=hashed --init_from=run", "cannot use --init_from"),
        ("--method=compressed --init_from=", "must not be empty"),
        ("--masks_from= --weights_from=", "must not be empty"),
        ("--run_dir=gs://bucket/run", "must be a path of this machine"),
        ("--mode=report --out=s3://bucket/page", "must be a path of this"),
        ("--granularity=kernel", "need a network with convolutions"),
        ("--granularity=16", "must be weight, kernel or ROWSxCOLUMNS, such"),
        ("--granularity=0x4", "must be weight, kernel or ROWSxCOLUMNS, such"),
        ("--granularity=axb", "must be weight, kernel or ROWSxCOLUMNS, such"),
        ("--granularity=4x4x4", "must be weight, kernel or ROWSxCOLUMNS, suc"),
        ("--granularity=", "must be weight, kernel or ROWSxCOLUMNS, such as"),
        ("--storage=blocks", "--storage=blocks needs blocks, such as --granu"),
        ("--granularity=4x4 --method=deepr", "does not go with --method=deepr"),
        (
            "--granularity=4x4 --method=hashed",
            "--granularity=4x4 does not go with --method=hashed",
        ),
        (
            "--granularity=4x4 --model=wide_resnet",
            "needs a network with sparse dense layers or 1x1 convolutions",
        ),
        (
            "--granularity=4x4 --model=resnet50 --group_lasso=1",
            "--group_lasso does not go with --granularity=4x4",
        ),
        ("--group_lasso=1", "need a network with convolutions"),
        (
            "--granularity=kernel --model=resnet50 --method=deepr",
            "does not go with --method=deepr",
        ),
        (
            "--granularity=kernel --model=resnet50 --method=hashed",
            "does not go with --method=hashed",
        ),
        (
            "--group_lasso=1 --model=resnet50 --method=hashed",
            "--group_lasso does not go with --method=hashed",
        ),
        (
            "--distribution=balanced --method=hashed",
            "trains under masks: dsr, deepr, set, rigl, itop, snfs, granet, "
            "mest, chts or static",
        ),
        ("--distribution=erk --method=compressed --init_from=a", "under masks"),
        ("--temperature=-1", "one float from 0, or a schedule"),
        ("--temperature=linear:0", "or KIND:START:END, such as cosine:8:4"),
        ("--temperature=linear:1:2:3:4", "or KIND:START:END, such as"),
        ("--drop_fraction=cosine:1:0", "one float from 0, below 1, or a sch"),
        ("--drop_fraction=0:0.1,5:1", "one float from 0, below 1, or a sch"),
        ("--learning_rate=linear:0:0.01", "one float above 0, or a schedule"),
        ("--learning_rate=0", "one float above 0, or a schedule"),
        ("--learning_rate=0:0.1,5:0", "one float above 0, or a schedule"),
        ("--learning_rate=exponential:0.1:0", "one float above 0, or a sch"),
        ("--model=MobileNet2", "must be lenet.*; near: MobileNetV2"),
        ("--model=x", "a .keras file, or module:function"),
        ("--model=a\0b.keras", "must not hold a null byte"),
        (
            "--model=MobileNetV2 --method=thin_dense --width=0.5",
            "thin_dense does not go with --model=MobileNetV2: only networks of",
        ),
        ("--model=a:b --width=0.5", "--width does not go with --model=a:b"),
        ("--model=a:b --l1=0.1", "--l1 does not go with --model=a:b: give its"),
        ("--model=a.keras --l2=1", "--l2 does not go with --model=a.keras"),
        ("--model=VGG16 --group_lasso=1", "--group_lasso does not go with"),
        ("--model=a:b --depth=16", "--depth has no effect with --model=a:b"),
        (
            "--model=a.keras --mixed_precision=float16",
            "--mixed_precision needs a --model that is no .keras file",
        ),
        (
            "--model=a.keras --masks_from=b --weights_from=random",
            "--weights_from=random needs a --model that is no .keras file",
        ),
        ("--optimizer=adamw --momentum=0.5", "it belongs to --optimizer=sgd"),
        ("--optimizer=adamax2", "should be one of <sgd|adam|"),
        ("--warmup_epochs=3 --epochs=3", "=3 must be below --epochs=3"),
        ("--weight_decay=-1", "a number from 0"),
        ("--mixed_precision=int8", "should be one of <float16|bfloat16>"),
        ("--period=linear:0:8", "one int from 1, or a schedule"),
        ("--period=linear:4:8:-1", "one int from 1, or a schedule"),
        (
            "--period=cosine:8:4:0",
            "UNTIL, .* above 0 and at most 1, or",
        ),
        (
            "--drop_fraction=cosine:0.3:0:1.5",
            "or an optimizer step, at least 2",
        ),
        (
            "--method=static --num_pruned=5",
            "--num_pruned has no effect with --method=static: it belongs to "
            "--method=dsr",
        ),
        ("--temperature 1e-3", "--temperature has no effect with --method=dsr"),
        ("--noprune_across_tensors", "it belongs to --method=compressed"),
        ("--num_prunes=20 --period=5", "--num_prunes has no effect"),
        ("--prune_power=2", "it belongs to --method=compressed"),
        (
            "--method=compressed --init_from=a --prune_initial_sparsity=.95",
            "=0.95 must be at most --sparsity=0.9",
        ),
        (
            "--method=compressed --init_from=a --prune_power=2 "
            "--prune_schedule=exponential",
            "--prune_power=2 needs --prune_schedule=cubic",
        ),
        ("--format=npz", "no effect with --mode=train: it belongs to .*export"),
        ("--mode=evaluate --format tflite", "--format has no effect"),
        ("--mode=export --run_dir=x --runs=y", "--mode=report or compare"),
        ("--mode=compare --out=x", "--out has no effect .*--mode=report$"),
        ("--begin_step=-1", "--begin_step"),
        ("--quantize=int8", "--quantize needs --format=tflite"),
        ("--compute=blocks --format=npz", "needs --format=saved_model"),
        ("--encoding=dense", "--encoding needs --format=tflite"),
        ("--inputs=int8", "--inputs needs --format=tflite"),
        ("--format=tflite --inputs=int8", "=int8 needs --quantize=int8"),
        (
            "--format=tflite --inputs=int8 --quantize=int8 --encoding=sparse",
            "does not go with --encoding=sparse",
        ),
        ("--train_examples=0", "is not a positive integer"),
        ("--prune_schedule=linear", "should be one of <cubic|exponential>"),
        ("--learning_rate=0:0.1,25", "a schedule of EPOCH:VALUE"),
        ("--learning_rate=5:0.1", "an entry for epoch 0"),
        ("--learning_rate=0:inf", "a schedule of EPOCH:VALUE"),
        ("--period=0:0", "a schedule of EPOCH:VALUE"),
        ("--period=0:1.5", "a schedule of EPOCH:VALUE"),
        ("--period=0:5,0:6", "a schedule of EPOCH:VALUE"),
        ("--no_such_flag", "Unknown command line flag"),
        ("--seed=5000000000", "integer in the range"),
        (f"--epochs={10**20}", "must be at most 2147483647"),
        (f"--batch_size={10**20}", "must be at most 2147483647"),
        (f"--num_pruned={10**30}", "must be at most 2147483647"),
        (f"--train_examples={10**20}", "must be at most 2147483647"),
        (f"--stop_epoch={10**20}", "must be at most 2147483647"),
        (f"--checkpoint_steps={10**20}", "must be at most 2147483647"),
        (f"--keep_checkpoints={10**20}", "must be at most 2147483647"),
        (f"--verbosity={10**20}", "must be at most 2147483647"),
        (f"--image_size={10**20}", "must be at most 10000"),
        (f"--depth={10**20}", "must be at most 1204"),
        (f"--epochs={'9' * 5000}", "invalid|Exceeds"),
        ("--width=1e308", "a number above 0, below 100"),
        ("--l1=1e39", "a number that 32 bits can hold"),
        ("--initial_threshold=1e308", "a number that 32 bits can hold"),
        ("--temperature=1e39", "a number that 32 bits can hold"),
        ("--learning_rate=1e39", "a number that 32 bits can hold"),
        (
            "--learning_rate=0:0.1,99999999999999999999999:1",
            "a number that 32 bits can hold",
        ),
        (f"--period={10**20}", "a number that 32 bits can hold"),
        (f"--period=0:15,{10**20}:5", "a number that 32 bits can hold"),
        (f"--period=linear:1:{2**31}", "a number that 32 bits can hold"),
        (f"--period=linear:1:5:{2**31}", "a number that 32 bits can hold"),
        ("--run_dir=a\0b", r"--run_dir=a\\x00b: must not hold a null byte"),
        ("--data_dir=a\0b", "must not hold a null byte"),
        ("--runs=a\0b", "must not hold a null byte"),
        ("--no\x1b[31m", r"flag 'no\\x1b\[31m'"),
        ("--flagfile= --mode=compare", "--flagfile must name a file"),
        ("--flagfile=/no/where", "Unable to open flagfile"),
        ("--flagfile=/tmp", "Unable to open flagfile"),
    ],
)
def test_bad_values_are_refused(flag, message, capsys):
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as ended:
        entry.parse_flags(["main.py", *flag.split()])
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("main.py: ") and len(printed.splitlines()) == 1
    assert re.search(message, printed), printed


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--l1=-1", r"^main.py: flag --l1=-1: must be a number from 0$"),
        ("stray", "^main.py: unexpected argument 'stray'; flags begin with --"),
    ],
)
def test_bad_arguments_end_the_program(starter, argument, message):
    assert_refused(starter.main(argument), message, 2)


@pytest.mark.slow
def test_budget_that_is_too_small_is_refused(starter, tmp_path):
    result = starter.main(f"--run_dir={tmp_path}", "--num_pruned=6000")
    assert_refused(result, "--num_pruned must be smaller than the budget", 1)


def test_run_to_start_from_must_be_there(starter, tmp_path):
    result = starter.main(
        "--method=compressed",
        f"--init_from={tmp_path}",
        f"--run_dir={tmp_path}",
    )
    assert_refused(result, "--init_from must be the folder of a finished", 1)


@pytest.mark.slow
def test_broken_files_of_a_data_set_are_one_line(starter, tmp_path):
    from tests.imagenet_form import write_imagenet

    write_imagenet(tmp_path)
    for path in tmp_path.rglob("*train.tfrecord*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    result = starter.main(
        "--dataset=imagenet2012",
        f"--data_dir={tmp_path}",
        f"--run_dir={tmp_path / 'run'}",
        "--image_size=16",
        "--batch_size=10",
    )
    assert_refused(result, "TensorFlow failed .DataLossError.: .*corrupted", 1)


@pytest.mark.slow
def test_too_many_examples_are_refused(starter, tmp_path):
    result = starter.main(f"--run_dir={tmp_path}", "--train_examples=1501")
    assert_refused(result, "--train_examples must be from 1 to .* 1500", 1)


def config(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["main.py", *arguments])
        return cli.config()


def run_dir(*arguments):
    return config(*arguments).execution.run_dir


def test_runs_get_folders_of_their_own():
    assert run_dir() == "runs/digits_lenet_300_100_dsr_s0.9_e100_seed0"
    wide = "--model=wide_resnet", "--dataset=cifar10"
    assert run_dir(*wide, "--depth=10", "--granularity=kernel") == (
        "runs/cifar10_wide_resnet_10_2_dsr_s0.9_kernel_e100_seed0"
    )
    assert run_dir("--granularity=16x16") == (
        "runs/digits_lenet_300_100_dsr_s0.9_16x16_e100_seed0"
    )
    assert run_dir(*wide, "--granularity=4x4", "--sparse_logits") == (
        "runs/cifar10_wide_resnet_28_2_dsr_s0.9_4x4_e100_seed0"
        "_sparse_logits=True"
    )
    assert run_dir("--method=thin_dense", "--width=0.1") == (
        "runs/digits_lenet_300_100_w0.1_thin_dense_e100_seed0"
    )
    structure = "--method=static", "--masks_from=run", "--weights_from=random"
    assert run_dir(*structure) == (
        "runs/digits_lenet_300_100_static_s0.9_fresh_weights_e100_seed0"
        "_masks_from=run_weights_from=random"
    )
    stopped = run_dir("--stop_epoch=3", "--epochs=9", "--train_examples=500")
    assert stopped.endswith("dsr_s0.9_stop3_e9_n500_seed0")
    assert run_dir("--stop_epoch=3", "--method=static").endswith(
        "static_s0.9_e100_seed0"
    )
    assert run_dir("--distribution=erk", "--run_dir=") == (
        "runs/digits_lenet_300_100_dsr_s0.9_erk_e100_seed0"
    )
    assert run_dir("--run_dir=own") == "own"


DIFFERENT = (
    ("--dataset=cats/v1", "--dataset=cats-v1", "--dataset=cats/v[1]"),
    ("--data_dir=/a/b", "--data_dir=/a/c", "--image_size=8"),
    ("--learning_rate=.05", "--learning_rate=0:.05,3:.1", "--momentum=0"),
    ("--learning_rate=0:.05,3:.2", "--batch_size=50", "--l1=0", "--l2=1e-3"),
    ("--period=10", "--period=0:10,5:20", "--period=linear:10:20"),
    ("--num_pruned=9", "--tolerance=.2", "--initial_threshold=.7"),
    ("--num_pruned=.1", "--growth=drawn"),
    ("--num_pruned=cosine:.3:.01:.75",),
    ("--regrow_stddev=.3", "--seed=1", "--epochs=3", "--sparsity=.8"),
    ("--test_split=train[80%:]", "--test_split=train[81%:]"),
    ("--train_split=train[80%:]", "--train_split=train"),
    ("--begin_step=5", "--begin_step=6"),
    ("--distribution=balanced", "--distribution=erk"),
    ("--stop_epoch=3", f"--dataset={'x' * 300}"),
    ("--optimizer=adam", "--weight_decay=0.1", "--warmup_epochs=2"),
    ("--learning_rate=cosine:0.1:0", "--jit=off", "--augment", "--noaugment"),
    ("--model=a/b.keras", "--model=a/c.keras", "--model=a:b", "--model=VGG16"),
    ("--dataset=a/", "--dataset=a.npz", "--nostandardize"),
    ("--mixed_precision=bfloat16", "--image_size=9"),
)


def test_different_settings_have_different_folders():
    flags = [(), *((flag,) for row in DIFFERENT for flag in row)]
    flags += [tuple(row) for row in DIFFERENT[3:4] + DIFFERENT[5:6]]
    names = [Path(run_dir(*given)) for given in flags]
    assert len(set(names)) == len(flags)
    for name in names:
        assert name.parent == Path("runs") and len(name.name) < 255
        assert re.fullmatch(r"[\w=.+-]+", name.name, re.A)


@pytest.mark.parametrize(
    "given, written",
    [
        # As runs have them that were made before there were other schedules.
        ("--period=15", "--period=0:15"),
        ("--period=0:15,5:30", "--period=0:15,5:30"),
        ("--period=linear:100:400:0.5", "--period=linear:100:400:0.5"),
        ("--temperature=1e-3", "--temperature=0:0.001"),
        ("--learning_rate=0.5", "--learning_rate=0:0.5"),
        ("--drop_fraction=0.1", "--drop_fraction=0.1"),
        ("--drop_fraction=0:0.3,2:0.1", "--drop_fraction=0:0.3,2:0.1"),
        ("--drop_fraction=cosine:0.3:0", "--drop_fraction=cosine:0.3:0.0"),
        ("--distribution=erk", "--distribution=erk"),
        ("--begin_step=7", "--begin_step=7"),
    ],
)
def test_flags_are_written_in_one_form(given, written):
    method = "--method=deepr" if "temperature" in given else "--method=set"
    text = config(method, given).flags
    assert written in text.splitlines()
    assert config(method, written).flags == text


def test_a_run_has_the_settings_of_its_own_method_only():
    text = config("--method=set", "--drop_fraction=0.2").flags
    assert "--drop_fraction=0.2" in text
    assert "num_pruned" not in text and "temperature" not in text
    # Older runs have no such flag, and did the same.
    assert "distribution" not in text and "begin_step" not in text
    start = "--method=compressed", "--init_from=a"
    assert "prune_initial" not in config(*start).flags
    assert "prune_power" not in config(*start).flags
    own = ("--prune_initial_sparsity=0.5", "--prune_power=2.0")
    assert set(own) <= set(config(*start, *own).flags.splitlines())
    assert isinstance(config("--method=set").settings, evolution.Settings)


def test_flags_of_older_runs_are_taken(tmp_path):
    path = tmp_path / "flags.cfg"
    path.write_text(
        "--method=set\n--num_pruned=150\n--tolerance=0.1\n"
        "--drop_fraction=0.1\n--temperature=0:1e-05,25:1e-08\n"
        "--noise_rate=0.01\n--prune_across_tensors\n--period=0:15\n"
    )
    assert config(f"--flagfile={path}").flags == (
        config("--method=set", "--period=15").flags
    )


def test_settings_of_a_file_are_passed_over_with_another_method(tmp_path):
    path = tmp_path / "dsr.cfg"
    path.write_text("--method=dsr\n--num_pruned=60\n")
    given = ["main.py", f"--flagfile={path}", "--method=static"]
    with flagsaver.flagsaver():
        assert entry.parse_flags(given) == ["main.py"]
    with flagsaver.flagsaver():
        # A value, and no flag.
        entry.parse_flags([*given, "--run_dir", "--num_pruned"])
        assert flags.FLAGS.run_dir == "--num_pruned"


@pytest.mark.slow
def test_data_that_cannot_be_had_is_one_line(starter, tmp_path):
    # A proxy that nobody serves: no network, wherever this runs.
    nowhere = "http://127.0.0.1:9"
    result = starter.main(
        "--dataset=fashion_mnist",
        f"--data_dir={tmp_path}",
        f"--run_dir={tmp_path / 'run'}",
        **{key: nowhere for key in ("http_proxy", "https_proxy")},
        **{key: nowhere for key in ("HTTP_PROXY", "HTTPS_PROXY")},
    )
    assert_refused(result, "fashion_mnist' is not at .*tfds build", 1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "message, shown",
    [
        (
            "`run_dir` must be a folder. Received: run_dir=a, a file",
            "--run_dir must be a folder. Received: --run_dir=a, a file",
        ),
        (
            "`fit` needs `epochs`. Received: epochs=3 and depth=x/seed=1",
            "`fit` needs --epochs. Received: --epochs=3 and --depth=x/seed=1",
        ),
        ("with --seed=0 there and 1 here", "with --seed=0 there and 1 here"),
        ("`model.build` of x_seed=3", "`model.build` of x_seed=3"),
    ],
)
def test_messages_name_flags(message, shown):
    assert in_flags(message) == shown


def test_help_lists_flags_with_their_defaults(starter):
    result = starter.main("--help")
    text = " ".join(result.stdout.split())
    assert "(default: '0.9') (a number from 0, below 1)" in text
    assert "--period" in text and "Traceback" not in result.stderr
    assert (
        result.returncode == 0
        and max(map(len, result.stdout.split("\n"))) <= 80
    )


def test_help_names_every_flag_once(starter):
    printed = starter.main("--help").stdout.splitlines()
    named = [x.strip().replace("[no]", "") for x in printed if x[:4] == "  --"]
    own = {
        flag.name
        for module, row in flags.FLAGS.flags_by_module_dict().items()
        for flag in row
        if module.startswith("dsr_tf.")
    }
    assert {"l1", "mode", "num_pruned", "temperature"} < own
    assert sorted(named) == sorted(f"--{name}" for name in own | {"verbosity"})
