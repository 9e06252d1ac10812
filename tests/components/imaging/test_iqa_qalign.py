"""Q-Align from a folder: a tiny one with made weights and a made vocabulary, through pyiqa's own program."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sentencepiece
import torch

from components.errors import WeightsError
from components.imaging import iqa
from components.imaging.iqa import loading, qalign
from components.imaging.iqa.patching import replaced

pytestmark = pytest.mark.e2e

SENTENCES = ["USER: How would you rate the quality of this image?", "ASSISTANT: The quality of the image is good"]
LEVELS = "excellent good fair poor bad"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the hub's repository holds, but small."""
    place = tmp_path_factory.mktemp("work") / "q-future" / "one-align"
    place.mkdir(parents=True)
    corpus = place.parent / "corpus.txt"
    corpus.write_text("\n".join([*SENTENCES, LEVELS] * 40))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(place / "tokenizer"), vocab_size=120, model_type="bpe", hard_vocab_limit=False
    )
    rest = {
        "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True},
        "special_tokens_map.json": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        "preprocessor_config.json": {
            "crop_size": 56,
            "size": 56,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "image_processor_type": "CLIPImageProcessor",
            "image_mean": [0.48, 0.46, 0.41],
            "image_std": [0.27, 0.26, 0.28],
            "resample": 3,
        },
    }
    for name, content in rest.items():
        (place / name).write_text(json.dumps(content))
    write_network(place)
    return place


def write_network(place):
    iqa.ensure_pkg_resources()
    qalign._ensure_icecream()
    from pyiqa.archs.q_align import modeling_mplug_owl2 as owl
    from pyiqa.archs.q_align.configuration_mplug_owl2 import (
        MPLUGOwl2Config,
        MplugOwlVisionConfig,
        MplugOwlVisualAbstractorConfig,
    )

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    visual = MplugOwlVisionConfig(**small, image_size=56, patch_size=14).to_dict()
    abstractor = MplugOwlVisualAbstractorConfig(**small, num_learnable_queries=4, grid_size=4, encoder_hidden_size=32).to_dict()
    config = MPLUGOwl2Config(
        {"visual_model": visual, "visual_abstractor": abstractor},
        **small,
        num_key_value_heads=2,
        vocab_size=160,
        max_position_embeddings=256,
    )
    torch.manual_seed(0)
    with (
        replaced(owl, "LlamaTokenizer", qalign.Here(owl.LlamaTokenizer, place)),
        replaced(owl, "CLIPImageProcessor", qalign.Here(owl.CLIPImageProcessor, place)),
    ):
        network = owl.MPLUGOwl2LlamaForCausalLM(config)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.dim() > 1 and "norm" not in name:
                tensor.normal_(0, tensor.shape[-1] ** -0.5)
        network.lm_head.weight.mul_(4)
    network.half().save_pretrained(place)


def pictures():
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (80, 60, 3), dtype=np.uint8),
        np.zeros((60, 90, 3), np.uint8),
        np.full((50, 50, 3), 255, np.uint8),
    ]


def test_scores_are_pyiqas_own_and_nothing_is_asked_of_the_network(folder, monkeypatch):
    import pyiqa

    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    scorer = iqa.Scorer("qalign", loading.build("qalign", {"one-align": folder}, "cpu"))
    found = list(scorer.stream(pictures()))
    monkeypatch.chdir(folder.parent.parent)  # where pyiqa's name for it is a folder
    by_hand = pyiqa.create_metric("qalign", device="cpu")
    tensors = [torch.from_numpy(image.transpose(2, 0, 1)[None].copy()).float() / 255 for image in pictures()]
    assert found == [float(by_hand(tensor)) for tensor in tensors]
    assert found == [scorer.one(image) for image in pictures()]
    assert all(1 <= value <= 5 for value in found)
    assert len(set(found)) == len(found)


def test_a_folder_without_the_network_is_a_sentence(tmp_path):
    with pytest.raises(WeightsError, match="'qalign' cannot be made of"):
        loading.build("qalign", {"one-align": tmp_path}, "cpu")
