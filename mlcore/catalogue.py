"""Pretrained weights that anyone can start from: what they are, whose, under which licence, and where they come from.

No torch, and no network: entries are facts. `mlcore.extractors.load_pretrained` fetches one on the user's machine.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from mlcore.config import NoHead, Preprocess, ResNet, Timm, Torchvision, Unicom, ViT
from mlcore.errors import InputError

__all__ = ["CATALOGUE", "Pretrained", "TimmHub", "TorchvisionWeights", "Url", "find_pretrained"]


@dataclass(frozen=True)
class TorchvisionWeights:
    """`name`: as torchvision's `get_weight` takes it."""

    name: str


@dataclass(frozen=True)
class TimmHub:
    """A repository of timm's on the Hugging Face hub, with its `model.safetensors`."""

    repo: str


@dataclass(frozen=True)
class Url:
    """A file of the authors."""

    url: str


@dataclass(frozen=True)
class Pretrained:
    """One entry.

    extractor: a configuration whose embedding is the network's own features. megabytes: of the download, 10^6 bytes;
    None where the origin does not say. checksum: as the origin publishes it, `sha256:` or `md5:` and the first hex
    digits; None where it does not: then the one of the first download is kept beside the file and holds from then on.
    """

    name: str
    title: str
    extractor: ResNet | ViT | Torchvision | Timm | Unicom
    preprocess: Preprocess
    origin: str
    licence: str
    megabytes: float | None
    source: TorchvisionWeights | TimmHub | Url
    checksum: str | None = None

    @property
    def dimension(self) -> int:
        """Length of the embedding."""
        return self.extractor.dimension


CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research"
TORCHVISION = "torchvision, trained on ImageNet-1k"
MOCO = "https://dl.fbaipublicfiles.com"
UNICOM = "https://github.com/deepglint/unicom/releases/download"
UNICOM_ORIGIN = "An et al., Unicom, 2023; LAION-400M, no labels of people's making"


def at_224(resized: int, interpolation: str = "bicubic") -> Preprocess:
    """The middle 224 pixels of a photo whose shorter side has `resized`."""
    return Preprocess.model_validate(
        {"size": 224, "fit": "crop", "crop_share": 224 / resized, "interpolation": interpolation}
    )


CLIP_PREPROCESS = Preprocess(size=224, fit="crop", interpolation="bicubic", mean=CLIP_MEAN, std=CLIP_STD)
SIGLIP_PREPROCESS = Preprocess(
    size=224, fit="stretch", interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)

ENTRIES = (
    Pretrained(
        name="resnet18_imagenet",
        title="ResNet-18, ImageNet labels",
        extractor=ResNet(arch="resnet18", dimension=512, head=NoHead()),
        preprocess=at_224(256, "bilinear"),
        origin=f"He et al., Deep Residual Learning, 2015; {TORCHVISION}",
        licence=IMAGENET_LICENCE,
        megabytes=46.8,
        source=TorchvisionWeights("ResNet18_Weights.IMAGENET1K_V1"),
        checksum="sha256:f37072fd",
    ),
    Pretrained(
        name="resnet50_imagenet",
        title="ResNet-50, ImageNet labels",
        extractor=ResNet(arch="resnet50", dimension=2048, head=NoHead()),
        preprocess=at_224(232, "bilinear"),
        origin=f"He et al., Deep Residual Learning, 2015; {TORCHVISION}",
        licence=IMAGENET_LICENCE,
        megabytes=102.5,
        source=TorchvisionWeights("ResNet50_Weights.IMAGENET1K_V2"),
        checksum="sha256:11ad3fa6",
    ),
    Pretrained(
        name="vit_b_16_imagenet",
        title="ViT-B/16, ImageNet labels",
        extractor=ViT(arch="vit_b_16", dimension=768, head=NoHead()),
        preprocess=at_224(256, "bilinear"),
        origin=f"Dosovitskiy et al., An Image is Worth 16x16 Words, 2020; {TORCHVISION}",
        licence=IMAGENET_LICENCE,
        megabytes=346.3,
        source=TorchvisionWeights("ViT_B_16_Weights.IMAGENET1K_V1"),
        checksum="sha256:c867db91",
    ),
    Pretrained(
        name="convnext_tiny_imagenet",
        title="ConvNeXt-T, ImageNet labels",
        extractor=Torchvision(arch="convnext_tiny", dimension=768, head=NoHead()),
        preprocess=at_224(236, "bilinear"),
        origin=f"Liu et al., A ConvNet for the 2020s, 2022; {TORCHVISION}",
        licence=IMAGENET_LICENCE,
        megabytes=114.4,
        source=TorchvisionWeights("ConvNeXt_Tiny_Weights.IMAGENET1K_V1"),
        checksum="sha256:983f1562",
    ),
    Pretrained(
        name="resnet50_moco_v2",
        title="ResNet-50, MoCo v2",
        extractor=ResNet(arch="resnet50", dimension=2048, head=NoHead()),
        preprocess=at_224(256, "bilinear"),
        origin="Chen, Fan, Girshick, He, Improved Baselines with Momentum Contrastive Learning, 2020; 800 epochs",
        licence="CC-BY-NC-4.0",
        megabytes=None,
        source=Url(f"{MOCO}/moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar"),
        checksum="md5:a04e12f8",
    ),
    Pretrained(
        name="resnet50_moco_v3",
        title="ResNet-50, MoCo v3",
        extractor=ResNet(arch="resnet50", dimension=2048, head=NoHead()),
        preprocess=at_224(256, "bilinear"),
        origin="Chen, Xie, He, An Empirical Study of Training Self-Supervised Vision Transformers, 2021; 1000 epochs",
        licence="CC-BY-NC-4.0",
        megabytes=None,
        source=Url(f"{MOCO}/moco-v3/r-50-1000ep/r-50-1000ep.pth.tar"),
    ),
    # No MoCo v3 ViT-S: it has twelve heads where timm's has six, and its weights would fit and mean nothing.
    Pretrained(
        name="vit_b_16_moco_v3",
        title="ViT-B/16, MoCo v3",
        extractor=Timm(arch="vit_base_patch16_224", dimension=768, head=NoHead()),
        preprocess=at_224(256, "bilinear"),
        origin="Chen, Xie, He, An Empirical Study of Training Self-Supervised Vision Transformers, 2021; 300 epochs",
        licence="CC-BY-NC-4.0",
        megabytes=None,
        source=Url(f"{MOCO}/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar"),
    ),
    Pretrained(
        name="vit_s_16_dino",
        title="ViT-S/16, DINO",
        extractor=Timm(arch="vit_small_patch16_224.dino", dimension=384, head=NoHead()),
        preprocess=at_224(256),
        origin="Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021",
        licence="Apache-2.0",
        megabytes=86.7,
        source=TimmHub("timm/vit_small_patch16_224.dino"),
    ),
    Pretrained(
        name="vit_b_16_dino",
        title="ViT-B/16, DINO",
        extractor=Timm(arch="vit_base_patch16_224.dino", dimension=768, head=NoHead()),
        preprocess=at_224(256),
        origin="Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021",
        licence="Apache-2.0",
        megabytes=343.2,
        source=TimmHub("timm/vit_base_patch16_224.dino"),
    ),
    Pretrained(
        name="vit_s_14_dinov2",
        title="ViT-S/14 with registers, DINOv2",
        extractor=Timm(arch="vit_small_patch14_reg4_dinov2.lvd142m", dimension=384, head=NoHead()),
        preprocess=at_224(256),
        origin="Oquab et al., DINOv2, 2023; Darcet et al., Vision Transformers Need Registers, 2023",
        licence="Apache-2.0",
        megabytes=88.2,
        source=TimmHub("timm/vit_small_patch14_reg4_dinov2.lvd142m"),
    ),
    Pretrained(
        name="vit_b_14_dinov2",
        title="ViT-B/14 with registers, DINOv2",
        extractor=Timm(arch="vit_base_patch14_reg4_dinov2.lvd142m", dimension=768, head=NoHead()),
        preprocess=at_224(256),
        origin="Oquab et al., DINOv2, 2023; Darcet et al., Vision Transformers Need Registers, 2023",
        licence="Apache-2.0",
        megabytes=346.3,
        source=TimmHub("timm/vit_base_patch14_reg4_dinov2.lvd142m"),
    ),
    Pretrained(
        name="vit_b_32_clip",
        title="ViT-B/32, CLIP",
        extractor=Timm(arch="vit_base_patch32_clip_224.openai", dimension=768, head=NoHead()),
        preprocess=CLIP_PREPROCESS,
        origin="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021",
        licence="MIT",
        megabytes=351.4,
        source=TimmHub("timm/vit_base_patch32_clip_224.openai"),
    ),
    Pretrained(
        name="vit_b_16_clip",
        title="ViT-B/16, CLIP",
        extractor=Timm(arch="vit_base_patch16_clip_224.openai", dimension=768, head=NoHead()),
        preprocess=CLIP_PREPROCESS,
        origin="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021",
        licence="MIT",
        megabytes=344.8,
        source=TimmHub("timm/vit_base_patch16_clip_224.openai"),
    ),
    Pretrained(
        name="vit_b_16_siglip",
        title="ViT-B/16, SigLIP",
        extractor=Timm(arch="vit_base_patch16_siglip_224.webli", dimension=768, head=NoHead()),
        preprocess=SIGLIP_PREPROCESS,
        origin="Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023",
        licence="Apache-2.0",
        megabytes=371.5,
        source=TimmHub("timm/vit_base_patch16_siglip_224.webli"),
    ),
    Pretrained(
        name="vit_b_32_unicom",
        title="ViT-B/32, UNICOM",
        extractor=Unicom(arch="unicom_vit_b_32", dimension=512, head=NoHead()),
        preprocess=CLIP_PREPROCESS,
        origin=UNICOM_ORIGIN,
        licence="MIT",
        megabytes=235.0,
        source=Url(f"{UNICOM}/b32/FP16-ViT-B-32.pt"),
        checksum="sha256:f9d5696a9b58dbbbefee2d31615ca59084f2895a0fdd2ca4c235e0f9b2793f7a",
    ),
    Pretrained(
        name="vit_b_16_unicom",
        title="ViT-B/16, UNICOM",
        extractor=Unicom(arch="unicom_vit_b_16", dimension=768, head=NoHead()),
        preprocess=CLIP_PREPROCESS,
        origin=UNICOM_ORIGIN,
        licence="MIT",
        megabytes=405.0,
        source=Url(f"{UNICOM}/b16/FP16-ViT-B-16.pt"),
        checksum="sha256:c04f324f7c3b4435667236ec6c0eca1cd62f9d64fbfc2d06f8e8e60e6497edef",
    ),
)

CATALOGUE: dict[str, Pretrained] = {entry.name: entry for entry in ENTRIES}


def find_pretrained(name: str) -> Pretrained:
    """Raises InputError for a name that is not in the catalogue."""
    if name not in CATALOGUE:
        close = ", ".join(get_close_matches(name, CATALOGUE, n=3) or CATALOGUE)
        raise InputError(f"The catalogue has no pretrained weights called {name}. Choose for example: {close}.")
    return CATALOGUE[name]
