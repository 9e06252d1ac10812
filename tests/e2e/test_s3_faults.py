"""An object store that spoils every fifth answer gives the manifests that a folder gives."""

import boto3
import pytest

from tests.e2e.conftest import MANY_SHARDS, made
from tests.faulty_s3 import KINDS, credentials, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.fixture
def faulty(monkeypatch):
    with serving(share=0, seed=1) as (endpoint, layer):
        for name, value in credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="objects")
        layer.share = 0.2
        yield layer


def test_every_fifth_answer_of_s3_may_fail(collection, faulty, tmp_path):
    settings = MANY_SHARDS | {"backend.objects": "s3://objects/lucidflux"}
    for words, expected in zip(collection.verbs, collection.manifests, strict=True):
        assert made(tmp_path / "home", *words, settings=settings) == expected
    assert set(faulty.spoilt) == set(KINDS)
    assert 0.15 < faulty.spoilt.total() / faulty.requests.total() < 0.25
