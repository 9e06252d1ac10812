"""The fixed prompt, encoded once with T5 and CLIP as FLUX.1 does, and the files that keep it.

T5 sees the prompt padded to a fixed length without an attention mask, so the padding belongs to the result; CLIP gives
its pooled vector. The code that encodes is diffusers' own (FluxPipeline.encode_prompt).

Shapes: S prompt tokens, D values per token or of the pooled vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import FluxPipeline
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel

DEFAULT_PROMPT = "restore this image into high-quality, clean, high-resolution result"
"""Prompt of the released program."""
PROMPT_TOKENS = 512
"""Length that FLUX.1 [dev] pads to."""
FOLDERS: Mapping[str, tuple[str, str]] = {
    "t5": ("text_encoder_2", "tokenizer_2"),
    "clip": ("text_encoder", "tokenizer"),
}
"""Encoder -> folders of its weights and of its tokenizer, as in FLUX.1's repository."""

_TOKENS = ("tokens_SD", "txt", "prompt_embeds")
_POOLED = ("pooled_D", "vec", "pooled_prompt_embeds")
_BESIDE = ("prompt",)
"""Text that the released file carries beside its tensors."""


class PromptEmbedding(NamedTuple):
    """A prompt as the network takes it."""

    tokens_SD: Tensor
    pooled_D: Tensor
    prompt: str = ""
    """The text, where it is known."""


@torch.no_grad()
def encode(
    prompt: str,
    t5: Path,
    clip: Path,
    *,
    tokens: int = PROMPT_TOKENS,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
) -> PromptEmbedding:
    """Encode a prompt.

    Args:
        prompt: what to encode.
        t5: folder with `text_encoder_2` and `tokenizer_2`.
        clip: folder with `text_encoder` and `tokenizer`.
        tokens: length to pad to, S.
        dtype: precision of both encoders; the released embeddings were made in bfloat16.
        device: where the encoders run.

    Raises:
        ValueError: a folder is missing or does not load, the prompt is longer than `tokens`, or a result is not finite.
    """
    pipeline = FluxPipeline(
        scheduler=None,
        vae=None,
        transformer=None,
        text_encoder=_part(clip / FOLDERS["clip"][0], CLIPTextModel, dtype=dtype).to(device).eval(),
        tokenizer=_part(clip / FOLDERS["clip"][1], AutoTokenizer),
        text_encoder_2=_part(t5 / FOLDERS["t5"][0], T5EncoderModel, dtype=dtype).to(device).eval(),
        tokenizer_2=_part(t5 / FOLDERS["t5"][1], AutoTokenizer),
    )
    length = len(pipeline.tokenizer_2(prompt).input_ids)
    if length > tokens:
        raise ValueError(f"The prompt has {length} tokens, at most {tokens} fit; shorten it.")
    tokens_1SD, pooled_1D, _ = pipeline.encode_prompt(prompt, device=torch.device(device), max_sequence_length=tokens)
    return _checked(PromptEmbedding(tokens_1SD[0].cpu(), pooled_1D[0].cpu(), prompt), f"the encoded prompt {prompt!r}")


def _part(folder: Path, kind: Any, **options: Any) -> Any:
    """Load one part of the encoders from this machine."""
    if not folder.is_dir():
        raise ValueError(f"Expected the folder {folder}, found none. Fetch or import the weights 't5' and 'clip'.")
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} does not load ({_first_line(error)}). Fetch it again.") from error


def write(path: Path, embedding: PromptEmbedding) -> None:
    """Write our file (`.safetensors`) or the released one (`.pt`); the target is replaced whole.

    Raises:
        ValueError: another suffix.
    """
    tokens_SD, pooled_D = embedding.tokens_SD.contiguous(), embedding.pooled_D.contiguous()
    if path.suffix not in (".safetensors", ".pt"):
        raise ValueError(f"Expected a file ending in .safetensors (ours) or .pt (as released), got {path}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.suffix == ".pt":
            torch.save({"txt": tokens_SD[None], "vec": pooled_D[None], "prompt": embedding.prompt}, partial)
        else:
            save_file({"tokens_SD": tokens_SD, "pooled_D": pooled_D}, partial, metadata={"prompt": embedding.prompt})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> PromptEmbedding:
    """Read a prompt-embedding file: ours, the released one, or one with diffusers' names.

    Raises:
        ValueError: the file is missing, cut or holds code; keys are missing or unknown; or numbers are not finite.
    """
    found = _tensors(path)
    unknown = sorted(found.keys() - {*_TOKENS, *_POOLED, *_BESIDE})
    tokens, pooled = _only(found, _TOKENS), _only(found, _POOLED)
    if unknown or tokens is None or pooled is None:
        raise ValueError(
            f"{path} is no prompt-embedding file: expected one of {', '.join(_TOKENS)} and one of {', '.join(_POOLED)}, "
            f"found {', '.join(sorted(found)) or 'nothing'}" + (f"; unknown: {', '.join(unknown)}." if unknown else ".")
        )
    prompt = found.get("prompt", "")
    embedding = PromptEmbedding(_single(path, tokens, 2), _single(path, pooled, 1), prompt if isinstance(prompt, str) else "")
    return _checked(embedding, str(path))


def _tensors(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"Expected prompt embeddings at {path}, found no file. Make them with lucidflux weights encode-prompt.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()} | dict(file.metadata() or {})  # noqa: SIM118
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles fail in many ways
        raise ValueError(f"{path} cannot be read as tensors ({_first_line(error)}); code in it was not run.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}, expected a dictionary of tensors.")
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _only(found: Mapping[str, Any], names: tuple[str, ...]) -> Tensor | None:
    tensors = [found[name] for name in names if isinstance(found.get(name), Tensor)]
    return tensors[0] if len(tensors) == 1 else None


def _single(path: Path, tensor: Tensor, dimensions: int) -> Tensor:
    """Take the batch of one off."""
    if tensor.ndim == dimensions + 1 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != dimensions or 0 in tensor.shape:
        raise ValueError(f"{path} holds a tensor {list(tensor.shape)}, expected {dimensions} dimensions, or a batch of one.")
    return tensor


def _checked(embedding: PromptEmbedding, where: str) -> PromptEmbedding:
    for tensor in (embedding.tokens_SD, embedding.pooled_D):
        if not tensor.isfinite().all():
            raise ValueError(f"{where} holds numbers that are not finite; take another copy or encode it in another precision.")
    return embedding
