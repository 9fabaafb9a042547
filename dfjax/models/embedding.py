"""The projection head of contrastive pre-training, and unit vectors."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.models.layers import Dense

SHORTEST = 1e-24  # smallest squared length that vectors are divided by, as in torch


def embed(features: Float[Array, "B d"], width: int) -> Float[Array, "B e"]:
    """Returns the embeddings of clips for a contrastive loss, by a two-layer perceptron.

    In Khosla et al. (2020), "Supervised Contrastive Learning", section 3, the hidden layer is as
    wide as the features and the output has 128 channels. The head is only used in pre-training; the
    classifier is trained on the features. The function must be called inside a compact module; its
    layers are called `embedding_hidden` and `embedding_output`.

    Args:
        features: Features of the clips, the input of the classifier.
        width: Width of the output.
    """
    x = jax.nn.relu(Dense(features.shape[-1], name="embedding_hidden")(features))
    return Dense(width, name="embedding_output")(x)


def normalise(features: Float[Array, "*shape d"]) -> Float[Array, "*shape d"]:
    """Returns vectors divided by their lengths; a vector of zeros stays as it is.

    Args:
        features: Vectors along the last axis.
    """
    length = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
    return features * jax.lax.rsqrt(jnp.maximum(length, SHORTEST))
