"""Contracts over a million rows, and their pages in a browser without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from components.backends import contracts
from components.backends.contracts import suites, validation
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
from tests.components.backends.contract_rows import image, lost

pytestmark = pytest.mark.e2e

MILLION = """
import json, resource, sys, time
import great_expectations, pandas
from components.backends import contracts
from components.backends.storage import LocalStorage
from components.backends.tables import Tables
MADE = '''create table made as
with drawn as (select range as n, sha256(range::varchar) as id, hash(range) % 1000003 / 1000003.0 as u from range($rows))
select id, 'shards/a.tar' as shard, n * 1024 as "offset", 900 as length, printf('web/%09d.jpg', n) as origin,
    printf('web/%d', n // 3) as scene, case when n // 3 % 20 = 0 then 'test' else 'train' end as split, 640 as width_px,
    480 as height_px, 900 as bytes, 'jpeg' as format, 1 as frames, 'web' as source, '' as url, 'CC BY' as licence,
    false as trusted, '' as phash, 8000 * u as blur, u as flat_share, u as quality, '' as "group",
    case when u < 0.5 then 'kept' else 'rejected' end as verdict, case when u < 0.5 then '' else 'flat' end as reason,
    '' as related from drawn'''
with Tables(LocalStorage(sys.argv[1])) as tables:
    tables.run(MADE, {"rows": 1_000_000})
    tables.run("create view before as select * from made")
    tables.table("leaks", "leaks")
    kept = tables.one("select count(*) as n from made where verdict = 'kept'")["n"]
    parameters = {"rows": 1_000_000, "kept_ranked": kept, "blur_minimum": 0, "blur_maximum": 8000, "flat_share_maximum": 0.5}
    peak, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = contracts.check("curate_after", tables, "made", parameters=parameters, reference="before")
    seconds = time.perf_counter() - started
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
print(json.dumps({"failed": found.failed, "skipped": found.skipped, "seconds": seconds, "more_mib": more}))
"""


def test_a_million_rows_are_checked_in_seconds_and_little_memory(tmp_path):
    done = subprocess.run([sys.executable, "-c", MILLION, str(tmp_path)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])  # before it DuckDB draws how far it is, for `-c` counts as a console
    assert (found["failed"], found["skipped"]) == ([], [])
    assert found["seconds"] < 20
    assert found["more_mib"] < 512


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    return path


def opened(chromium, page, tmp_path):
    """What Chromium writes to its console and shows of a page, with no host to be found."""
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", page.as_uri()]
    done = subprocess.run([chromium, *words], capture_output=True, text=True, check=True, timeout=120)
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stdout


def test_a_page_opens_offline_without_a_word_in_the_console(chromium, tmp_path):
    with Tables(LocalStorage(tmp_path / "objects")) as tables:
        tables.table("rows", "images", [image(1), image(2, licence=""), lost(3)])
        contracts.check("ingest", tables, "rows", parameters={"rows": 4}, docs=tmp_path / "docs")
    console, shown = opened(chromium, tmp_path / "docs" / "ingest.html", tmp_path)
    assert console == []
    assert "licence_missing" in shown


def test_great_expectations_own_page_would_not(chromium, tmp_path):
    """The proof that the test above can fail."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    suite = suites.load("pairs")
    asked = [one for one in suite.expectations if one["kwargs"]["column"] == "id_missing"]
    _, found = validation.validate("pairs", asked, {"id_missing": 0}, {})
    page = tmp_path / "own.html"
    page.write_text(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(found)))
    console, _ = opened(chromium, page, tmp_path)
    assert console != []
