"""The vision transformers by name: CLIP, DINOv2 and DINOv3 as a table of their differences."""

import dataclasses

from dfjax.errors import unknown


@dataclasses.dataclass(frozen=True)
class Variant:
    """One published vision transformer.

    Attributes:
        width: Width of the tokens.
        blocks: Number of transformer blocks.
        heads: Number of attention heads.
        patch: Side of a patch in pixels.
        size: Side of the images that it was published for, in pixels; learned positions are those
            of the patches of such an image.
        hidden: Hidden width of the feed-forward networks, as a multiple of `width`.
        activation: Their activation, a key of `dfjax.models.vit_blocks.ACTIVATIONS`.
        gated: Whether the activation multiplies a second projection (SwiGLU: Shazeer, 2020).
        registers: Number of register tokens (Darcet et al., 2024).
        rotary: Whether the positions rotate queries and keys (DINOv3) instead of being learned.
        antialias: Whether learned positions are filtered when they are resized to fewer patches.
        patch_bias: Whether the patch embedding has a bias.
        key_bias: Whether the projection of the keys has a bias.
        input_norm: Whether the tokens are normalised before the first block (CLIP).
        layer_scale: Whether each residual branch has a learned factor per channel.
        epsilon: Constant of layer normalisation.
    """

    width: int
    blocks: int
    heads: int
    patch: int
    size: int = 224
    hidden: float = 4.0
    activation: str = "gelu"
    gated: bool = False
    registers: int = 0
    rotary: bool = False
    antialias: bool = False
    patch_bias: bool = True
    key_bias: bool = True
    input_norm: bool = False
    layer_scale: bool = False
    epsilon: float = 1e-5


def _clip(
    width: int, blocks: int, heads: int, patch: int, size: int = 224, activation: str = "quick_gelu"
) -> Variant:
    """Returns the image tower of CLIP (Radford et al., 2021)."""
    return Variant(
        width, blocks, heads, patch, size,
        activation=activation, patch_bias=False, input_norm=True,
    )  # fmt: skip


def _dinov2(width: int, blocks: int, heads: int, registers: int) -> Variant:
    """Returns a DINOv2 (Oquab et al., 2024), whose last training steps had 518 px.

    Those with registers resize their positions with a filter, the others without, as published.
    """
    return Variant(
        width, blocks, heads, 14, 518,
        registers=registers, antialias=registers > 0, layer_scale=True, epsilon=1e-6,
    )  # fmt: skip


def _dinov3(width: int, blocks: int, heads: int, *, gated: bool = False) -> Variant:
    """Returns a DINOv3 (Siméoni et al., 2025)."""
    return Variant(
        width, blocks, heads, 16,
        activation="silu" if gated else "gelu", gated=gated,
        registers=4, rotary=True, key_bias=False, layer_scale=True,
    )  # fmt: skip


VARIANTS = {
    "clip_b32": _clip(768, 12, 12, 32),
    "clip_b16": _clip(768, 12, 12, 16),
    "clip_l14": _clip(1024, 24, 16, 14),
    "clip_l14_336": _clip(1024, 24, 16, 14, 336),
    "clip_b32_gelu": _clip(768, 12, 12, 32, activation="gelu"),
    "clip_b16_gelu": _clip(768, 12, 12, 16, activation="gelu"),
    "clip_l14_gelu": _clip(1024, 24, 16, 14, activation="gelu"),
    "dinov2_b14": _dinov2(768, 12, 12, 0),
    "dinov2_l14": _dinov2(1024, 24, 16, 0),
    "dinov2_b14_registers": _dinov2(768, 12, 12, 4),
    "dinov2_l14_registers": _dinov2(1024, 24, 16, 4),
    "dinov3_b16": _dinov3(768, 12, 12),
    "dinov3_l16": _dinov3(1024, 24, 16),
    "dinov3_h16": _dinov3(1280, 32, 20, gated=True),
    "clip_t8": _clip(96, 3, 3, 8, 64),
}
"""The published networks: B/32 is a base network with patches of 32 px, `dinov3_h16` is the H+.
CLIPs with `gelu` have this activation instead of quick-GELU, as those of LAION.
`clip_t8` is a small CLIP of ours, which learns from random weights on images of 64 px."""


def find_variant(name: str) -> Variant:
    """Returns the vision transformer `name`.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in VARIANTS:
        raise unknown("vision transformer", name, VARIANTS)
    return VARIANTS[name]


def scale_variant(name: str, factor: float) -> Variant:
    """Returns the vision transformer `name` with fewer or narrower heads, for small models.

    Args:
        name: Key of `VARIANTS`.
        factor: Factor of its width. There is at least one head, and the width of a head is a
            multiple of 8.

    Raises:
        UsageError: The name is unknown.
    """
    variant = find_variant(name)
    heads = max(1, round(variant.heads * factor))
    head = max(8, 8 * round(variant.width * factor / heads / 8))
    return dataclasses.replace(variant, width=heads * head, heads=heads)


def vit_channels(name: str, width: float = 1.0) -> int:
    """Returns the width of the tokens: 768 for base, 1024 for large, 1280 for H+ networks."""
    return scale_variant(name, width).width
