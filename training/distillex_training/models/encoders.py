"""Differences between transformers encoders: names of settings, layers, first position."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from distillex_training.errors import EncoderError

PLACE_IN_LIST = re.compile(r"\.(\d+)\.")
HIDDEN_DROPOUTS = ("hidden_dropout_prob", "hidden_dropout", "dropout")
ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout")


def layer_depths(encoder: Any) -> tuple[dict[str, float], int]:
    """Tell in which layer each parameter of an encoder is.

    A layer that is used several times (ALBERT) counts where it is used last.

    Parameters
    ----------
    encoder
        A transformers model whose layers stand in a list.

    Returns
    -------
    tuple
        For each parameter 1 (the lowest layer) up to the number of layers, 0 for what is in no layer, such as
        embeddings; and the number of layers that the encoder runs.

    Raises
    ------
    EncoderError
        For an encoder without a list of layers.
    """
    stacks: dict[str, dict[str, int]] = {}
    weights: dict[str, int] = {}
    for name, parameter in encoder.named_parameters():
        if match := PLACE_IN_LIST.search(name):
            stack = name[: match.start()]
            stacks.setdefault(stack, {})[name] = int(match[1])
            weights[stack] = weights.get(stack, 0) + parameter.numel()
    if not stacks:
        raise EncoderError(f"{type(encoder).__name__}: no list of layers found in it; give layer_decay: 1.0")
    places = stacks[max(weights, key=lambda stack: weights[stack])]
    kept = max(places.values()) + 1
    # The configuration maps the names of this kind of encoder (n_layers, num_layers, …) to this one.
    count = max(kept, int(getattr(encoder.config, "num_hidden_layers", None) or kept))
    depths = {
        name: (places[name] + 1) * count / kept if name in places else 0.0 for name, _ in encoder.named_parameters()
    }
    return depths, count


def attend_plainly(encoder: Any) -> None:
    """Let an encoder compute its attention operation by operation, where transformers lets us choose."""
    choose = getattr(encoder, "set_attn_implementation", None)
    if choose is not None:
        choose("eager")


def longest_input(encoder: Any) -> int | None:
    """Return how many tokens an encoder reads, ``[CLS]`` and ``[SEP]`` included; None where it sets no limit."""
    positions = getattr(encoder.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    offset = _first_position(encoder)
    return positions - offset


def number_positions_from_our_padding(encoder: Any) -> None:
    """Make an encoder that numbers positions from its padding's id (RoBERTa) number them from ours, which is 0.

    The rows of its table of positions before that of its padding are dropped, so that each position keeps its vector.
    """
    padding = getattr(getattr(encoder, "embeddings", None), "padding_idx", None)
    if not padding or not isinstance(getattr(encoder.embeddings, "position_embeddings", None), nn.Embedding):
        return
    embeddings = encoder.embeddings
    rows = embeddings.position_embeddings.weight.data[padding:]
    table = nn.Embedding(len(rows), rows.shape[1], padding_idx=0)
    table.weight.data.copy_(rows)
    embeddings.position_embeddings = table
    embeddings.padding_idx = 0
    encoder.config.max_position_embeddings = len(rows)


def check_built_anew(encoder: Any, again: Any) -> None:
    """Check that an encoder computes the same when it is built anew from its configuration and given its weights.

    Parameters
    ----------
    encoder
        As it is trained.
    again
        As it is built when its model directory is loaded.

    Raises
    ------
    EncoderError
        Where it does not: what is trained would not be what is served.
    """
    name = type(encoder).__name__
    try:
        again.load_state_dict(encoder.state_dict())
    except RuntimeError as error:
        reason = str(error).partition("\n")[2].strip()
        raise EncoderError(f"{name}: built anew from its configuration it has other weights: {reason}") from None
    generator = torch.Generator().manual_seed(1)
    rows = encoder.get_input_embeddings().weight.shape[0]
    ids = torch.randint(1, rows, (2, min(12, longest_input(encoder) or 12)), generator=generator)
    ids[1, ids.shape[1] // 2 :] = 0
    real = ids != 0
    found, expected = (_run(each, ids, real)[real] for each in (again, encoder))
    difference = float((found - expected).abs().max())
    if not difference <= 1e-3 * max(1.0, float(expected.abs().max())):
        raise EncoderError(f"{name}: built anew from its configuration it computes other things (by {difference:.2g})")


def dropout_settings(model_type: str, hidden: float, attention: float) -> dict[str, float]:
    """Return two rates of dropout under the names that an encoder's configuration has for them.

    Raises
    ------
    EncoderError
        For an unknown kind of encoder, or a rate that it has no name for.
    """
    known = _default_config(model_type)
    settings = {}
    for names, rate, key in (
        (HIDDEN_DROPOUTS, hidden, "dropout"),
        (ATTENTION_DROPOUTS, attention, "attention_dropout"),
    ):
        name = next((name for name in names if hasattr(known, name)), None)
        if name is not None:
            settings[name] = rate
        elif rate > 0:
            raise EncoderError(
                f"{key} is {rate}; an encoder of model_type {model_type!r} has no such dropout: give 0.0"
            )
    return settings


def check_settings(model_type: str, settings: dict[str, Any]) -> None:
    """Check that a configuration of this kind knows all settings: transformers itself takes any name in silence.

    Raises
    ------
    EncoderError
        For an unknown kind of encoder, or the first name that it does not know.
    """
    known = _default_config(model_type)
    for name in settings:
        if not hasattr(known, name):
            sizes = sorted(key for key, value in known.to_dict().items() if type(value) in (int, float))
            raise EncoderError(f"encoder: {model_type} has no setting {name!r}; numbers it has: {', '.join(sizes)}")


def _default_config(model_type: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.for_model(model_type)
    except ValueError as error:
        raise EncoderError(f"encoder: {error}") from None


def _first_position(encoder: Any) -> int:
    embeddings = getattr(encoder, "embeddings", None)
    padding = getattr(embeddings, "padding_idx", None)
    return 0 if padding is None or not hasattr(embeddings, "position_embeddings") else int(padding) + 1


def _run(encoder: Any, ids: Tensor, real: Tensor) -> Tensor:
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        hidden: Tensor = encoder(input_ids=ids, attention_mask=real.long()).last_hidden_state
    encoder.train(training)
    return hidden
