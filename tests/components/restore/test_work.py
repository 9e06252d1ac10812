"""A job between workers: leases, deaths, another's shards, a bucket, and what is said of each picture."""

from __future__ import annotations

import json
from dataclasses import replace

import boto3
import numpy as np
import pytest

from components.backends.jobs import Jobs
from components.backends.storage import LocalStorage, open_storage
from components.errors import SourceError, WeightsError
from components.imaging import codec
from components.imaging.inspect_settings import InspectSettings
from components.restore import crew, picture, quality, work
from components.restore.control_settings import DriftSettings, QualitySettings
from components.restore.model import Model
from components.restore.owner import gone, myself
from components.restore.run import Batch, go_on, restore
from components.restore.settings import RestoreSettings


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        image_u8 = np.random.default_rng(number).integers(0, 256, (16, 24, 3), dtype=np.uint8)
        (folder / f"{number}.png").write_bytes(codec.encode_png(image_u8))
    return folder


@pytest.fixture
def batch(tmp_path, restorer, model):
    return Batch(
        model=model,
        settings=RestoreSettings(shard_pictures=2),
        output=str(tmp_path / "out"),
        state=f"sqlite:///{tmp_path / 'state.db'}",
        objects=str(tmp_path / "objects"),
        restorer=restorer,
    )


def lines(made):
    text = open_storage(made.sidecar.rpartition("/")[0]).read(made.sidecar.rpartition("/")[2]).decode()
    return {row["origin"]: row for row in map(json.loads, text.splitlines())}


class Killed(BaseException):
    """Ends a worker where a kill would."""


def killed_while(monkeypatch, batch, photos, module, name, when):
    """Run until a function is called with what `when` accepts, then leave the lease as a dead worker does."""
    genuine = getattr(module, name)

    def deadly(*arguments, **options):
        if when(*arguments):
            raise Killed
        return genuine(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, deadly)
        patched.setattr(Jobs, "release", lambda self, lease: False)
        patched.setattr(work, "myself", lambda: "dead")
        with pytest.raises(Killed):
            restore([str(photos)], batch)


def test_the_loaded_restorer_has_the_identity_that_the_model_says(model, restorer):
    assert model.identity == restorer.identity


def test_a_picture_that_kills_worker_after_worker_gets_a_reason_and_the_others_are_restored(photos, batch, monkeypatch):
    monkeypatch.setattr(crew, "gone", lambda owner: owner == "dead")
    for _ in range(3):
        killed_while(monkeypatch, batch, photos, work, "load", lambda item, *_: item.origin == "1.png")
    made = restore([str(photos)], batch)
    assert (made.restored + made.reused, made.failed) == (4, 1)
    assert {name: row["reason"] for name, row in lines(made).items() if "reason" in row} == {"1.png": "worker_died"}


def test_a_picture_whose_worker_was_killed_twice_from_outside_is_restored(photos, batch, monkeypatch):
    monkeypatch.setattr(crew, "gone", lambda owner: owner == "dead")
    for _ in range(2):
        killed_while(monkeypatch, batch, photos, work, "load", lambda item, *_: item.origin == "1.png")
    assert restore([str(photos)], batch).failed == 0


def test_a_result_written_just_before_a_kill_is_found_and_not_taken_for_somebody_elses(photos, batch, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "gone", lambda owner: owner == "dead")
    killed_while(monkeypatch, batch, photos, work.manifest, "write_part", lambda store, key, kind, rows: kind == "restored")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    assert len(stamps) == 2
    made = restore([str(photos)], batch)
    assert (made.restored, made.reused) == (3, 2)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_note_without_its_file_is_made_again(photos, batch, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "gone", lambda owner: owner == "dead")
    killed_while(monkeypatch, batch, photos, LocalStorage, "put_new", lambda self, key, data: key == "1.png")
    assert restore([str(photos)], batch).failed == 0
    assert (tmp_path / "out" / "1.png").exists()


def test_shards_of_a_live_worker_elsewhere_are_waited_for(photos, batch, monkeypatch):
    jobs = Jobs(batch.state)
    genuine, others = Jobs.take, []

    def take(self, job, owner, lease_s):
        if not others:
            others.append(genuine(jobs, job, "elsewhere/1/1", 60))
        return genuine(self, job, owner, lease_s)

    def finish(_):
        monkeypatch.undo()
        assert jobs.release(others[0])

    monkeypatch.setattr(Jobs, "take", take)
    monkeypatch.setattr(crew.time, "sleep", finish)
    assert restore([str(photos)], batch).restored == 5


def test_a_worker_that_lost_its_shard_leaves_it_to_the_other(photos, batch, monkeypatch):
    jobs = Jobs(batch.state)
    genuine = picture.save

    def slow(loaded, *rest, **options):
        if loaded.item.origin == "0.png" and not stolen:
            job = loaded and jobs.find(made_id[0])
            assert jobs.reclaim(job.id, lambda _: True) == 1
            stolen.append(jobs.take(job.id, "elsewhere/1/1", 60))
            jobs.release(stolen[0])
        return genuine(loaded, *rest, **options)

    stolen, made_id = [], []
    recorded = Jobs.record
    monkeypatch.setattr(Jobs, "record", lambda self, job, shards: made_id.append(job.id) or recorded(self, job, shards))
    monkeypatch.setattr(work, "save", slow)
    made = restore([str(photos)], batch)
    assert made.restored + made.reused == 5
    assert len(stolen) == 1


def test_a_job_is_continued_by_its_record_alone(photos, batch, monkeypatch):
    monkeypatch.setattr(crew, "gone", lambda owner: owner == "dead")
    killed_while(monkeypatch, replace(batch, run="r1"), photos, work, "load", lambda item, *_: item.origin == "3.png")
    job = Jobs(batch.state).find("run:r1")
    assert (job.state, job.items, job.model) == ("open", 5, "m/1")
    (photos / "new.png").write_bytes((photos / "0.png").read_bytes())  # listed later: not of this job
    made = go_on(job, replace(batch, output="elsewhere", run="r2"))
    assert (made.restored + made.reused, made.output, made.job) == (5, batch.output, job.id)
    assert Jobs(batch.state).find("run:r2").state == "finished"
    assert go_on(Jobs(batch.state).find(job.id), batch).manifest == made.manifest


def test_another_model_does_not_continue_a_job(photos, batch, model):
    job = Jobs(batch.state).find(restore([str(photos)], batch).job)
    other = replace(model, sampler=model.sampler.model_copy(update={"steps": 2}))
    with pytest.raises(WeightsError, match="was begun with m/1"):
        go_on(job, replace(batch, model=other))


def test_a_job_that_failed_is_tried_again(photos, batch, tmp_path):
    whole = (photos / "0.png").read_bytes()
    strict = replace(batch, settings=batch.settings.model_copy(update={"max_failed_share": 0.0}))
    (photos / "0.png").write_bytes(whole[:100] + bytes(len(whole) - 100))
    with pytest.raises(SourceError, match="1 of 5"):
        restore([str(photos)], replace(strict, run="r1"))
    job = Jobs(batch.state).find("run:r1")
    assert (job.state, job.counts["failed"]) == ("failed", 1)
    (photos / "0.png").write_bytes(whole)
    assert go_on(job, strict).reused == 4


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_bucket_is_restored_into_a_bucket_although_answers_fail(photos, batch, s3, s3_server, share):
    client, local = boto3.client("s3"), restore([str(photos)], batch)
    for path in photos.iterdir():
        client.put_object(Bucket=s3, Key=f"in/sub/{path.name}", Body=path.read_bytes())
    client.put_object(Bucket=s3, Key="out/sub/4.png", Body=b"mine")
    s3_server[1].share = share
    away = replace(batch, output=f"s3://{s3}/out", objects=f"s3://{s3}/objects", state=f"{batch.state}2")
    made = restore([f"s3://{s3}/in"], away)
    assert (made.restored, made.failed) == (4, 1)
    assert lines(made)["sub/4.png"]["reason"] == "output_exists"
    assert restore([f"s3://{s3}/in/"], away).reused == 4
    s3_server[1].share = 0
    expected = {f"sub/{name}": row["output_sha256"] for name, row in lines(local).items() if name != "4.png"}
    assert {name: row["output_sha256"] for name, row in lines(made).items() if "output" in row} == expected
    assert client.get_object(Bucket=s3, Key="out/sub/4.png")["Body"].read() == b"mine"


def test_the_sidecar_says_how_each_result_was_made(photos, batch):
    settings = batch.settings.model_copy(update={"scores": ("piqe",), "review": "all"})
    made = restore([str(photos)], replace(batch, settings=settings))
    row = lines(made)["0.png"]
    assert (row["verdict"], row["model"], row["seed"], row["tile_px"], row["review"]) == ("kept", "m/1", 0, 64, True)
    assert row["input"] == f"{photos}/0.png"
    assert row["seconds"] > 0
    assert "piqe" in row["scores"]
    assert made.review == 5


def test_a_refused_result_is_made_again_flagged_and_shown(photos, batch):
    strict = InspectSettings(checks=("consistency",), consistency_u8=1e-6)  # no result passes
    settings = batch.settings.model_copy(update={"review": "flagged", "quality": QualitySettings(retries=1, inspect=strict)})
    made = restore([str(photos)], replace(batch, settings=settings))
    rows = lines(made).values()
    assert {(row["flags"], row["review"]) for row in rows} == {("consistency", True)}
    assert {(row["seed"], row["fidelity"]) for row in rows} <= {(0, 0.0), (quality.SEED_STEP % 2**63, 0.5)}
    assert made.review == 5
    html = batch.store.read(made.review_page).decode()
    assert all(f"{number}.png" in html for number in range(5))


def test_nothing_is_inspected_where_no_check_is_asked(photos, batch):
    none = QualitySettings(inspect=InspectSettings(checks=()))
    made = restore([str(photos)], replace(batch, settings=batch.settings.model_copy(update={"quality": none})))
    assert (made.review_page, {row["flags"] for row in lines(made).values() if "flags" in row}) == ("", set())


def test_a_batch_unlike_the_last_one_is_called_drifted(photos, batch, tmp_path):
    watching = batch.settings.model_copy(
        update={"drift": DriftSettings(pictures_minimum=5, statistics=("brightness",)), "shard_pictures": 4}
    )
    dark = tmp_path / "dark"
    dark.mkdir()
    for number in range(20):
        for folder, top in (photos, 256), (dark, 40):
            image_u8 = np.random.default_rng(number).integers(0, top, (16, 16, 3), dtype=np.uint8)
            (folder / f"{number}.png").write_bytes(codec.encode_png(image_u8))
    first = restore([str(photos)], replace(batch, settings=watching))
    assert (first.drifted, bool(first.drift)) == ((), True)
    second = restore([str(dark)], replace(batch, settings=watching, output=str(tmp_path / "out2")))
    assert any("input.brightness" in line or "brightness" in line for line in second.drifted)
    assert second.moved
    assert "brightness" in batch.store.read(second.drift_page).decode()


def test_the_marker_can_be_switched_off_and_is_another_result(photos, batch, tmp_path):
    restore([str(photos)], batch)
    assert codec.EDITED_BY_MODEL.encode() in (tmp_path / "out" / "0.png").read_bytes()
    plain = replace(batch, settings=batch.settings.model_copy(update={"marker": False}))
    assert restore([str(photos)], plain).restored == 5
    assert codec.EDITED_BY_MODEL.encode() not in (tmp_path / "out" / "0.png").read_bytes()


def test_settings_that_decide_no_result_find_it_again(photos, batch):
    restore([str(photos)], batch)
    again = batch.settings.model_copy(update={"shard_pictures": 3, "ahead": 0, "batch": 1, "lease_s": 5.0})
    assert restore([str(photos)], replace(batch, settings=again)).reused == 5


def test_neighbours_of_one_size_are_restored_together_and_other_sizes_apart(photos, batch, monkeypatch):
    calls = []
    genuine = work.draw
    monkeypatch.setattr(
        work, "draw", lambda restorer, sources, *rest: calls.append(len(sources)) or genuine(restorer, sources, *rest)
    )
    (photos / "2.png").write_bytes(codec.encode_png(np.zeros((8, 8, 3), np.uint8)))
    settings = batch.settings.model_copy(update={"shard_pictures": 5, "batch": 2})
    assert restore([str(photos)], replace(batch, settings=settings)).restored == 5
    assert calls == [2, 1, 2]


def test_an_owner_is_gone_when_its_process_ended_and_only_then():
    me = myself()
    machine, pid, began = me.split("/")
    assert not gone(me)
    assert gone(f"{machine}/{pid}/{float(began) - 60}")
    assert gone(f"{machine}/{2**22 + 1}/1.0")
    assert not gone(f"elsewhere/{pid}/{began}")


def test_looking_through_results_that_are_there_loads_no_model(photos, batch):
    restore([str(photos)], batch)
    model = batch.model
    unloadable = _Unloadable(model.name, model.base, model.adapter, model.sampler)
    assert restore([str(photos)], replace(batch, restorer=None, model=unloadable)).reused == 5


class _Unloadable(Model):
    def load(self, **_):
        raise AssertionError("loaded")


def test_a_model_that_kills_every_worker_blames_no_picture(photos, batch, monkeypatch):
    monkeypatch.setattr(crew, "gone", lambda owner: owner == "dead")
    for _ in range(4):
        killed_while(monkeypatch, batch, photos, work.Loading, "__call__", lambda _: True)
    assert restore([str(photos)], batch).failed == 0
