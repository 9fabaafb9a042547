"""Computes the zero padding of convolutions by the rules of several frameworks.

Trained weights depend on the padding rule that they were trained with. Under another rule, every
layer of stride 2 samples a grid that is shifted by one pixel, and no error is raised.
"""

from dfjax.errors import unknown

Padding = tuple[tuple[int, int], tuple[int, int]]
"""Numbers of zeros before and after the map, for the height and for the width."""

FLAVOURS = ("same", "symmetric", "static", "dfb_stem_valid")


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns the zeros before and after an axis by TensorFlow's SAME rule.

    The convolution then gives ceil(size / stride) cells. An odd number of zeros has the extra one
    after the axis.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_amounts(
    flavour: str, size: tuple[int, int], kernel: int, stride: int, native: int
) -> Padding:
    """Returns the zeros that the rule `flavour` puts around a map before a k x k convolution.

    Args:
        flavour: Padding rule. `same` depends on the size of the map (TensorFlow, Keras, timm's
            `tf_` models). `symmetric` is k // 2 on every side (torchvision, timm). `static` is the
            SAME padding of the map that the model's native image size gives, whatever the actual
            size (efficientnet_pytorch). `dfb_stem_valid` is `static` with an unpadded stem, which
            the stem implements (DeepfakeBench's EfficientNet).
        size: Height and width of the map.
        kernel: Side of the kernel.
        stride: Stride in both directions.
        native: Side of this map at the model's native image size.

    Raises:
        UsageError: The flavour is unknown.
    """
    if flavour not in FLAVOURS:
        raise unknown("padding", flavour, FLAVOURS)
    if flavour == "symmetric":
        return ((kernel // 2, kernel // 2),) * 2
    if flavour == "same":
        return same_padding(size[0], kernel, stride), same_padding(size[1], kernel, stride)
    return (same_padding(native, kernel, stride),) * 2


def padded_size(size: int, kernel: int, stride: int, amount: tuple[int, int]) -> int:
    """Returns the length of a convolution's output along an axis of `size` padded by `amount`."""
    return (size + sum(amount) - kernel) // stride + 1
