import pytest

from components.backends.addresses import has_password, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:s3cret@db:5432/name", "postgresql://me:***@db:5432/name"),
        ("postgresql+psycopg://me:a@b:c/d@db/name", "postgresql+psycopg://me:***@db/name"),
        ("http://:s3cret@host", "http://:***@host"),
        (
            "postgresql:///name?host=/run&password=s3cret&sslmode=require",
            "postgresql:///name?host=/run&password=***&sslmode=require",
        ),
        ("no answer from http://me:s3cret@host/x in time", "no answer from http://me:***@host/x in time"),
    ],
)
def test_a_password_is_hidden_and_the_rest_stays(address, shown):
    assert without_password(address) == shown
    assert has_password(address)
    assert not has_password(shown)


@pytest.mark.parametrize(
    "address", ["sqlite:////home/me/state.db", "s3://bucket/a:b@c", "http://127.0.0.1:5000/x", "postgresql://me@db/x"]
)
def test_an_address_without_a_password_stays_as_it_is(address):
    assert without_password(address) == address
