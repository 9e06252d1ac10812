import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.backends.state import Ledger
from components.errors import RegistryError


def append(ledger, version):
    return ledger.append(
        "promoted", who="me", model="m", version=version, previous_version=None, details={"gates": [1.5]}, reason="better"
    )


@pytest.fixture
def database(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def ledger(database):
    return Ledger(f"sqlite:///{database}")


def test_entries_are_chained_in_order(ledger):
    first, second = append(ledger, 1), append(ledger, 2)
    assert second.previous_hash == first.hash
    assert ledger.entries() == [first, second]
    assert ledger.verify() == 2


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("update ledger set reason = 'worse' where seq = 2", "at entry 2"),
        ("delete from ledger where seq = 2", "before entry 3"),
        ("delete from ledger where seq = 1", "before entry 2"),
    ],
)
def test_a_changed_or_missing_entry_is_found(ledger, database, sql, message):
    for version in (1, 2, 3):
        append(ledger, version)
    with sqlite3.connect(database) as connection:
        connection.execute(sql)
    with pytest.raises(RegistryError, match=message):
        ledger.verify()


def test_writers_at_once_lose_nothing(ledger, database):
    other = Ledger(f"sqlite:///{database}")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda version: append((ledger, other)[version % 2], version), range(12)))
    assert ledger.verify() == 12


def test_a_database_that_is_away_is_a_sentence(tmp_path):
    with pytest.raises(RegistryError, match=r"backend\.state"):
        Ledger(f"sqlite:///{tmp_path / 'missing' / 'state.db'}")


def test_a_database_that_goes_away_is_a_sentence(ledger, database):
    with sqlite3.connect(database) as connection:
        connection.execute("drop table ledger")
        connection.execute("drop table intents")
    for ask in (ledger.entries, lambda: ledger.intended("m")):
        with pytest.raises(RegistryError, match=r"backend\.state"):
            ask()


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(RegistryError, match="driver that is not installed"):
        Ledger("postgresql+psycopg2://host/state")
