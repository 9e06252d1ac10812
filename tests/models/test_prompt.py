import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

from models import prompt as prompts

WORDS = ["<pad>", "</s>", "<unk>", "restore", "this", "image"]
TOKENS = 9


def tokenizer(folder, **options):
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", **options)
    fast.save_pretrained(folder)
    return fast


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Tiny T5 and CLIP in FLUX.1's folders."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("encoders")
    sizes = {"vocab_size": len(WORDS), "num_heads": 2, "num_layers": 1, "d_ff": 16, "d_kv": 4, "d_model": 8}
    T5EncoderModel(T5Config(**sizes, feed_forward_proj="gated-gelu")).save_pretrained(root / "text_encoder_2")
    tokenizer(root / "tokenizer_2")
    sizes = {"vocab_size": len(WORDS), "hidden_size": 6, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPTextConfig(**sizes, max_position_embeddings=7, projection_dim=6, eos_token_id=1, pad_token_id=0, bos_token_id=3)
    CLIPTextModel(config).save_pretrained(root / "text_encoder")
    tokenizer(root / "tokenizer", model_max_length=7)
    return root


def encode(encoders, text="restore this image", **options):
    return prompts.encode(text, encoders, encoders, tokens=TOKENS, dtype=torch.float32, **options)


@torch.no_grad()
def test_the_prompt_is_padded_without_a_mask_and_pooled_by_clip(encoders):
    made = encode(encoders)
    t5 = T5EncoderModel.from_pretrained(encoders / "text_encoder_2")
    clip = CLIPTextModel.from_pretrained(encoders / "text_encoder")
    ids = torch.tensor([[3, 4, 5] + [0] * (TOKENS - 3)])
    assert torch.equal(made.tokens_SD, t5(ids).last_hidden_state[0])
    assert torch.equal(made.pooled_D, clip(ids[:, :7]).pooler_output[0])
    masked = t5(ids, attention_mask=(ids > 0).long()).last_hidden_state[0]
    assert not torch.allclose(made.tokens_SD, masked)


def test_both_files_keep_every_bit(encoders, tmp_path):
    made = encode(encoders)
    for name in ("prompt.safetensors", "prompt_embeddings.pt"):
        prompts.write(tmp_path / name, made)
        again = prompts.read(tmp_path / name)
        assert torch.equal(again.tokens_SD, made.tokens_SD)
        assert torch.equal(again.pooled_D, made.pooled_D)
        assert again.prompt == "restore this image"
    assert set(load_file(tmp_path / "prompt.safetensors")) == {"tokens_SD", "pooled_D"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompt.safetensors", "prompt_embeddings.pt"]


def test_diffusers_names_are_read(tmp_path):
    torch.save({"prompt_embeds": torch.ones(1, 4, 3), "pooled_prompt_embeds": torch.ones(1, 2)}, tmp_path / "p.pt")
    read = prompts.read(tmp_path / "p.pt")
    assert (read.tokens_SD.shape, read.pooled_D.shape) == ((4, 3), (2,))


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"txt": torch.ones(1, 4, 3), "vec": torch.ones(1, 2), "extra": torch.ones(1)}, "unknown: extra"),
        ({"txt": torch.ones(1, 4, 3)}, "expected one of"),
        ({"txt": torch.ones(2, 4, 3), "vec": torch.ones(1, 2)}, r"\[2, 4, 3\]"),
        ({"txt": torch.full((1, 4, 3), float("nan")), "vec": torch.ones(1, 2)}, "not finite"),
        ([1], "dictionary"),
    ],
)
def test_another_file_is_a_sentence(tmp_path, held, said):
    torch.save(held, tmp_path / "p.pt")
    with pytest.raises(ValueError, match=said):
        prompts.read(tmp_path / "p.pt")


class Code:
    def __reduce__(self):
        return print, ("ran",)


def test_code_cut_files_and_missing_ones_are_sentences(tmp_path, capfd):
    (tmp_path / "code.pt").write_bytes(pickle.dumps({"txt": Code()}, protocol=2))
    save_file({"tokens_SD": torch.ones(2, 2)}, tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:-3])
    for name in ("code.pt", "cut.safetensors", "gone.pt"):
        with pytest.raises(ValueError, match=name):
            prompts.read(tmp_path / name)
    assert "ran" not in capfd.readouterr().out


def test_a_long_prompt_and_a_missing_encoder_are_sentences(encoders, tmp_path):
    with pytest.raises(ValueError, match="10 tokens, at most 9"):
        encode(encoders, "image " * 10)
    with pytest.raises(ValueError, match="text_encoder"):
        prompts.encode("restore", tmp_path, tmp_path)
