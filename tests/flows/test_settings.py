import pytest

from components.errors import SettingsError
from components.records import canonical_json
from flows.settings import FROM_ENVIRONMENT, PROFILES, BackendSettings, load


@pytest.mark.parametrize("name", [path.stem for path in PROFILES.glob("*.toml")])
def test_every_profile_loads(name):
    assert load(name).name == name


def test_an_override_changes_one_setting():
    assert load("tiny", ["train.steps=7"]).train.steps == 7
    assert load("tiny", ["restore.format=png"]).restore.format == "png"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trian.steps=7", "Did you mean 'train'"),
        ("train.stepz=7", "Did you mean 'steps'"),
        ("train.steps=-1", "train.steps"),
        ("train=7", "group of settings"),
        ("train.steps", "key=value"),
    ],
)
def test_a_wrong_override_says_what_was_meant(override, message):
    with pytest.raises(SettingsError, match=message):
        load("tiny", [override])


def test_an_unknown_profile_gets_a_suggestion():
    with pytest.raises(SettingsError, match="Did you mean 'tiny'"):
        load("tinny")


def test_profiles_that_extend_each_other_are_refused(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(f'extends = "{path}"\n')
    with pytest.raises(SettingsError, match="circle"):
        load(str(path))


def test_paper_holds_the_papers_numbers():
    paper = load("paper")
    assert (paper.curate.blur_minimum, paper.curate.blur_maximum) == (150, 8000)
    assert (paper.curate.flat_share_maximum, paper.curate.keep_share, paper.curate.quality_metric) == (0.5, 0.2, "clipiqa")
    assert (paper.synthesize.epochs, paper.synthesize.crop_px) == (4, 1024)


def test_the_environment_says_where_to_run_and_the_command_line_has_the_last_word(monkeypatch):
    monkeypatch.setenv("LUCIDFLUX_OBJECTS", "s3://bucket/objects")
    monkeypatch.setenv("LUCIDFLUX_WORKERS", "3")
    assert load("tiny").backend.objects == "s3://bucket/objects"
    assert load("tiny").backend.workers == 3
    assert load("tiny", ["backend.objects=elsewhere"]).backend.objects == "elsewhere"


def test_every_setting_of_the_backend_has_its_variable():
    # LUCIDFLUX_WEIGHTS is older, and stronger than --set
    assert {*FROM_ENVIRONMENT.values(), "weights"} == set(BackendSettings.model_fields)


def test_the_password_of_the_state_database_is_used_and_never_shown(monkeypatch):
    monkeypatch.setenv("LUCIDFLUX_STATE", "postgresql://lucidflux:c4n@ry@db/lucidflux")
    profile = load("tiny")
    assert profile.backend.state == "postgresql://lucidflux:c4n@ry@db/lucidflux"
    shown = [repr(profile), str(profile.backend), profile.model_dump_json(), str(profile.model_dump()), canonical_json(profile)]
    assert all("postgresql://lucidflux:***@db/lucidflux" in text and "c4n" not in text for text in shown)


@pytest.mark.parametrize("setting", ["backend.state=postgresql://me:c4nary@db/x", "backend.mlflow=http://me:c4nary@host:5000"])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(setting):
    with pytest.raises(SettingsError, match="environment") as refused:
        load("tiny", [setting])
    assert "c4nary" not in str(refused.value)


def test_a_password_in_a_profile_is_refused(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('extends = "tiny"\n[backend]\nstate = "postgresql://me:c4nary@db/x"\n')
    with pytest.raises(SettingsError, match="LUCIDFLUX_STATE"):
        load(str(own))
