"""The projection head of contrastive pre-training."""

import jax
from jaxtyping import Array, Float

from dfjax.models.layers import Dense


def embed(features: Float[Array, "B d"], width: int) -> Float[Array, "B e"]:
    """Returns what a contrastive loss compares: two layers on the features of every clip.

    Khosla et al. 2020, "Supervised Contrastive Learning", section 3: a perceptron with one hidden
    layer, as wide as the features, and an output of 128, which is thrown away after pre-training;
    the classifier is trained on the features. To be called inside a compact module, whose layers it
    makes: `embedding_hidden` and `embedding_output`.

    Args:
        features: What the classifier reads.
        width: Width of the output.
    """
    x = jax.nn.relu(Dense(features.shape[-1], name="embedding_hidden")(features))
    return Dense(width, name="embedding_output")(x)
