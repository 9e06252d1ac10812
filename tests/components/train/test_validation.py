import json
import signal
from pathlib import Path

import pytest
import torch

from components.backends.storage import LocalStorage
from components.errors import SettingsError, SourceError
from components.imaging import codec, held_out
from components.imaging.sampler import SamplerSettings
from components.train.job import Job, Validation
from components.train.judge import HISTORY_FILE
from components.train.run import train
from components.train.validation import Mixed, as_in_training, pictures_of, snapshot
from models.lucidflux import Adapter
from tests.components.train.conftest import SMALL
from tests.components.train.test_launch import wait_for_end
from tests.components.train.test_run import SETTINGS, descendants, in_its_own_process, until

SAMPLER = SamplerSettings(steps=2, start=0.4, guidance=1.0, shift="none", tile_px=256, overlap_px=64)
PLAIN = SETTINGS.model_copy(update={"engine": "plain", "steps": 12, "checkpoint_every_steps": 4, "cache": "none"})
WATCHED = PLAIN.model_copy(
    update={"validate_every_steps": 5, "validation_images": 2, "validation_benchmarks": ("heavy",), "validation_crop_px": 192}
)


class Watched:
    """A finished run with validation, and what it said."""

    def __init__(self, store, pairs, base, work, settings, held_out):
        self.store, self.pairs, self.base, self.work, self.settings = store, pairs, base, work, settings
        self.validation = Validation(held_out=held_out, sampler=SAMPLER)
        self.events = []
        self.outcome = train(
            store, pairs, settings, base=base, work=work, validation=self.validation, on_event=self.events.append
        )

    def of(self, kind):
        return [event for event in self.events if event["event"] == kind]


@pytest.fixture
def run(small_store, small_pairs, small_bundle, small_held_out, tmp_path):
    return lambda settings, work=tmp_path: Watched(small_store, small_pairs, small_bundle, work, settings, small_held_out)


def test_validation_takes_the_last_pictures_by_id_and_evaluation_the_first(small_store, small_held_out):
    assert [image.id for image in held_out.find(small_store, small_held_out, 2)] == ["held-0", "held-1"]
    assert [image.id for image in held_out.find(small_store, small_held_out, 2, last=True)] == ["held-2", "held-1"]


def test_no_held_out_picture_is_a_sentence(small_store, small_pairs, small_held_out, tmp_path):
    from components.backends import manifest

    none = manifest.write(small_store, "images", [{"id": "a", "split": "train", "verdict": "kept", "width_px": 500}])
    with pytest.raises(SourceError, match="held-out"):
        held_out.find(LocalStorage(small_store.root), none, 3)


def test_the_same_pictures_are_degraded_in_the_same_way_each_time(small_store, small_pairs, small_bundle, small_held_out):
    plan = Validation(held_out=small_held_out, sampler=SAMPLER)
    job = Job(
        objects=small_store.root,
        pairs=small_pairs,
        settings=WATCHED,
        base=str(small_bundle),
        base_hashes={},
        folder="/nowhere",
        validation=plan,
    )
    first, again = pictures_of(job), pictures_of(job)
    assert [picture.image_id for picture in first] == ["held-2", "held-1"]
    assert all((a.lq_u8 == b.lq_u8).all() and a.hq_u8.shape == (192, 192, 3) for a, b in zip(first, again, strict=True))
    assert (first[0].lq_u8 != first[0].hq_u8).any()


def test_a_snapshot_looks_at_weights_in_place_and_wants_no_gradient():
    adapter = Adapter(SMALL)
    taken = snapshot(SMALL, dict(adapter.named_parameters()))
    for (name, own), theirs in zip(adapter.named_parameters(), taken.parameters(), strict=True):
        assert own.data_ptr() == theirs.data_ptr(), name
        assert own.requires_grad
        assert not theirs.requires_grad


def test_the_sampler_is_the_profiles_over_unmodified_blocks():
    fast = SAMPLER.model_copy(update={"mode": "fast", "fused": True, "memory": "low"})
    assert as_in_training(fast) == SAMPLER.model_copy(update={"mode": "plain"})


def test_products_of_the_network_alone_are_made_in_bfloat16():
    place, a = Mixed("cpu"), torch.ones(2, 2)
    with place.using("network"):
        assert (a @ a).dtype == torch.bfloat16
    for part in ("prior", "autoencoder"):
        with place.using(part):
            assert (a @ a).dtype == torch.float32


def test_a_judge_without_validation_is_refused(run):
    with pytest.raises(SettingsError, match="validate_every_steps"):
        run(PLAIN.model_copy(update={"keep_best": True}))
    with pytest.raises(SettingsError, match="best_metric"):
        run(WATCHED.model_copy(update={"keep_best": True, "best_metric": "val.moderate.psnr"}))
    with pytest.raises(SettingsError, match="known are"):
        run(WATCHED.model_copy(update={"validation_benchmarks": ("heavier",)}))


def test_validation_names_the_run_only_where_it_judges():
    assert WATCHED.identity() == PLAIN.identity()
    assert PLAIN.model_copy(update={"price_per_hour": 3.0, "peak_tflops": 9.0}).identity() == PLAIN.identity()
    assert WATCHED.model_copy(update={"keep_best": True}).identity() != PLAIN.identity()


@pytest.mark.e2e
def test_a_run_ends_with_the_same_bits_with_and_without_validation(run, tmp_path):
    watched = run(WATCHED, tmp_path / "with")
    alone = run(PLAIN, tmp_path / "without")
    assert watched.outcome.sha256 == alone.outcome.sha256
    losses = [[event["loss"] for event in one.of("step")] for one in (watched, alone)]
    assert losses[0] == losses[1]
    validations = watched.of("validation")
    assert [event["step"] for event in validations] == [5, 10, 12]
    assert not alone.of("validation")
    for name, score in validations[0]["scores"].items():
        assert name in ("val.heavy.psnr", "val.heavy.ssim", "val.heavy.piqe")
        assert score["lower"] <= score["mean"] <= score["upper"]
    grid_u8 = codec.decode(Path(validations[-1]["grid"]).read_bytes()).image_u8
    assert grid_u8.shape[1] > 3 * 192
    spent = watched.of("spent")[0]["seconds"]
    assert spent.keys() >= {"imports", "frozen parts", "features", "steps", "data wait", "checkpoint", "validation"}


@pytest.mark.e2e
@pytest.mark.timeout(600)  # three runs
def test_killed_and_run_again_it_keeps_the_same_best_and_stops_at_the_same_place(run, tmp_path):
    judged = WATCHED.model_copy(
        update={
            "steps": 40,
            "validate_every_steps": 2,
            "validation_images": 1,
            "validation_metrics": ("psnr", "piqe"),
            "best_metric": "val.heavy.piqe",  # of noise, so that it soon goes up and down
            "keep_best": True,
            "early_stop_patience": 2,
            "learning_rate": 1e-2,
            "ema_decay": 0.0,
            "cache": "memory",
        }
    )
    straight = run(judged, tmp_path / "straight")
    assert straight.outcome.notes
    assert straight.outcome.step < 40
    work = tmp_path / "killed"
    process = in_its_own_process(straight, work, judged, straight.validation)
    until(process, "step", straight.outcome.step - 1)
    children = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    wait_for_end(*children)
    resumed = run(judged, work)
    assert resumed.outcome.resumed_from_step > 0
    assert (resumed.outcome.sha256, resumed.outcome.notes) == (straight.outcome.sha256, straight.outcome.notes)
    histories = [json.loads(next(folder.glob(f"*/{HISTORY_FILE}")).read_text()) for folder in (work, tmp_path / "straight")]
    assert histories[0] == histories[1]
    assert not list(tmp_path.glob("*/*/best-*"))


@pytest.mark.e2e
def test_two_processes_wait_for_the_first_one_and_end_together(run):
    two = WATCHED.model_copy(update={"engine": "zero2", "processes": 2, "accumulation": 1, "steps": 6, "early_stop_patience": 1})
    outcome = run(two)
    assert outcome.of("validation")[0]["step"] == 5
    assert outcome.outcome.step == 6
    assert all(sum(event["count_by_time"]) == 4 for event in outcome.of("step"))
