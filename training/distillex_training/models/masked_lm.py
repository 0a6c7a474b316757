"""A masked language model: an encoder, and a head whose output table is the encoder's own embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from distillex_matcher.layout import write_atomically
from torch import Tensor, nn
from torch.nn import functional


class MaskedLanguageModel(nn.Module):
    """Encoder and head (dense, GELU, layer norm, tied decoder: Devlin et al., NAACL 2019)."""

    def __init__(self, encoder: Any, guessed: int) -> None:
        """``guessed``: the softmax runs over the first so many tokens of the vocabulary."""
        super().__init__()
        self.encoder = encoder
        self.guessed = guessed
        width = encoder.get_input_embeddings().weight.shape[1]
        self.head = nn.Linear(encoder.config.hidden_size, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(guessed))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, input_ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """Compute scores where something is to be guessed, and nowhere else.

        Parameters
        ----------
        input_ids
            *Shape:* [B, T], int64.
        mask
            True on tokens, False on padding; None says that there is no padding. *Shape:* [B, T].
        positions
            Indices into the flattened [B * T]. *Shape:* [M].

        Returns
        -------
        Tensor
            *Shape:* [M, guessed].
        """
        attention = None if mask is None else mask.long()
        hidden: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention).last_hidden_state
        picked = hidden.flatten(0, 1)[positions]
        projected = self.norm(functional.gelu(self.head(picked)))
        table = self.encoder.get_input_embeddings().weight[: self.guessed]
        return functional.linear(projected, table, self.bias)


def new_encoder(settings: dict[str, Any], vocabulary: int) -> Any:
    """Return an encoder with random weights from its transformers configuration (``model_type`` and sizes).

    Parameters
    ----------
    settings
        Those of a configuration, checked by :func:`~distillex_training.models.encoders.check_settings`.
    vocabulary
        Number of tokens; the padding is token 0.
    """
    from transformers import AutoConfig, AutoModel

    rest = {key: value for key, value in settings.items() if key != "model_type"}
    config = AutoConfig.for_model(settings["model_type"], **(rest | {"vocab_size": vocabulary, "pad_token_id": 0}))
    encoder = AutoModel.from_config(config)
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    return encoder


def save_encoder(
    encoder: Any, vocabulary: tuple[str, ...], directory: Path, settings: dict[str, Any], *, half_precision: bool
) -> None:
    """Write what ``AutoModel.from_pretrained`` and a teacher's ``encoder:`` take; each file is replaced atomically.

    Parameters
    ----------
    encoder
        A transformers model without a language-model head.
    vocabulary
        Tokens by id, written to ``vocab.txt``.
    directory
        Gets ``config.json``, ``model.safetensors``, ``vocab.txt``.
    settings
        Entries of ``config.json`` that differ from the encoder's own (the dropout of fine-tuning).
    half_precision
        Store float16; it is read as float32 all the same.
    """
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    if half_precision:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    temporary = directory / ".model.safetensors.new"
    save_file(tensors, temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)
    temporary.replace(directory / "model.safetensors")
    write_atomically(directory / "vocab.txt", "".join(token + "\n" for token in vocabulary))
    config = encoder.config.to_diff_dict() | {
        "model_type": encoder.config.model_type,
        "architectures": [type(encoder).__name__],
        "vocab_size": len(vocabulary),
        "pad_token_id": 0,
        "dtype": "float32",
        **settings,
    }
    write_atomically(directory / "config.json", json.dumps(config, ensure_ascii=False, indent=1) + "\n")
