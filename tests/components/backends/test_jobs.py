"""Leases and fencing, in SQLite and, where its server and a driver are there, in PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from components.backends.jobs import Job, Jobs, Shard
from components.errors import RegistryError
from components.records import content_hash

HOUR_S = 3600


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres").address()


@pytest.fixture
def jobs(url):
    return Jobs(url)


@pytest.fixture
def job(jobs, request):
    asked = Job(
        id=content_hash(request.node.name), kind="restore", inputs=("in",), output="out", model="m/1", settings={}, items=7
    )
    return jobs.record(asked, [Shard("p0", 3), Shard("p1", 3), Shard("p2", 1)])


def test_a_job_is_recorded_once_and_found_by_its_beginning_or_its_run(jobs, job):
    again = jobs.record(job.model_copy(update={"run": job.id[::-1], "model": "other"}), [Shard("p9", 7)])
    assert (again.model, again.run) == ("m/1", job.id[::-1])
    assert jobs.find(job.id[:-1]) == jobs.find(f"run:{job.id[::-1]}") == again
    assert jobs.left(job.id).open == 3
    for wrong in ("", "nothing", "run:nothing"):
        with pytest.raises(RegistryError, match="no job"):
            jobs.find(wrong)


def test_each_shard_goes_to_one_worker(jobs, job, url):
    others = [Jobs(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda number: others[number % 4].take(job.id, f"worker {number}", HOUR_S), range(8)))
    assert sorted(lease.number for lease in taken if lease) == [0, 1, 2]
    assert jobs.left(job.id) == (0, 3, 0, 0, 0)


def test_a_finished_shard_is_never_taken_again(jobs, job):
    while lease := jobs.take(job.id, "me", HOUR_S):
        assert jobs.commit(lease, f"rows of {lease.plan}")
    assert jobs.left(job.id) == (0, 0, 3, 7, 0)
    assert jobs.results(job.id) == ["rows of p0", "rows of p1", "rows of p2"]


def test_a_worker_that_was_thought_dead_changes_nothing(jobs, job):
    late = jobs.take(job.id, "late", -1)
    new = jobs.take(job.id, "new", HOUR_S)
    assert (new.number, new.fence, new.deaths) == (late.number, late.fence + 1, 1)
    assert not jobs.renew(late, HOUR_S)
    assert not jobs.commit(late, "old rows")
    assert not jobs.release(late)
    assert jobs.commit(new, "rows")
    assert not jobs.commit(new, "rows again")
    assert jobs.results(job.id) == ["rows"]


def test_a_lease_that_is_renewed_is_not_taken(jobs, job):
    lease = jobs.take(job.id, "me", -1)
    assert jobs.renew(lease, HOUR_S)
    assert jobs.take(job.id, "other", HOUR_S).number != lease.number


def test_the_leases_of_dead_owners_end_at_once(jobs, job):
    dead, alive = jobs.take(job.id, "dead", HOUR_S), jobs.take(job.id, "alive", HOUR_S)
    assert jobs.reclaim(job.id, lambda owner: owner == "dead") == 1
    assert jobs.left(job.id)[:2] == (2, 1)
    assert jobs.take(job.id, "new", HOUR_S).number == dead.number
    assert jobs.renew(alive, HOUR_S)


def test_deaths_at_an_item_are_remembered_and_a_shard_that_is_given_back_has_none(jobs, job):
    for deaths in ({}, {2: 1}, {2: 2}):
        lease = jobs.take(job.id, "me", -1)
        assert lease.suspects == deaths
        assert jobs.stand(lease, 2)
    assert jobs.release(lease)
    lease = jobs.take(job.id, "me", HOUR_S)
    assert (lease.number, lease.suspects, lease.deaths) == (0, {2: 2}, 2)


def test_a_job_that_ended_is_opened_again_and_one_that_is_going_on_is_left_alone(jobs, job):
    lease = jobs.take(job.id, "me", HOUR_S)
    jobs.commit(lease, "rows")
    jobs.reopen(job.id)
    assert jobs.left(job.id).done == 1
    jobs.close(job.id, "finished", {"restored": 3})
    assert jobs.find(job.id).counts == {"restored": 3}
    jobs.reopen(job.id)
    assert jobs.left(job.id) == (3, 0, 0, 0, 0)
    assert jobs.find(job.id).state == "open"
    assert not jobs.commit(lease, "old rows")


def test_another_kind_of_database_is_refused():
    with pytest.raises(RegistryError, match="SQLite or PostgreSQL"):
        Jobs("mysql://host/state")
