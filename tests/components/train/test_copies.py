import pytest

from components.backends.storage import LocalStorage
from components.errors import StorageError
from components.train import checkpoint, resume
from components.train.checkpoint import LABEL_FILE, STATE_FILE, Retention
from components.train.copies import Copies
from tests.components.train.test_checkpoint import state

TWO = Retention(2, 0)


class Away(LocalStorage):
    """A folder that can be out of reach."""

    away = False

    def put_file(self, key, path):
        if self.away:
            raise StorageError("away")
        return super().put_file(key, path)

    def list(self, prefix=""):
        if self.away:
            raise StorageError("away")
        return super().list(prefix)


@pytest.fixture
def copies(tmp_path):
    return Copies(Away(tmp_path / "objects"), "run")


@pytest.fixture
def here(tmp_path):
    """Folder of the machine that trains."""
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path):
    """Folder of a machine that has nothing yet."""
    return tmp_path / "there"


@pytest.fixture
def refusals():
    return []


@pytest.fixture
def newest(copies, refusals):
    return lambda folder: resume.newest(folder, "run", lambda name, why: refusals.append((name, why)), copies)


def train_to(copies, folder, *steps, retention=TWO):
    for step in steps:
        checkpoint.write(folder, state(step), "run")
        checkpoint.prune(folder, retention, step)
        copies.follow(folder, retention, step)


def test_another_machine_goes_on_from_the_newest_copy(copies, here, there, newest):
    train_to(copies, here, 1, 2)
    assert newest(there).step == 2
    assert [path.name for path in there.iterdir()] == ["step-00000002"]
    assert newest(there).losses == [0.5, 0.5]


@pytest.mark.parametrize(("retention", "kept"), [(TWO, [5, 6]), (Retention(1, 3), [3, 6])])
def test_copies_are_kept_by_the_rule_of_the_disk(copies, here, retention, kept):
    train_to(copies, here, *range(1, 7), retention=retention)
    assert copies.steps() == copies.steps(whole=False) == kept


@pytest.mark.parametrize("spoil", ["flip", "cut", "state gone", "label gone", "label"])
def test_a_copy_that_is_not_whole_is_passed_over(copies, here, there, newest, refusals, spoil):
    train_to(copies, here, 1, 2)
    file = copies.store.fetch(copies.key(2, LABEL_FILE if spoil.startswith("label") else STATE_FILE))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    if spoil.endswith("gone"):
        file.unlink()
    else:
        file.write_bytes(data if spoil == "flip" else data[: len(data) // 2])
    assert newest(there).step == 1
    # without its label a copy does not count as one
    assert [name for name, _ in refusals] == ([] if spoil == "label gone" else ["step-00000002 of the store"])
    assert [path.name for path in there.iterdir()] == ["step-00000001"]


def test_the_disk_wins_where_both_are_whole_and_the_store_where_the_disk_is_damaged(copies, here, newest, refusals):
    train_to(copies, here, 1, 2)
    assert newest(here).step == 2
    assert refusals == []
    (here / "step-00000002" / STATE_FILE).write_bytes(b"damaged")
    assert newest(here).step == 2
    assert [name for name, _ in refusals] == ["step-00000002"]
    assert checkpoint.read(here / "step-00000002", "run").step == 2


def test_a_store_that_was_away_gets_what_it_missed_with_the_next_checkpoint(copies, here):
    train_to(copies, here, 1)
    copies.store.away = True
    with pytest.raises(StorageError):
        train_to(copies, here, 2)
    copies.store.away = False
    train_to(copies, here, 3)
    assert copies.steps() == [2, 3]


def test_a_store_that_is_away_is_done_without_only_where_the_disk_has_something(copies, here, there, newest, refusals):
    train_to(copies, here, 1, 2)
    copies.store.away = True
    assert newest(here).step == 2
    assert refusals == [("of the store", "away")]
    with pytest.raises(StorageError):
        newest(there)


def test_copies_of_another_run_are_not_seen(copies, here, there):
    train_to(copies, here, 1)
    assert Copies(copies.store, "other").steps() == []
    assert Copies(copies.store, "ru").steps() == []
