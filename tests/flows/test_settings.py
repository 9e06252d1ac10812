import pytest

from components.errors import SettingsError
from flows.settings import PROFILES, load


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
