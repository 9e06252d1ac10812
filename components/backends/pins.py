"""Which third-party weights the product knows: where each comes from, under which licence, and what it must hold.

A sha256 stands here only where a public source states it; an empty one is recorded at the first import or download
(trust on first use). Hashes and sizes: Black Forest Labs' documentation of FLUX.1 and FLUX.1 Redux; the hub's own
metadata for the autoencoder, T5, CLIP and T5's vocabulary; of the metrics' files the address of CLIP's RN50, and for the
others what several users wrote down, where it agrees with the digits in the file's name; of the parameters of NIQE and BRISQUE
the files in their makers' repositories. File names: the download program of the LucidFlux release; pyiqa. Those of Q-Align's
set follow what transformers writes for a network of its size, and were not compared with the hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PinnedFile:
    """One file of a set."""

    path: str
    """Where it lies in its repository and below the folder of its set."""
    sha256: str = ""
    """Empty where no public source states it."""
    size: int = 0
    """Bytes; 0 where unknown."""


@dataclass(frozen=True)
class Pin:
    """A named set of files that is fetched, imported and verified as a whole."""

    repository: str
    """Repository on the model hub."""
    files: tuple[PinnedFile, ...]
    licence: str
    used_for: str
    holds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Tensors that tell this checkpoint from any other, with their released shapes; "" for a file of one bare tensor."""
    source: str = ""
    """Where its makers publish the file, when no hub has it: it is fetched by hand and imported."""


FLUX_LICENCE = "FLUX.1 [dev] non-commercial"
FLUX = "black-forest-labs/FLUX.1-dev"
PYIQA = "chaofengc/IQA-PyTorch-Weights"
PYIQA_LICENCE = "CC-BY-NC-SA-4.0"

WEIGHTS: Mapping[str, Pin] = {
    "flux1-dev": Pin(
        repository=FLUX,
        files=(
            PinnedFile(
                "flux1-dev.safetensors", "4610115bb0c89560703c892c59ac2742fa821e60ef5871b33493ba544683abd7", size=23_802_932_552
            ),
        ),
        licence=FLUX_LICENCE,
        used_for="backbone",
        holds={
            "img_in.weight": (3072, 64),
            "double_blocks.18.img_attn.qkv.weight": (9216, 3072),
            "single_blocks.37.linear1.weight": (21504, 3072),
        },
    ),
    "ae": Pin(
        repository=FLUX,
        files=(
            PinnedFile("ae.safetensors", "afc8e28272cd15db3919bacdb6918ce9c1ed22e96cb12c4d5ed0fba823529e38", size=335_304_388),
        ),
        licence=FLUX_LICENCE,
        used_for="autoencoder",
        holds={"encoder.conv_out.weight": (32, 512, 3, 3), "decoder.conv_in.weight": (512, 16, 3, 3)},
    ),
    "lucidflux": Pin(
        repository="W2GenAI/LucidFlux",
        files=(PinnedFile("lucidflux.pth"),),
        licence=FLUX_LICENCE,
        used_for="released adapter: branches, modulations, connector",
        holds={
            "condition_lq.img_in.weight": (3072, 64),
            "condition_ldr.img_in.weight": (3072, 64),
            "modulation_lq.linear.weight": (6144, 3072),
            "modulation_ldr.linear.weight": (6144, 3072),
            "connector.redux_up.weight": (12288, 1152),
        },
    ),
    "prompt-embeddings": Pin(
        repository="W2GenAI/LucidFlux",
        files=(PinnedFile("prompt_embeddings.pt"),),
        licence=FLUX_LICENCE,
        used_for="the fixed prompt, encoded",
        holds={"txt": (1, 512, 4096), "vec": (1, 768)},
    ),
    "swinir": Pin(
        repository="lxq007/DiffBIR",
        files=(PinnedFile("general_swinir_v1.ckpt"),),
        licence="Apache-2.0",
        used_for="restoration prior (LRP)",
        holds={"conv_first.1.weight": (180, 192, 3, 3), "layers.7.residual_group.blocks.5.attn.qkv.weight": (540, 180)},
    ),
    "siglip2": Pin(
        repository="google/siglip2-so400m-patch16-512",
        files=(PinnedFile("config.json"), PinnedFile("model.safetensors"), PinnedFile("preprocessor_config.json")),
        licence="Apache-2.0",
        used_for="image encoder",
        holds={
            "vision_model.embeddings.patch_embedding.weight": (1152, 3, 16, 16),
            "vision_model.embeddings.position_embedding.weight": (1024, 1152),
        },
    ),
    "redux": Pin(
        repository="ostris/Flex.1-alpha-Redux",
        files=(PinnedFile("flex1_redux_siglip2_512.safetensors"),),
        licence="as its repository says (Flex.1-alpha is Apache-2.0)",
        used_for="start of the connector in training",
        holds={"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288)},
    ),
    "redux-dev": Pin(
        repository="black-forest-labs/FLUX.1-Redux-dev",
        files=(PinnedFile("flux1-redux-dev.safetensors", "a1b3bdcb4bdc58ce04874b9ca776d61fc3e914bb6beab41efb63e4e2694dca45"),),
        licence=FLUX_LICENCE,
        used_for="another start of the connector",
        holds={"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288)},
    ),
    "t5": Pin(
        repository=FLUX,
        files=(
            PinnedFile("text_encoder_2/config.json"),
            PinnedFile(
                "text_encoder_2/model-00001-of-00002.safetensors",
                "ec87bffd1923e8b2774a6d240c922a41f6143081d52cf83b8fe39e9d838c893e",
                size=4_994_582_224,
            ),
            PinnedFile(
                "text_encoder_2/model-00002-of-00002.safetensors",
                "a5640855b301fcdbceddfa90ae8066cd9414aff020552a201a255ecf2059da00",
                size=4_530_066_360,
            ),
            PinnedFile("text_encoder_2/model.safetensors.index.json"),
            PinnedFile("tokenizer_2/special_tokens_map.json"),
            PinnedFile(
                "tokenizer_2/spiece.model", "d60acb128cf7b7f2536e8f38a5b18a05535c9e14c7a355904270e15b0945ea86", size=791_656
            ),
            PinnedFile("tokenizer_2/tokenizer.json"),
            PinnedFile("tokenizer_2/tokenizer_config.json"),
        ),
        licence="Apache-2.0",
        used_for="encoding another prompt",
        holds={"shared.weight": (32128, 4096), "encoder.block.23.layer.0.SelfAttention.q.weight": (4096, 4096)},
    ),
    "clip": Pin(
        repository=FLUX,
        files=(
            PinnedFile("text_encoder/config.json"),
            PinnedFile(
                "text_encoder/model.safetensors",
                "893d67a23f4693ed42cdab4cbad7fe3e727cf59609c40da28a46b5470f9ed082",
                size=246_144_352,
            ),
            PinnedFile("tokenizer/merges.txt"),
            PinnedFile("tokenizer/special_tokens_map.json"),
            PinnedFile("tokenizer/tokenizer_config.json"),
            PinnedFile("tokenizer/vocab.json"),
        ),
        licence="MIT",
        used_for="encoding another prompt",
        holds={"text_model.embeddings.token_embedding.weight": (49408, 768)},
    ),
    "clip-rn50": Pin(
        repository="openai/CLIP",
        files=(PinnedFile("RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),),
        licence="MIT",
        used_for="metrics CLIP-IQA and CLIP-IQA+",
        holds={"visual.attnpool.positional_embedding": (50, 2048), "text_projection": (512, 1024)},
        source="https://openaipublic.azureedge.net/clip/models/"
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt",
    ),
    "clipiqa-plus": Pin(
        repository=PYIQA,
        files=(PinnedFile("CLIP-IQA+_learned_prompts-603f3273.pth"),),
        licence=PYIQA_LICENCE,
        used_for="metric CLIP-IQA+: prompts learned on KonIQ-10k",
        holds={"": (2, 16, 512)},
    ),
    "musiq-koniq": Pin(
        repository=PYIQA,
        files=(PinnedFile("musiq_koniq_ckpt-e95806b9.pth", "e95806b9eae5f3814c410f574ba8e552362bd5bc63d758ed5b97860f5d6185aa"),),
        licence=PYIQA_LICENCE,
        used_for="metric MUSIQ, trained on KonIQ-10k",
        holds={"conv_root.weight": (64, 3, 7, 7), "head.weight": (1, 384)},
    ),
    "maniqa-koniq": Pin(
        repository=PYIQA,
        files=(
            PinnedFile("ckpt_koniq10k.pt", "a207f8ab57322e6be38ff5c8d019301dc032b454bef21c3c9f9dbf7974eebff6", size=543_335_435),
        ),
        licence=PYIQA_LICENCE,
        used_for="metric MANIQA, trained on KonIQ-10k",
        holds={"vit.pos_embed": (1, 785, 768), "fc_score.3.weight": (1, 384)},
    ),
    "nima-ava": Pin(
        repository=PYIQA,
        files=(PinnedFile("NIMA_InceptionV2_ava-b0c77c00.pth"),),
        licence=PYIQA_LICENCE,
        used_for="metric NIMA, trained on AVA",
        holds={"base_model.conv2d_1a.conv.weight": (32, 3, 3, 3), "classifier.2.weight": (10, 1536)},
    ),
    "niqe": Pin(
        repository="XPixelGroup/BasicSR",
        files=(
            PinnedFile("niqe_pris_params.npz", "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296", size=11_850),
        ),
        licence="Apache-2.0",
        used_for="metric NIQE: statistics of pristine pictures",
        holds={"mu_pris_param": (1, 36), "cov_pris_param": (36, 36)},
        source="basicsr/metrics/niqe_pris_params.npz of github.com/XPixelGroup/BasicSR",
    ),
    "brisque-svm": Pin(
        repository="rehanguha/brisque",
        files=(PinnedFile("svm.txt", "19526fb799c4c7992ccc109fcfecddb25976ba024b194cd3ee275d27e8909c8d", size=351_414),),
        licence="Apache-2.0",
        used_for="metric BRISQUE: support vectors",
        source="brisque/models/svm.txt of github.com/rehanguha/brisque",
    ),
    "brisque-range": Pin(
        repository="rehanguha/brisque",
        files=(PinnedFile("normalize.json"),),
        licence="Apache-2.0",
        used_for="metric BRISQUE: ranges of its features",
        source="brisque/models/normalize.pickle of github.com/rehanguha/brisque, its lists min_ and max_ written as JSON",
    ),
    "one-align": Pin(
        repository="q-future/one-align",
        files=(
            PinnedFile("config.json"),
            PinnedFile("preprocessor_config.json"),
            PinnedFile("pytorch_model-00001-of-00002.bin"),
            PinnedFile("pytorch_model-00002-of-00002.bin"),
            PinnedFile("pytorch_model.bin.index.json"),
            PinnedFile("special_tokens_map.json"),
            PinnedFile("tokenizer.model"),
            PinnedFile("tokenizer_config.json"),
        ),
        licence="MIT",
        used_for="metric Q-Align",
    ),
    "lpips-alex": Pin(
        repository=PYIQA,
        files=(
            PinnedFile(
                "LPIPS_v0.1_alex-df73285e.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0", size=6009
            ),
        ),
        licence="BSD-2-Clause",
        used_for="metric LPIPS: linear layers",
        holds={"lin0.model.1.weight": (1, 64, 1, 1), "lin4.model.1.weight": (1, 256, 1, 1)},
    ),
    "alexnet": Pin(
        repository="pytorch/vision",
        files=(
            PinnedFile(
                "alexnet-owt-7be5be79.pth",
                "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
                size=244_408_911,
            ),
        ),
        licence="BSD-3-Clause",
        used_for="metric LPIPS: network",
        holds={"features.0.weight": (64, 3, 11, 11), "classifier.6.weight": (1000, 4096)},
        source="the address that torchvision keeps in AlexNet_Weights.IMAGENET1K_V1.url",
    ),
}
"""Set -> what it is. Nothing of it travels with the product."""
