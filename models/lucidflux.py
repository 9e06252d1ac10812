"""LucidFlux: the trained adapter, and the velocity of the whole network (LucidFlux report, sec. 3).

The backbone is diffusers' unmodified Flux transformer. Condition branches, each with its modulation, give one
control sample per double block; the connector's semantic tokens join the prompt in the text stream.

Shapes: B batch, T image tokens, S semantic tokens, E feature width, D width or token values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from pydantic import ValidationError
from torch import Tensor

from models.bundle import FrozenParts, Prompt, read_metadata, read_weights, write_weights
from models.conditioner import ConditionBranch, Moment, PaperBranch
from models.config import ConditionerConfig, NetworkConfig
from models.connector import build_connector, connect
from models.latents import position_ids
from models.modulation import AnyModulation, NoModulation, build_modulation

CONDITIONER = "conditioner"
"""Entry of an adapter file's metadata: its ConditionerConfig as JSON."""


@dataclass(frozen=True)
class Condition:
    """What the network is told about one batch of pictures."""

    hint_lq_pm1: Tensor
    """LQ (B, 3, H, W) in [-1, 1]; both sides multiples of a token's side."""
    hint_lrp_pm1: Tensor
    """LRP, likewise."""
    features_BSE: Tensor
    """Image features of the LRP, from `FrozenParts.features`."""
    height_px: int
    width_px: int


@dataclass(frozen=True)
class Prepared:
    """A condition with everything computed that does not depend on the time: once per picture, not per step."""

    hint_lq_BTD: Tensor | None
    """Hint tokens of the LQ; the finished output of its branch in the paper's variant; None without that branch."""
    hint_lrp_BTD: Tensor | None
    """LRP, likewise."""
    context_BSD: Tensor
    """Prompt and semantic tokens."""
    grid: tuple[int, int]
    """Rows and columns of tokens."""

    def hint(self, picture: str) -> Tensor:
        """Hint of `lq` or `lrp`."""
        hint_BTD: Tensor | None = getattr(self, f"hint_{picture}_BTD")
        assert hint_BTD is not None
        return hint_BTD


class Adapter(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """Everything that LucidFlux trains; also a diffusers model, so that it travels as one safetensors file."""

    def __init__(self, network: NetworkConfig | Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network if isinstance(network, NetworkConfig) else NetworkConfig.model_validate(network)
        self.register_to_config(network=self.network.model_dump(mode="json"))
        kind = PaperBranch if self.network.conditioner.variant == "paper" else ConditionBranch
        pictures = self.network.conditioner.pictures
        self.condition_lq = kind(self.network) if "lq" in pictures else None
        self.condition_lrp = kind(self.network) if "lrp" in pictures else None
        self.modulation_lq = build_modulation(self.network) if "lq" in pictures else None
        self.modulation_lrp = build_modulation(self.network) if "lrp" in pictures else None
        self.connector = build_connector(self.network) if self.network.conditioner.semantic else None

    @classmethod
    def from_backbone(cls, network: NetworkConfig, frozen: FrozenParts, *, silent: bool = True) -> Adapter:
        """Initialise for training.

        Branches copy the backbone's embeddings and first double blocks, the connector starts from the bundle's. The
        control is then kept at or near zero in one of two ways; both at once would pass no gradient to the branches.

        Args:
            network: sizes.
            frozen: parts to start from.
            silent: True makes the control exactly zero by the modulations (scale -1, shift 0), keeps the output
                projections as they come, and starts the hint convolutions from the bundle's, which read the latent of
                the hint: the miniature learns from it within hundreds of steps. False is the released start: output
                projections and last hint convolution are zero, which leaves the modulations' shift in the control and
                multiplies the first gradients by up to 1000 (LayerNorm of a zero residual).
        """
        adapter = cls(network)
        for _, branch, modulation in adapter.streams():
            _start_branch(branch, frozen)
            if silent and frozen.hint is not None:
                branch.input_hint_block.load_state_dict(frozen.hint.state_dict())
            if silent:
                modulation.start_silent()
            if not silent or isinstance(modulation, NoModulation):
                branch.start_from_zero(hint=not silent)
        if adapter.connector is not None and frozen.connector is not None:
            adapter.connector.load_state_dict(frozen.connector.state_dict())
        adapter.to(frozen.device)
        return adapter

    def streams(self) -> list[tuple[str, ConditionBranch | PaperBranch, AnyModulation]]:
        """(picture, branch, modulation) of each branch that there is."""
        return [
            (picture, getattr(self, f"condition_{picture}"), getattr(self, f"modulation_{picture}"))
            for picture in self.network.conditioner.pictures
        ]

    def save(self, path: Path, dtype: torch.dtype | None = torch.float16) -> None:
        """Write the weights to one safetensors file, which also says what kind of conditioner they are.

        Args:
            path: file to write.
            dtype: of the file; None keeps each tensor's own.
        """
        write_weights(path, self, dtype, metadata={CONDITIONER: self.network.conditioner.model_dump_json()})

    @classmethod
    def load(cls, path: Path, network: NetworkConfig, dtype: torch.dtype = torch.float32) -> Adapter:
        """Read an adapter that `save` wrote; in evaluation mode.

        Args:
            path: file to read; its own conditioner settings win over the network's.
            network: sizes of the bundle that it was trained on.
            dtype: element type in memory.

        Raises:
            ValueError: the file is missing, cut, or belongs to a network of other sizes.
        """
        stated = read_metadata(path).get(CONDITIONER)
        if stated is not None:
            try:
                conditioner = ConditionerConfig.model_validate_json(stated)
            except ValidationError as error:
                raise ValueError(f"{path} states a conditioner that is not known here: {error}.") from error
            network = network.model_copy(update={"conditioner": conditioner})
        with torch.device("meta"):
            adapter = cls(network)
        read_weights(path, adapter, dtype)
        adapter.eval().requires_grad_(requires_grad=False)
        return adapter

    def hint(self, picture: str, hint_pm1_BCHW: Tensor, prompt: Prompt, grid: tuple[int, int]) -> Tensor | None:
        """What of one picture does not depend on the time; None without a branch for it."""
        branch = getattr(self, f"condition_{picture}")
        if branch is None:
            return None
        dtype = branch.pos_embed_input.weight.dtype
        hint_BTD: Tensor = branch.hint_tokens(hint_pm1_BCHW.to(dtype))
        if isinstance(branch, ConditionBranch):
            return hint_BTD
        batch = len(hint_BTD)
        tokens_BSD, pooled_BD = prompt.tokens_SD.to(dtype).expand(batch, -1, -1), prompt.pooled_D.to(dtype).expand(batch, -1)
        phi_BTD: Tensor = branch(hint_BTD, tokens_BSD, pooled_BD, grid)
        return phi_BTD

    def control(self, x_t_BTD: Tensor, prepared: Prepared, prompt_BSD: Tensor, moment: Moment) -> list[Tensor]:
        """One control sample (B, T, D) per double block of the backbone (report, eq. 5).

        Block l takes output l mod (number of outputs) of each branch, modulated for l, and the sum over branches.
        """
        total: list[Tensor] = []
        for picture, branch, modulation in self.streams():
            outputs = [prepared.hint(picture)]
            if isinstance(branch, ConditionBranch):
                outputs = branch(x_t_BTD, outputs[0], prompt_BSD, moment, prepared.grid)
            modulated = [
                modulation(outputs[layer % len(outputs)], moment.t_B, layer)
                for layer in range(self.network.backbone.double_blocks)
            ]
            total = [sum_ + new for sum_, new in zip(total, modulated, strict=True)] if total else modulated
        return total


def _start_branch(branch: ConditionBranch | PaperBranch, frozen: FrozenParts) -> None:
    """Copy what a branch shares with the backbone's beginning."""
    backbone = frozen.backbone
    branch.txt_in.load_state_dict(backbone.context_embedder.state_dict())
    if isinstance(branch, ConditionBranch):
        branch.img_in.load_state_dict(backbone.x_embedder.state_dict())
        branch.time_text_embed.load_state_dict(backbone.time_text_embed.state_dict())
    else:
        branch.text_embedder.load_state_dict(backbone.time_text_embed.text_embedder.state_dict())
    for block, source in zip(branch.double_blocks, backbone.transformer_blocks, strict=False):
        block.load_state_dict(source.state_dict())


def prepare(adapter: Adapter | None, frozen: FrozenParts, cond: Condition) -> Prepared:
    """Compute what stays the same over the steps; without an adapter there are no hints."""
    token_px = frozen.config.latent.token_px
    grid = (cond.height_px // token_px, cond.width_px // token_px)
    dtype = frozen.backbone.dtype
    context_BSD = frozen.prompt.tokens_SD.to(dtype).expand(len(cond.features_BSE), -1, -1)
    connector = frozen.connector if adapter is None else adapter.connector
    if connector is not None:
        context_BSD = torch.cat([context_BSD, connect(connector, cond.features_BSE.to(dtype))], dim=1)
    return Prepared(
        hint_lq_BTD=None if adapter is None else adapter.hint("lq", cond.hint_lq_pm1, frozen.prompt, grid),
        hint_lrp_BTD=None if adapter is None else adapter.hint("lrp", cond.hint_lrp_pm1, frozen.prompt, grid),
        context_BSD=context_BSD,
        grid=grid,
    )


def velocity(
    adapter: Adapter | None, frozen: FrozenParts, x_t_BTD: Tensor, t_B: Tensor, cond: Condition | Prepared, guidance: float
) -> Tensor:
    """Velocity v = x1 - x0 (B, T, D) that the network predicts.

    Args:
        adapter: the trained part; None asks the bare backbone, with the connector that the bundle starts from.
        frozen: the rest.
        x_t_BTD: noisy packed latent.
        t_B: flow time in [0, 1]; 1 is noise.
        cond: the pictures, or the result of `prepare` when the call is one of many.
        guidance: embedded guidance value; without effect on a network without guidance embedding.

    Everything inside runs in the backbone's element type, the time values too (released: bfloat16); the result has
    that of x_t.
    """
    prepared = cond if isinstance(cond, Prepared) else prepare(adapter, frozen, cond)
    batch, dtype = len(x_t_BTD), frozen.backbone.dtype
    x_BTD, t_B = x_t_BTD.to(dtype), t_B.to(dtype)
    guidance_B = torch.full_like(t_B, guidance) if frozen.config.backbone.guidance_embeds else None
    moment = Moment(t_B=t_B, guidance_B=guidance_B, pooled_BD=frozen.prompt.pooled_D.to(dtype).expand(batch, -1))
    control = None
    if adapter is not None:
        control = adapter.control(x_BTD, prepared, frozen.prompt.tokens_SD.to(dtype).expand(batch, -1, -1), moment)
    return run_backbone(frozen, x_BTD, prepared, moment, control).to(x_t_BTD.dtype)


def run_backbone(
    frozen: FrozenParts, x_t_BTD: Tensor, prepared: Prepared, moment: Moment, control: list[Tensor] | None
) -> Tensor:
    """Call the transformer with one control sample per double block, or none."""
    context = prepared.context_BSD
    v_BTD: Tensor = frozen.backbone(
        hidden_states=x_t_BTD,
        encoder_hidden_states=context,
        pooled_projections=moment.pooled_BD,
        timestep=moment.t_B,
        img_ids=position_ids(*prepared.grid, device=context.device),
        txt_ids=torch.zeros(context.shape[1], 3, device=context.device),
        guidance=moment.guidance_B,
        controlnet_block_samples=control,
        return_dict=False,
    )[0]
    return v_BTD
