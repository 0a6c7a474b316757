"""Pieces of words, for encoders that were trained on them: read by the encoder's own tokenizer, pooled to characters.

A model here labels characters, and its features are those of characters. An encoder whose tokenizer has pieces
(``play ##ing``, byte-level BPE) is at home in these: letters one by one are to it a language of its own. So the text of
a row is cut into pieces again; a character has the vector of the piece that it lies in, or the mean of those that it
consists of (bytes); one that belongs to none, such as a space, that of the piece before it. Where in its piece a
character stands tells those of a piece apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distillex_training.errors import EncoderError
from distillex_training.models.encoders import longest_input

TOKENIZER_FILE = "tokenizer.json"
UNKNOWN_CHARACTER = "\U0002a6a5"
"""Stands for what our vocabulary lacks: an ideograph that hardly a tokenizer knows, and none drops."""
PLACES = ("alone", "first", "inner", "last")
"""Where in its piece a character stands."""
ALONE, FIRST, INNER, LAST = range(4)


@dataclass(frozen=True)
class PieceBatch:
    """A batch in pieces, and which of them each character is pooled from.

    A text of more pieces than the encoder reads takes several rows.
    """

    ids: Tensor
    """*Shape:* [R, P], int64."""
    mask: Tensor
    """1 on pieces, 0 on padding. *Shape:* [R, P], int64."""
    tokens: Tensor
    """Which of the B x T tokens of the batch ... *Shape:* [N], int64."""
    pieces: Tensor
    """... is pooled from which of the R x P pieces. *Shape:* [N], int64."""
    places: Tensor
    """Where in its piece each token stands. *Shape:* [B, T], int64."""


class WordPieces:
    """A tokenizer, fed with rows of our vocabulary's ids.

    Parameters
    ----------
    content
        What its ``tokenizer.json`` holds.
    vocabulary
        Our tokens by id.
    encoder
        Reads the pieces: its padding, and how many it reads at once, are theirs.

    Raises
    ------
    EncoderError
        For a tokenizer that cannot be used, or has no pieces.
    """

    def __init__(self, content: str, vocabulary: tuple[str, ...], encoder: Any) -> None:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(content)
        except Exception as error:  # tokenizers raises no other kind
            raise EncoderError(f"{TOKENIZER_FILE}: not a tokenizer: {error}") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        ends = tokenizer.encode("").ids
        if len(ends) != 2:
            raise EncoderError(f"its tokenizer puts {len(ends)} tokens around a text; 2 are accepted, one at each end")
        self.content = content
        self._tokenizer: Any = tokenizer
        self._begin, self._end = ends
        self._padding = encoder.config.pad_token_id or 0
        longest = longest_input(encoder)
        self._room = None if longest is None else longest - len(ends)
        self._characters = [_seen(token) for token in vocabulary]

    def of_characters(self) -> list[list[int]]:
        """Return the pieces of each token of our vocabulary alone."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(self._characters, add_special_tokens=False)]

    def rows(self) -> dict[str, int]:
        """Return the encoder's row of each piece."""
        rows: dict[str, int] = self._tokenizer.get_vocab()
        return rows

    def batch(self, input_ids: Tensor) -> PieceBatch:
        """Cut the texts of a batch into pieces.

        Parameters
        ----------
        input_ids
            Ids of characters between ``[CLS]`` and ``[SEP]``, then padding. *Shape:* [B, T].
        """
        rows = input_ids.tolist()
        lengths = (input_ids != 0).sum(dim=1).tolist()
        texts = [
            "".join(self._characters[token] for token in row[1 : length - 1])
            for row, length in zip(rows, lengths, strict=True)
        ]
        sent: list[list[int]] = []
        pairs: list[tuple[int, tuple[int, int]]] = []
        places = torch.zeros(input_ids.shape, dtype=torch.int64)
        width = input_ids.shape[1]
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        for number, (encoding, length) in enumerate(zip(encodings, lengths, strict=True)):
            first = len(sent)
            where = self._put(encoding.ids, sent)
            if length == 0:
                continue
            of_characters: list[list[tuple[int, int]]] = [[] for _ in range(length - 2)]
            for place, (start, end) in zip(where, encoding.offsets, strict=True):
                for character in range(start, end):
                    of_characters[character].append(place)
                    places[number, character + 1] = _place(character, start, end)
            before = [(first, 0)]
            begin = number * width
            pairs.append((begin, before[0]))
            for character, found in enumerate(of_characters, start=1):
                before = found or before[-1:]
                pairs += [(begin + character, place) for place in before]
            pairs.append((begin + length - 1, (len(sent) - 1, len(sent[-1]) - 1)))
        longest = max(map(len, sent))
        ids = torch.full((len(sent), longest), self._padding)
        mask = torch.zeros_like(ids)
        for number, pieces in enumerate(sent):
            ids[number, : len(pieces)] = torch.tensor(pieces)
            mask[number, : len(pieces)] = 1
        device = input_ids.device
        return PieceBatch(
            ids.to(device),
            mask.to(device),
            torch.tensor([token for token, _ in pairs], dtype=torch.int64, device=device),
            torch.tensor([row * longest + at for _, (row, at) in pairs], dtype=torch.int64, device=device),
            places.to(device),
        )

    def _put(self, pieces: list[int], sent: list[list[int]]) -> list[tuple[int, int]]:
        """Append the rows of a text's pieces; return row and column of each piece."""
        room = self._room or max(1, len(pieces))
        where = []
        for begin in range(0, max(1, len(pieces)), room):
            part = pieces[begin : begin + room]
            where += [(len(sent), 1 + at) for at in range(len(part))]
            sent.append([self._begin, *part, self._end])
        return where


class PooledPieces(nn.Module):
    """Runs an encoder on pieces and gives each character its vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.places = nn.Embedding(len(PLACES), width)
        nn.init.zeros_(self.places.weight)

    def forward(self, encoder: nn.Module, batch: PieceBatch) -> Tensor:
        """Return the vectors of characters. *Shape:* [B, T, width]."""
        vectors: Tensor = encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        chosen = vectors.flatten(0, 1)[batch.pieces]
        tokens = batch.places.numel()
        pooled = chosen.new_zeros(tokens, chosen.shape[1]).index_add(0, batch.tokens, chosen)
        counts = torch.bincount(batch.tokens, minlength=tokens).clamp(min=1).to(pooled.dtype)
        mean = (pooled / counts[:, None]).view(*batch.places.shape, -1)
        placed: Tensor = mean + self.places(batch.places).to(mean.dtype)
        return placed


def pieces_of_encoder(name_or_path: str | Path, vocabulary: tuple[str, ...], encoder: Any) -> WordPieces:
    """Return the pieces of a pretrained encoder's tokenizer; parameters as of :class:`WordPieces`.

    Raises
    ------
    EncoderError
        For an encoder whose tokenizer cannot be read, or has no pieces longer than a character.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path)
        content = tokenizer.backend_tokenizer.to_str()
    except (AttributeError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise EncoderError(f"word_pieces: the tokenizer of {name_or_path} cannot be used: {reason}") from None
    return checked_pieces(content, name_or_path, vocabulary, encoder)


def checked_pieces(content: str, name_or_path: str | Path, vocabulary: tuple[str, ...], encoder: Any) -> WordPieces:
    """Return a tokenizer's pieces.

    Raises
    ------
    EncoderError
        For one that cannot be used, or has no piece longer than a character; names the encoder.
    """
    try:
        pieces = WordPieces(content, vocabulary, encoder)
    except EncoderError as error:
        raise EncoderError(f"word_pieces: {name_or_path}: {error}") from None
    if not count_pieces(pieces.rows()):
        raise EncoderError(f"word_pieces: the tokenizer of {name_or_path} has characters alone: give false")
    return pieces


def count_pieces(tokens: Iterable[str]) -> int:
    """Return how many of a tokenizer's tokens stand for several characters; special ones do not count."""
    return sum(len(token.removeprefix("##").lstrip("▁Ġ")) > 1 and not _is_special(token) for token in tokens)


def _is_special(token: str) -> bool:
    return (token[:1], token[-1:]) in (("[", "]"), ("<", ">"))


def _seen(token: str) -> str:
    """Return the character of the text that a token of ours stands for."""
    if token == "▁":
        return " "
    return token if len(token) == 1 else UNKNOWN_CHARACTER


def _place(character: int, start: int, end: int) -> int:
    if end - start == 1:
        return ALONE
    return FIRST if character == start else LAST if character == end - 1 else INNER
