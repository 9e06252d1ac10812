"""Captions that speak of degradation."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from components.errors import SettingsError, SourceError
from components.evaluate.caption_model import ModelJudge
from components.evaluate.captions import Caption, audit, by_lexicon, read, terms_of, wilson


def caption(text, image="1", model="m"):
    return Caption(image=image, text=text, model=model)


@pytest.mark.parametrize(
    ("text", "categories"),
    [
        ("A blurry photo of a dog.", ["Blur-related"]),
        ("The image is out of focus and grainy.", ["Blur-related", "Noise-related"]),
        ("A low-resolution, pixelated picture.", ["Quality-related"]),
        ("An underexposed street, washed out at the edges.", ["Exposure-related"]),
        ("An aged photograph with creases and stains.", ["Damage-related"]),
        ("Whole grain bread beside a middle-aged man.", []),
        ("A street at night, people walking quickly.", []),
        ("Artifacts", ["Noise-related"]),
    ],
)
def test_the_lexicon_finds_defects_and_nothing_else(text, categories):
    assert list(by_lexicon(caption(text))) == categories


def test_rates_are_by_model_with_intervals_and_the_variance_within_images():
    captions = [
        caption("a blurry dog", "1", "a"),
        caption("a dog", "1", "a"),
        caption("a cat", "2", "a"),
        caption("a cat", "2", "a"),
        caption("a noisy street", "3", "b"),
    ]
    made = audit(captions, by_lexicon, name="lexicon")
    first, second = made.models
    assert (first.model, first.captions, first.related, first.rate) == ("a", 4, 1, 0.25)
    assert (first.repeated_images, first.disagreeing_images, first.within_variance) == (2, 1, 0.125)
    assert first.categories["Blur-related"] == 1
    assert (second.rate, second.within_variance) == (1.0, None)
    assert "25.0 %" in made.text()
    assert "24 %" in made.text()


def test_the_interval_is_wilsons():
    assert wilson(1, 4) == pytest.approx((0.0456, 0.6994), abs=1e-3)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.jsonl", '{"image": "1", "caption": "a dog", "model": "m"}\n\n{"image": "2", "caption": "a cat"}\n'),
        ("c.csv", 'image,caption,model\n1,"a dog",m\n2,a cat,\n'),
        ("c.txt", "a dog\n\na cat\n"),
    ],
)
def test_three_forms_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert [one.text for one in read(tmp_path / name)] == ["a dog", "a cat"]


@pytest.mark.parametrize(
    ("name", "text"), [("c.jsonl", "{"), ("c.jsonl", '{"image": "1"}'), ("c.csv", "a,b\n1,2\n"), ("c.txt", "\n")]
)
def test_what_is_no_list_of_captions_is_a_sentence(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match="Expected"):
        read(tmp_path / name)
    with pytest.raises(SourceError, match="Cannot read"):
        read(tmp_path / "missing.txt")


GOOD = {
    "caption_content": "x",
    "degradation_keywords": ["blurry"],
    "degradation_categories": {"Blur-related": ["blurry"], "Noise-related": []},
    "degradation_score": 0.4,
    "severity_level": "Moderate",
    "primary_issues": ["blur"],
    "analysis_summary": "blur",
}


def test_an_answer_must_have_the_papers_form():
    assert terms_of(json.dumps(GOOD)) == {"Blur-related": ("blurry",)}
    with pytest.raises(SourceError, match="JSON form"):
        terms_of(json.dumps({"degradation_keywords": []}))
    with pytest.raises(SourceError, match="categories"):
        terms_of(json.dumps(GOOD | {"degradation_categories": {"Mood": ["sad"]}}))


@pytest.fixture
def api():
    """An OpenAI-compatible address that gives prepared answers, and what it was asked."""
    answers, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            body = json.dumps({"choices": [{"message": {"content": answers.pop(0)}}]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *given):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", answers, asked
    server.shutdown()
    server.server_close()


def test_a_model_is_asked_again_until_its_answer_has_the_form(api):
    address, answers, asked = api
    answers += ["no json", json.dumps(GOOD)]
    assert ModelJudge(address, "m")(caption("a blurry dog")) == {"Blur-related": ("blurry",)}
    assert [path for path, _ in asked] == ["/v1/chat/completions"] * 2
    assert asked[0][1]["messages"][-1]["content"] == "a blurry dog"
    answers += ["no json"] * 3
    with pytest.raises(SourceError, match="no usable answer"):
        ModelJudge(address, "m")(caption("a dog"))


def test_an_address_that_is_away_or_none_is_a_sentence():
    with pytest.raises(SourceError, match="did not answer"):
        ModelJudge("http://127.0.0.1:9/v1", "m")(caption("a dog"))
    with pytest.raises(SettingsError, match="http://host"):
        ModelJudge("ftp://x", "m")
