"""Zero padding of convolutions: the rules by which frameworks differ, as explicit amounts.

Trained weights are tied to the rule they were trained with; with another one every layer of stride
2 sees a grid shifted by a pixel and nothing warns.
"""

from dfjax.errors import unknown

Padding = tuple[tuple[int, int], tuple[int, int]]
"""Zeros before and after, for height and width."""

FLAVOURS = ("same", "symmetric", "static", "dfb_stem_valid")


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns TensorFlow's SAME amounts: ceil(size / stride) cells come out, the odd zero last."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_amounts(
    flavour: str, size: tuple[int, int], kernel: int, stride: int, native: int
) -> Padding:
    """Returns the zeros that `flavour` puts around a map of `size` before a k x k convolution.

    Args:
        flavour: `same` (TensorFlow, Keras, timm's tf_ models: depends on the map at hand),
            `symmetric` (torchvision, timm: k // 2 on every side), `static` and `dfb_stem_valid`
            (efficientnet_pytorch: SAME of the map that the model's native image size would give,
            whatever is fed; the second one has an unpadded stem, which the stem itself asks for).
        size: height and width of the map.
        kernel: side of the kernel.
        stride: stride in both directions.
        native: side of this map when the model is fed its native image size.

    Raises:
        UsageError: the flavour is unknown.
    """
    if flavour not in FLAVOURS:
        raise unknown("padding", flavour, FLAVOURS)
    if flavour == "symmetric":
        return ((kernel // 2, kernel // 2),) * 2
    if flavour == "same":
        return same_padding(size[0], kernel, stride), same_padding(size[1], kernel, stride)
    return (same_padding(native, kernel, stride),) * 2


def padded_size(size: int, kernel: int, stride: int, amount: tuple[int, int]) -> int:
    """Returns how many cells a convolution leaves of an axis of `size` padded by `amount`."""
    return (size + sum(amount) - kernel) // stride + 1
