"""Vision transformers (Dosovitskiy et al., 2021) as feature extractors: CLIP, DINOv2, DINOv3."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError
from dfjax.models.entry import LOW_RANK
from dfjax.models.initializers import LECUN
from dfjax.models.layers import Compute
from dfjax.models.vit_blocks import TransformerBlock, layer_norm
from dfjax.models.vit_positions import resize_positions, rotary_angles
from dfjax.models.vit_variants import Variant, scale_variant


class Tokens(nn.Module):
    """Learned vectors: a class token, register tokens or positions.

    Attributes:
        shape: Shape of the vectors; the last axis is their width.
    """

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> Float[Array, "..."]:
        """Returns the vectors."""

        def init(rng: Any, shape: tuple[int, ...]) -> Array:
            rows = LECUN(rng, (int(np.prod(shape[:-1])), shape[-1]))
            return (rows * np.sqrt(rows.shape[0]) * 0.02).reshape(shape)

        return self.param("embedding", init, self.shape)


class VisionTransformer(nn.Module):
    """Feature extractor: patch embedding, class token and registers, blocks, normalisation.

    Attributes:
        variant: Key of `dfjax.models.vit_variants.VARIANTS`.
        width: Factor of the width, for small models.
        one_block: Whether there is a single block, which compiles fast.
        drop_path: Stochastic depth rate of the last block. The rate grows linearly from 0.
        scan_blocks: Whether the blocks are one `jax.lax.scan` over their stacked parameters, which
            compiles one block for all. Parameters and results are the same; the stack is a copy,
            and the backward pass recomputes each block from its input. Blocks of which some have
            adapters and some have none are not scanned.
        compute: Dtype and lowering.
    """

    variant: str
    width: float = 1.0
    one_block: bool = False
    drop_path: float = 0.0
    scan_blocks: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w c"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> dict[str, Float[Array, "n _ _ D"]]:
        """Returns the maps `stem`, `stage1` and `top`.

        `stem` and `stage1` have a vector per patch: its embedding, and its token after the last
        normalisation. `top` [n,1,1,D] is the class token after it, the pooled output of the
        original networks, so that the mean over this map is the feature vector of an image.

        Args:
            images: Normalised images whose sides are multiples of the side of a patch.
            mask: Has no effect, because images do not influence each other.
            train: Whether to use stochastic depth.

        Raises:
            UsageError: An image is not divisible into patches.
        """
        del mask
        v = scale_variant(self.variant, self.width)
        stem, x = self._embed(v, images)
        n, rows, columns, _ = stem.shape
        angles = rotary_angles(rows, columns, v.width // v.heads) if v.rotary else None
        x = self._run_blocks(v, x, angles, (rows, columns), train=train)
        # In the original CLIP, only the class token is normalised.
        x = layer_norm(v, self.compute, "output_norm")(x)
        patches = x[:, 1 + v.registers :].reshape(n, rows, columns, v.width)
        return {"stem": stem, "stage1": patches, "top": x[:, :1, None]}

    def _embed(self, v: Variant, images: Array) -> tuple[Array, Array]:
        """Returns the embedded patches [n, rows, columns, D] and all tokens [n, N, D]."""
        if any(side % v.patch for side in images.shape[1:3]):
            height, width = images.shape[1:3]
            raise UsageError(
                f"{self.variant} divides images into patches of {v.patch} x {v.patch} pixels: "
                f"the side of its frames must be a multiple of {v.patch}, not {height} x {width}"
            )
        dtype = self.compute.dtype
        stem = PatchEmbedding(v, self.compute, name="patch_embedding")(images)
        n, rows, columns, _ = stem.shape
        first = Tokens((v.width,), name="class_token")()[None]  # [1, D]
        patches = stem.reshape(n, rows * columns, v.width)
        if not v.rotary:
            table = Tokens(((v.size // v.patch) ** 2 + 1, v.width), name="positions")()
            first = first + table[:1]
            moved = resize_positions(table[1:], rows, columns, antialias=v.antialias)
            patches = patches + moved.astype(dtype)
        if v.registers:
            registers = Tokens((v.registers, v.width), name="registers")()
            first = jnp.concatenate([first, registers])
        first = jnp.broadcast_to(first.astype(dtype), (n, *first.shape))
        x = jnp.concatenate([first, patches], axis=1)
        return stem, layer_norm(v, self.compute, "input_norm")(x) if v.input_norm else x

    def _run_blocks(
        self, v: Variant, x: Array, angles: Any, grid: tuple[int, int], *, train: bool
    ) -> Array:
        count = 1 if self.one_block else v.blocks
        names = [f"stage1_block{number}" for number in range(1, count + 1)]
        blocks = [TransformerBlock(v, self.compute, name=name) for name in names]
        kept = self._draw_kept(count, x.shape[0]) if train and self.drop_path else None
        parts = {part: self.variables.get(part, {}) for part in ("params", LOW_RANK)}
        layers = [{part: tree.get(name, {}) for part, tree in parts.items()} for name in names]
        alike = len(set(map(jax.tree.structure, layers))) == 1
        if self.is_initializing() or not (self.scan_blocks and alike):
            for number, block in enumerate(blocks):
                if number == count - 1 and not train:
                    x = _pass_patches(x, 1 + v.registers, grid)
                x = block(x, None if kept is None else kept[number], angles, train=train)
            return x
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)
        alone = TransformerBlock(v, self.compute, parent=None)

        def run(x: Array, layer: Any) -> tuple[Array, None]:
            variables, kept = layer
            y: Any = alone.apply(variables, x, kept, angles, train=train)
            return y, None

        # Around the scan, recomputation would keep the values inside of all blocks at once.
        recomputed = jax.checkpoint(run, prevent_cse=False)
        return jax.lax.scan(recomputed, x, (stacked, kept))[0]

    def _draw_kept(self, count: int, images: int) -> Array:
        """Returns the factors of the branches, f32[count, 2, images]."""
        keep = 1 - self.drop_path * jnp.arange(count, dtype=jnp.float32)[:, None, None] / count
        shape = (count, 2, images)
        return jax.random.bernoulli(self.make_rng("dropout"), keep, shape) / keep


class PatchMap(nn.Module):
    """The patch tokens that enter the last block, as a map: the layer that Grad-CAM explains.

    Tokens of patches after the last block have no gradient where the head reads the class token
    alone. Programs of training do not have this module.
    """

    @nn.compact
    def __call__(self, patches: Float[Array, "n p q D"]) -> Float[Array, "n p q D"]:
        """Returns the map itself."""
        return patches


def _pass_patches(
    x: Float[Array, "n N D"], first: int, grid: tuple[int, int]
) -> Float[Array, "n N D"]:
    """Returns the tokens, of which those of patches, from `first` on, are passed by `PatchMap`."""
    n, _, width = x.shape
    patches = PatchMap(name="last_patches")(x[:, first:].reshape(n, *grid, width))
    return jnp.concatenate([x[:, :first], patches.reshape(n, -1, width)], axis=1)


class PatchEmbedding(nn.Module):
    """Linear embedding of patches: a convolution whose stride is the side of its kernel.

    It is computed as one product of matrices, which is fast on every backend.

    Attributes:
        variant: Network.
        compute: Dtype of the product.
    """

    variant: Variant
    compute: Compute

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n p q D"]:
        """Returns a vector per patch."""
        side, dtype = self.variant.patch, self.compute.dtype
        shape = (side, side, images.shape[-1], self.variant.width)
        kernel = self.param("kernel", LECUN, shape).astype(dtype)
        n, height, width, _ = images.shape
        x = images.astype(dtype).reshape(n, height // side, side, width // side, side, -1)
        x = jnp.einsum("npaqbc,abcd->npqd", x, kernel)
        if self.variant.patch_bias:
            x = x + self.param("bias", nn.initializers.zeros, shape[-1:]).astype(dtype)
        return x
