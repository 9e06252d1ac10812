import json
from types import SimpleNamespace

import pytest
from PIL import Image

from components.backends import catalog, manifest
from components.backends.storage import LocalStorage, file_sha256
from components.backends.versioning import add_curated, make_version
from components.curate.registered import Benchmark
from tests import records
from tests.datasets import REJECTED, content, curated, ingested, paired, sha, trained


@pytest.fixture
def dataset(home):
    """A version, its curation, and another curation with a lower limit."""
    version = ingested(home)
    first = curated(home, version, REJECTED)
    second = curated(home, version, REJECTED | {"b": {"blur": 93.1}}, blur_minimum=90.0)
    return SimpleNamespace(version=version, first=first, second=second)


def test_an_empty_home_says_how_to_begin(lucidflux):
    assert "lucidflux ingest DIR" in lucidflux("dataset", "list").stdout
    for words in (("dataset", "show", "abcd"), ("why", "a.png")):
        told = lucidflux(*words)
        assert told.exit_code == 1
        assert "lucidflux ingest DIR" in told.stderr


def test_the_list_has_a_line_for_each_version_and_curation(lucidflux, dataset):
    lines = lucidflux("dataset", "list").stdout.strip().split("\n")
    assert len(lines) == 4
    line = next(line.split() for line in lines if line.startswith(dataset.first.manifest.sha256[:12]))
    assert line[1:6] == ["photos", "curated", "7", "3", dataset.version.manifest.sha256[:12]]
    listed = json.loads(lucidflux("--json", "dataset", "list").stdout)
    assert {entry["version"]["name"] for entry in listed["entries"]} == {"photos"}


def test_a_failed_check_is_seen_in_the_list_and_named_by_show(lucidflux, home, dataset):
    store = LocalStorage(home / "objects")
    failed = records.expectations("curate_after", passed=False)
    catalog.save(store, dataset.first.model_copy(update={"after": failed}))
    name = dataset.first.manifest.sha256[:12]
    assert any(line.startswith(name) and "failed" in line for line in lucidflux("dataset", "list").stdout.split("\n"))
    assert failed.failed[0] in lucidflux("dataset", "show", name).stdout


def test_a_rule_that_a_person_let_pass_is_seen(lucidflux, home, dataset):
    said = "kept_share: let pass by Ada, because the set is small"
    passed = records.expectations("curate_after").model_copy(update={"overridden": (said,)})
    catalog.save(LocalStorage(home / "objects"), dataset.first.model_copy(update={"after": passed}))
    assert "passed, 1 let pass" in lucidflux("dataset", "list").stdout
    assert said in lucidflux("dataset", "show", dataset.first.manifest.sha256).stdout


def test_show_gives_funnel_sources_settings_and_the_way_to_pull(lucidflux, dataset):
    told = lucidflux("dataset", "show", dataset.version.dvc_md5)
    assert told.exit_code == 0, told.stderr
    for word in (
        dataset.first.manifest.sha256,
        "failed:truncated",
        "licence CC0",
        "max_bytes",
        "dataset pull",
        "lucidflux curate",
    ):
        assert word in told.stdout
    shown = json.loads(lucidflux("--json", "dataset", "show", dataset.second.manifest.sha256[:12]).stdout)
    assert shown["funnel"]["kept"] == 4
    assert shown["settings"]["curate"]["blur_minimum"] == 90.0
    assert shown["sources"][0] == {"source": "photos", "licence": "CC0", "trusted": False, "rows": 6, "kept": 4, "bytes": 600}


def test_diff_shows_the_verdict_that_a_setting_changed(lucidflux, dataset):
    told = lucidflux("dataset", "diff", dataset.first.manifest.sha256[:12], dataset.second.manifest.sha256[:12])
    assert "photos/set/b.png: rejected:blurred (blur 93.1) -> kept (quality 20)" in told.stdout
    assert "curate.blur_minimum: 150.0 -> 90.0" in told.stdout
    same = lucidflux("dataset", "diff", dataset.first.manifest.sha256[:12], dataset.first.manifest.sha256[:12]).stdout
    assert same.count("none changed") == 3


def test_diff_says_that_settings_differ_when_they_were_not_kept(lucidflux, home, dataset):
    for path in (home / "objects" / "settings").iterdir():
        path.unlink()
    names = dataset.first.manifest.sha256[:12], dataset.second.manifest.sha256[:12]
    assert "curate: they differ" in lucidflux("dataset", "diff", *names).stdout
    assert json.loads(lucidflux("--json", "dataset", "diff", *names).stdout)["unknown_settings"] == ["curate"]


STORIES = {
    "a.png": ("in.", "1 other shares its content: photos/set/c.png. It is the one", "Rank    1 of 4", "best 3 are kept"),
    "b.png": ("rejected as blurred: its blur 93.1 is below 150", "licence CC0, not trusted", "640x480 px png"),
    "c.png": ("near_duplicate: it shares content with photos/set/a.png",),
    "d.png": ("by quality it is number 4 of 4, and the best 3 are kept", "60 by piqe (lower is better)"),
    "e.png": ("in.", "'scene-e' is on the test side"),
    "broken.jpg": ("could not be read or decoded: truncated (the end is missing)",),
}


def test_why_tells_each_kind_of_verdict(lucidflux, home):
    curation = curated(home, ingested(home), REJECTED)
    trained(home, paired(home, curation, "a"), "r7")
    for name, sentences in STORIES.items():
        told = lucidflux("why", name)
        assert told.exit_code == 0, told.stderr
        for sentence in sentences:
            assert sentence in told.stdout
    told = lucidflux("why", "a.png").stdout
    assert "2 pairs were made from it, run r7 was trained on them and is lucidflux/1" in told


def test_why_tells_the_newest_curation_and_names_the_others(lucidflux, home, dataset):
    trained(home, paired(home, dataset.first, "a"), "r7")
    story = json.loads(lucidflux("--json", "why", sha("b")).stdout)
    assert story["entry"]["curation"]["manifest"]["sha256"] == dataset.second.manifest.sha256
    assert [other["outcomes"] for other in story["others"]] == [
        {"photos/set/b.png": "rejected:blurred"},
        {"photos/set/b.png": "kept"},
    ]
    assert "run r7 was trained on them" in lucidflux("why", "a.png").stdout


def test_why_without_the_settings_says_which_limit_is_unknown(lucidflux, home):
    curated(home, ingested(home), REJECTED)
    for path in (home / "objects" / "settings").iterdir():
        path.unlink()
    assert "below the limit (blur_minimum was not kept)" in lucidflux("why", "b.png").stdout
    assert "(lower is better)" in lucidflux("why", "d.png").stdout


def test_why_names_the_benchmark_picture_of_a_leak(lucidflux, home):
    version = ingested(home)
    leaked = {"verdict": "rejected", "reason": "leak", "related": f"held-out/{sha('f')}"}
    first = curated(home, version, {"b": leaked})
    assert (
        f"picture {sha('f')[:12]} of the benchmark 'held-out', which is no longer registered" in lucidflux("why", "b.png").stdout
    )
    store = LocalStorage(home / "objects")
    benchmark = Benchmark(name="held-out", images=version.manifest, prints="p", count=1, operator="o")
    store.put("benchmarks/held-out.json", benchmark.model_dump_json().encode())
    assert "shares content with photos/set/f.png of the benchmark 'held-out'" in lucidflux("why", "b.png").stdout
    told = lucidflux("dataset", "diff", version.manifest.sha256, first.manifest.sha256).stdout
    assert f"rejected:leak (held-out/{sha('f')[:12]}…)" in told


def test_why_takes_a_file_by_its_bytes_whatever_its_name(lucidflux, home, dataset, tmp_path):
    path = tmp_path / "renamed.bin"
    path.write_bytes(content("b"))
    told = lucidflux("why", path).stdout
    assert "photos/set/b.png: in." in told
    assert "the file's bytes" in told
    path = tmp_path / "d.png"
    path.write_bytes(content("b"))
    assert "photos/set/b.png: in." in lucidflux("why", path).stdout, "bytes say more than a name"
    changed = tmp_path / "b.png"
    changed.write_bytes(b"other")
    assert "its bytes are others" in lucidflux("why", changed).stdout


def test_why_offers_what_looks_like_a_file(lucidflux, home, dataset, tmp_path, monkeypatch):
    path = tmp_path / "unknown.png"
    Image.linear_gradient("L").convert("RGB").save(path)
    told = lucidflux("why", path)
    assert told.exit_code == 1
    assert "look like it" not in told.stderr
    from components.imaging import codec, phash

    print_ = phash.phash(codec.decode(path.read_bytes()).image_u8)
    store = LocalStorage(home / "objects")
    rows = [row | {"phash": print_} for row in manifest.rows(store, dataset.version.manifest) if row["id"]]
    catalog.save(store, dataset.version.model_copy(update={"manifest": manifest.write(store, "images", rows)}))
    assert "look like it: photos/set/a.png (0 of 64 bits differ)" in lucidflux("why", path).stderr


def test_a_very_long_name_is_a_sentence(lucidflux, dataset):
    told = lucidflux("why", "https://example.org/" + 300 * "x")
    assert told.exit_code == 1
    assert "Traceback" not in told.stderr


def test_why_offers_near_names(lucidflux, dataset):
    told = lucidflux("why", "set/bb.png")
    assert told.exit_code == 1
    assert "photos/set/b.png" in told.stderr
    assert "Traceback" not in told.stderr


def pinned(home, remote):
    """A version and its curation in DVC, with their records."""
    store, place = LocalStorage(home / "objects"), {"workspace": home / "dvc", "remote": str(remote), "git_revision": "g"}
    made = ingested(home)
    made = catalog.save(store, make_version("photos", store, made.manifest, expectations=records.expectations(), **place))
    curation = curated(home, made, REJECTED)
    version = catalog.save(store, add_curated(made, store, curation.manifest, **place))
    return catalog.save(store, curation.model_copy(update={"dataset": version}))


def test_a_curation_that_dvc_does_not_hold_is_not_pulled(lucidflux, dataset, tmp_path):
    told = lucidflux("dataset", "pull", dataset.first.manifest.sha256[:12], "--out", tmp_path / "out")
    assert told.exit_code == 1
    assert "not pinned" in told.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"), [(None, "No such file"), ("{", "holds none"), ("[]", "holds none"), ("{}", "holds none")]
)
def test_a_file_without_a_version_is_a_sentence(lucidflux, tmp_path, text, said):
    path = tmp_path / "version.json"
    if text is not None:
        path.write_text(text)
    told = lucidflux("dataset", "pull", path, "--out", tmp_path / "out")
    assert told.exit_code == 1
    assert said in told.stderr
    assert "dataset show" in told.stderr


@pytest.mark.e2e
def test_a_curated_version_is_pulled_on_another_machine_from_its_record(lucidflux, home, tmp_path):
    curation = pinned(home, home / "remote")
    record = tmp_path / "version.json"
    record.write_text(lucidflux("--json", "dataset", "show", curation.dataset.dvc_md5[:8]).stdout)
    there, out = tmp_path / "there", tmp_path / "out"
    words = ("--set", f"backend.dvc_remote={home / 'remote'}", "dataset", "pull", record, "--out", out)
    told = lucidflux(*words, at=there)
    assert told.exit_code == 0, told.stderr
    assert "3 files written" in told.stdout
    assert file_sha256(out / "curated.parquet") == curation.manifest.sha256
    assert file_sha256(out / "images.parquet") == curation.dataset.manifest.sha256
    again = lucidflux(*words[:4], out / "version.json", "--out", out, at=there)
    assert "0 files written, 3 were there" in again.stdout


@pytest.mark.e2e
def test_a_version_that_is_pulled_into_a_home_can_be_shown_explained_and_curated(lucidflux, home, tmp_path):
    curation = pinned(home, home / "remote")
    record = tmp_path / "version.json"
    record.write_text(lucidflux("--json", "dataset", "show", curation.manifest.sha256).stdout)
    there = tmp_path / "there"
    words = ("--set", f"backend.dvc_remote={home / 'remote'}", "dataset", "pull", record)
    told = lucidflux(*words, at=there)
    assert told.exit_code == 0, told.stderr
    assert "3 files written" in told.stdout
    assert "0 files written, 3 were there" in lucidflux(*words, at=there).stdout
    assert "its blur 93.1 is below 150" in lucidflux("why", "b.png", at=there).stdout
    store = LocalStorage(there / "objects")
    assert catalog.find(store, type(curation), curation.manifest.sha256) == curation
    row = next(row for row in manifest.rows(store, curation.manifest) if row["id"] == sha("a"))
    assert store.read_range(row["shard"], row["offset"], row["length"]) == content("a")
    assert list((there / "dvc" / "arrived").iterdir()) == []


@pytest.mark.e2e
def test_a_version_is_pulled_from_s3(lucidflux, home, tmp_path, s3):
    remote = f"s3://{s3}/dvc"
    curation = pinned(home, remote)
    words = ("--set", f"backend.dvc_remote={remote}", "dataset", "pull", curation.manifest.sha256[:12])
    told = lucidflux(*words, "--out", tmp_path / "out")
    assert told.exit_code == 0, told.stderr
    assert file_sha256(tmp_path / "out" / "curated.parquet") == curation.manifest.sha256
