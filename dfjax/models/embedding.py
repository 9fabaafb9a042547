"""The projection head of contrastive pre-training."""

import jax
from jaxtyping import Array, Float

from dfjax.models.layers import Dense


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
