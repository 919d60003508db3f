from __future__ import annotations

import pytest

from sightline.errors import MissingExtraError, UsageError
from sightline.learn import writers
from sightline.learn.writers import Log, opened, read

torch = pytest.importorskip("torch")

from sightline.learn.loop import Epoch  # noqa: E402

pytestmark = pytest.mark.deep
HISTORY = [Epoch(1, 2.0, 0.25, 1.5, 0.5, 3.0, 0.01), Epoch(2, 1.0, 0.5, None, None, 3.0, 0.005)]
VALUES = {"lr": 0.01, "augment": {"flip": True}}


def told(log: Log, count: int = 2) -> None:
    with opened(log, VALUES) as on_epoch:
        for number in range(count):
            on_epoch(HISTORY[: number + 1])


def test_names(monkeypatch):
    monkeypatch.setattr(writers, "find_spec", lambda name: name)
    assert read("tensorboard, mlflow,tensorboard") == ("tensorboard", "mlflow")
    with pytest.raises(UsageError, match="no 'tensorbord'") as caught:
        read("tensorbord")
    assert "tensorboard" in caught.value.hint
    with pytest.raises(UsageError, match="nobody"):
        read(" , ")


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(writers, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="extra 'log'"):
        read("tensorboard")
    with pytest.raises(MissingExtraError, match="package mlflow") as caught:
        read("mlflow")
    assert caught.value.hint == "pip install mlflow"


def test_nobody_is_told_without_a_log():
    with opened(None, VALUES) as on_epoch:
        assert on_epoch is None


def test_tensorboard_draws_each_epoch_once(tmp_path):
    """A training that goes on tells its history again; an epoch must not be there twice."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Log(("tensorboard",), tmp_path / "logs", "signs")
    told(log, 1)
    told(log)
    events = EventAccumulator(str(tmp_path / "logs" / "signs"))
    events.Reload()
    assert [(point.step, point.value) for point in events.Scalars("loss/train")] == [(1, 2.0), (2, 1.0)]
    assert [point.step for point in events.Scalars("accuracy/validation")] == [1], "None is no number"
    assert [round(point.value, 4) for point in events.Scalars("rate")] == [0.01, 0.005]
    assert b"augment.flip" in events.Tensors("values/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_one_run_for_a_training(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    log = Log(("mlflow",), tmp_path / "logs", "signs")
    told(log, 1)
    told(log)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'logs' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
    assert run.data.params["augment.flip"] == "True"
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss/train")] == [(1, 2), (2, 1)]
