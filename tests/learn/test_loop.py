from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pictures import COLOURS, drawn, pixels

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightline import progress  # noqa: E402
from sightline.errors import DataError, DatasetError, StoppedError, UsageError  # noqa: E402
from sightline.files import write_bytes  # noqa: E402
from sightline.learn import checkpoint, loop, step  # noqa: E402
from sightline.learn.augment import Augment  # noqa: E402
from sightline.learn.checkpoint import NEWEST, digest  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402
from sightline.learn.network import Classifier  # noqa: E402
from sightline.learn.plan import Plan  # noqa: E402
from sightline.learn.step import TrainingData, logits_of  # noqa: E402

pytestmark = pytest.mark.deep

QUICK = Plan(size=16, epochs=4, batch=8, lr=0.01, threads=1, ema=0.8, augment=Augment(erase=0.2, mixup=0.1))


def network(classes=3, seed=0):
    torch.manual_seed(seed)
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return Classifier(backbone, 8, classes, dropout=0.1)


def pictures(per_class, first):
    images = [
        pixels(drawn(first + 100 * number + index, (16, 16), colour))
        for number, colour in enumerate(list(COLOURS.values())[:3])
        for index in range(per_class)
    ]
    return np.stack(images), np.repeat(np.arange(3), per_class)


@pytest.fixture(scope="module")
def data():
    return TrainingData(*pictures(14, 0), *pictures(5, 1000))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The hash of the weights of a run that nothing interrupted."""
    model = network()
    trained = train_network(model, data, QUICK, tmp_path_factory.mktemp("whole"))
    assert trained.resumed_from is None
    return digest(model.state_dict())


def test_it_learns(data, tmp_path):
    model = network()
    plan = replace(QUICK, epochs=25, augment=Augment(colour=0.1))
    trained = train_network(model, data, plan, tmp_path)
    assert trained.history[-1].train_accuracy > 0.8
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    assert [epoch.number for epoch in trained.history] == list(range(1, 26))
    best = trained.history[trained.best_epoch - 1]
    assert best.val_accuracy == max(epoch.val_accuracy for epoch in trained.history) > 0.7
    assert not model.training
    answers = logits_of(model, data.val_images).argmax(1)
    assert abs((answers == data.val_targets).mean() - best.val_accuracy) < 0.1  # float32 here, bfloat16 there


def test_several_labels(tmp_path):
    images, numbers = pictures(14, 0)
    targets = np.stack([numbers == 0, numbers != 2], 1).astype(np.float32)
    data = TrainingData(images, targets, images[::3], targets[::3])
    model = network(2)
    trained = train_network(model, data, replace(QUICK, epochs=25, augment=Augment(colour=0.1)), tmp_path)
    assert trained.history[-1].val_loss < 0.5 < trained.history[0].val_loss
    assert ((logits_of(model, images) > 0) == targets).mean() > 0.85


def test_the_same_again_gives_the_same_weights_whatever_the_global_generators_did(data, tmp_path, whole):
    model = network()
    torch.manual_seed(4321)
    np.random.seed(5)
    random.seed(6)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train_network(model, data, QUICK, tmp_path)
    assert digest(model.state_dict()) == whole
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    other = network()
    train_network(other, data, replace(QUICK, seed=1), tmp_path / "other")
    assert digest(other.state_dict()) != whole


class Killed(BaseException):
    """Stands for a process that ends without a word."""


@pytest.mark.parametrize("at", [0, 2, 5, 9, 14, 19])
def test_killed_at_any_step_it_ends_with_identical_weights(data, tmp_path, whole, monkeypatch, at):
    done = [0]

    def dying(*arguments):
        if done[0] == at:
            raise Killed
        done[0] += 1
        return step.train_step(*arguments)

    monkeypatch.setattr(loop, "train_step", dying)
    with pytest.raises(Killed):
        train_network(network(), data, QUICK, tmp_path)
    monkeypatch.undo()
    model = network()
    trained = train_network(model, data, QUICK, tmp_path)
    assert trained.resumed_from == (at // 5 * 5 or None)
    assert len(trained.history) == 4
    assert digest(model.state_dict()) == whole


@pytest.mark.parametrize("save", [1, 2, 4])
def test_killed_inside_a_save_it_ends_with_identical_weights(data, tmp_path, whole, monkeypatch, save):
    saves = []

    def dying(path, content):
        saves.append(path)
        if len(saves) == save:
            (path.parent / f".{path.name}.x.part").write_bytes(content[:50])
            raise Killed
        write_bytes(path, content)

    monkeypatch.setattr(checkpoint, "write_bytes", dying)
    with pytest.raises(Killed):
        train_network(network(), data, QUICK, tmp_path)
    monkeypatch.undo()
    model = network()
    assert train_network(model, data, QUICK, tmp_path).resumed_from == ((save - 1) * 5 or None)
    assert digest(model.state_dict()) == whole


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_stopped_after_every_few_steps_it_ends_with_identical_weights(data, tmp_path, kind):
    plan = replace(QUICK, optimiser=kind, patience=3, frozen=1)
    straight = network()
    train_network(straight, data, plan, tmp_path / "straight")
    stops = 0
    while True:
        model, stop, seen = network(), threading.Event(), []

        def tell(event, stop=stop, seen=seen):
            seen.append(event.done)
            if event.done >= 3:
                stop.set()

        with progress.listen(tell):
            if stops == 6:
                train_network(model, data, plan, tmp_path / "halting", stop=stop)
                break
            with pytest.raises(StoppedError) as caught:
                train_network(model, data, plan, tmp_path / "halting", stop=stop)
        stops += 1
        assert "run the same command" in caught.value.hint
        assert caught.value.detail["step"] == 3 * stops
    assert digest(model.state_dict()) == digest(straight.state_dict())


def test_single_changes_mixing_and_drawing_by_class_resume_with_identical_weights(data, tmp_path):
    how = Augment(each=("perspective:0.5", "trivialaugment:1", "blur:0.02"), crop=0.6, noise=0.1, mixup=0.3, cutmix=0.4)
    plan = replace(QUICK, epochs=2, augment=how, sampling=0.5, balance=0.0)
    uneven = replace(data, images=data.images[:31], targets=data.targets[:31])
    straight = network()
    train_network(straight, uneven, plan, tmp_path / "straight")
    stop = threading.Event()

    def tell(event):
        if event.done >= 2:
            stop.set()

    with progress.listen(tell), pytest.raises(StoppedError):
        train_network(network(), uneven, plan, tmp_path / "halting", stop=stop)
    model = network()
    assert train_network(model, uneven, plan, tmp_path / "halting").resumed_from == 2
    assert digest(model.state_dict()) == digest(straight.state_dict())


def test_several_labels_can_be_mixed(tmp_path):
    images, numbers = pictures(8, 0)
    targets = np.stack([numbers == 0, numbers != 2], 1).astype(np.float32)
    data = TrainingData(images, targets, images[::3], targets[::3])
    plan = replace(QUICK, epochs=2, augment=Augment(mixup=0.4, cutmix=0.5), sampling=1.0, balance=0.0)
    trained = train_network(network(2), data, plan, tmp_path)
    assert all(math.isfinite(epoch.train_loss) for epoch in trained.history)


def test_ctrl_c_ends_after_the_step_and_gives_the_best_weights_so_far(data, tmp_path):
    model, before = network(), signal.getsignal(signal.SIGINT)

    def press(event):
        if event.done == 12 and not event.finished:
            os.kill(os.getpid(), signal.SIGINT)

    with progress.listen(press), pytest.raises(StoppedError, match=r"2 of 4 epochs.*best so far is epoch"):
        train_network(model, data, QUICK, tmp_path)
    assert signal.getsignal(signal.SIGINT) == before
    assert not model.training
    two = network()
    assert digest(model.state_dict()) != digest(two.eval().state_dict())


def test_a_finished_run_answers_at_once(data, tmp_path, whole, monkeypatch):
    train_network(network(), data, QUICK, tmp_path)
    monkeypatch.setattr(loop, "train_step", lambda *_: pytest.fail("trained again"))
    model = network(seed=9)
    trained = train_network(model, data, QUICK, tmp_path)
    assert digest(model.state_dict()) == whole
    assert len(trained.history) == 4


def test_a_truncated_checkpoint_costs_one_epoch_and_is_said(data, tmp_path, whole, monkeypatch):
    def dying(*arguments):
        if arguments[2] == 17:
            raise Killed
        return step.train_step(*arguments)

    monkeypatch.setattr(loop, "train_step", dying)
    with pytest.raises(Killed):
        train_network(network(), data, QUICK, tmp_path)
    monkeypatch.undo()
    newest = tmp_path / NEWEST
    newest.write_bytes(newest.read_bytes()[:-100])
    said, model = [], network()
    with progress.listen(lambda event: said.append(event.note)):
        trained = train_network(model, data, QUICK, tmp_path)
    assert trained.resumed_from == 10
    assert any("damaged" in text for text in said)
    assert digest(model.state_dict()) == whole


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(data, tmp_path, monkeypatch):
    real = step.loss_of
    calls = [0]

    def poisoned(logits, *rest, **named):
        calls[0] += 1
        # 5 + 1 calls an epoch: the second step of the third
        return real(logits, *rest, **named) * (math.nan if calls[0] == 14 else 1)

    monkeypatch.setattr(step, "loss_of", poisoned)
    model = network()
    with pytest.raises(DataError, match=r"epoch 3, step 12; the weights of epoch \d are kept") as caught:
        train_network(model, data, QUICK, tmp_path)
    assert "--way probe" in caught.value.hint
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_it_stops_early_when_validation_no_longer_gains(data, tmp_path, monkeypatch):
    losses = iter([1.0, 0.5, 0.7, 0.6, 0.55, 0.1])
    monkeypatch.setattr(loop, "validate", lambda parts: (next(losses), 0.5))
    trained = train_network(network(), data, replace(QUICK, epochs=6, patience=3), tmp_path)
    assert trained.stopped_early
    assert trained.best_epoch == 2
    assert len(trained.history) == 5


def test_the_best_averaged_weights_are_kept(data, tmp_path, monkeypatch):
    seen = []

    def scored(parts):
        seen.append(digest(parts.average.model.state_dict()))
        return 1.0, [0.2, 0.9, 0.3, 0.4][len(seen) - 1]

    monkeypatch.setattr(loop, "validate", scored)
    model = network()
    assert train_network(model, data, QUICK, tmp_path).best_epoch == 2
    assert digest(model.state_dict()) == seen[1]


def test_without_validation_pictures_the_last_weights_are_kept(data, tmp_path):
    bare = TrainingData(data.images, data.targets, data.val_images[:0], data.val_targets[:0])
    trained = train_network(network(), bare, replace(QUICK, patience=1), tmp_path)
    assert trained.best_epoch == 4
    assert trained.history[0].val_accuracy is None


def test_other_values_or_pictures_in_the_same_folder_are_refused(data, tmp_path):
    plan = replace(QUICK, epochs=1)
    train_network(network(), data, plan, tmp_path)
    with pytest.raises(UsageError, match=r"lr 0\.01 -> 0\.02"):
        train_network(network(), data, replace(plan, lr=0.02), tmp_path)
    with pytest.raises(UsageError, match="pictures"):
        train_network(network(), replace(data, targets=data.targets[::-1].copy()), plan, tmp_path)
    with pytest.raises(UsageError, match="network"):
        train_network(network(4), data, plan, tmp_path)


def test_minutes_become_epochs_before_the_start_and_stay_the_same(data, tmp_path, monkeypatch, whole):
    monkeypatch.setattr(loop, "epoch_seconds", lambda *_: 13.0)
    model = network()
    trained = train_network(model, data, replace(QUICK, epochs=2), tmp_path, minutes=1.0)
    assert trained.plan.epochs == len(trained.history) == 4
    assert digest(model.state_dict()) == whole  # as if four epochs had been asked for
    monkeypatch.setattr(loop, "epoch_seconds", lambda *_: pytest.fail("measured again"))
    assert train_network(network(), data, replace(QUICK, epochs=2), tmp_path, minutes=1.0).plan.epochs == 4
    with pytest.raises(UsageError, match="minutes must be above 0"):
        train_network(network(), data, QUICK, tmp_path / "other", minutes=0)


@pytest.mark.parametrize(("together", "threads"), [(0.6, 2), (1.1, 2), (5.0, 1)])
def test_one_thread_where_other_programs_hold_the_cores(data, tmp_path, monkeypatch, together, threads):
    monkeypatch.setenv("SIGHTLINE_THREADS", "2")
    monkeypatch.setattr(step, "step_seconds", lambda model, data, plan, device: {1: 1.0, 2: together}[plan.threads])
    said = []
    with progress.listen(lambda event: said.append(event.note)):
        plan = loop.agree(network(), data, replace(QUICK, threads=0), tmp_path, None)
    assert plan.threads == threads
    assert any("one thread" in text for text in said) == (threads == 1)
    monkeypatch.setattr(step, "step_seconds", lambda *_: pytest.fail("measured again"))
    assert loop.agree(network(), data, replace(QUICK, threads=0), tmp_path, None) == plan


def test_measuring_changes_nothing(data, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_THREADS", "2")
    model = network()
    before, state = digest(model.state_dict()), torch.get_rng_state()
    assert step.epoch_seconds(model, data, replace(QUICK, threads=0)) > 0
    assert digest(model.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_few_pictures(data, tmp_path):
    few = TrainingData(data.images[::14], data.targets[::14], data.val_images, data.val_targets)
    assert train_network(network(), few, replace(QUICK, epochs=1), tmp_path).plan.batch == 3
    one = TrainingData(data.images[:1], data.targets[:1], data.val_images, data.val_targets)
    with pytest.raises(DatasetError, match="at least 2"):
        train_network(network(), one, QUICK, tmp_path / "one")


def test_rare_classes_weigh_more(data, tmp_path):
    rows = np.r_[0:14, 14:28, 28:31]
    rare = TrainingData(data.images[rows], data.targets[rows], data.val_images, data.val_targets)
    parts = step.assemble(network(), rare, QUICK, torch.device("cpu")).held
    assert parts.weights[2] > parts.weights[0]
    assert step.assemble(network(), data, QUICK, torch.device("cpu")).held.weights is None


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from test_loop import QUICK, network, pictures
from sightline.learn.checkpoint import digest
from sightline.learn.loop import train_network
from sightline.learn.step import TrainingData
from dataclasses import replace
model = network()
train_network(model, TrainingData(*pictures(14, 0), *pictures(5, 1000)), replace(QUICK, epochs=60), Path(sys.argv[1]))
print(digest(model.state_dict()))
"""


@pytest.mark.slow
def test_killed_by_the_system_at_random_instants(tmp_path):
    here = Path(__file__).parent
    script = SCRIPT.format(tests=str(here.parent), here=str(here))

    def start(run):
        return subprocess.Popen([sys.executable, "-c", script, str(run)], stdout=subprocess.PIPE, text=True)

    def saved_at(run):
        try:
            return (run / NEWEST).stat().st_mtime_ns
        except FileNotFoundError:  # not yet, or just between its two renames
            return None

    expected, _ = start(tmp_path / "whole").communicate(timeout=300)
    run, rng, kills = tmp_path / "killed", random.Random(7), 0
    while kills < 5:
        process = start(run)
        saves = rng.randint(2, 8)  # wait for a few saves, then a random instant around the next one
        stamp, seen = None, 0
        while process.poll() is None and seen < saves:
            now = saved_at(run)
            seen += now is not None and now != stamp
            stamp = now or stamp
        try:
            process.wait(rng.uniform(0, 0.05))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        output, _ = process.communicate()
        if process.returncode == 0:
            break
    process = start(run)
    output, _ = process.communicate(timeout=300)
    assert kills >= 3
    assert output == expected != ""
