"""A student in the form that ONNX Runtime's CPU runs fastest: the same emissions from fewer and cheaper operators.

A run of one text consists of many small operators, each of which costs a microsecond or two before it computes
anything; a run of a batch, of passes over memory beside the products. So constants are multiplied into one another
where the network allows, and nothing is copied that can be read where it lies:

* the projection of the lexicon features becomes part of the two products that read it;
* the head reads hidden states and lexicon features with a product each: nothing is joined;
* value and gate of a gated convolution are a convolution each: nothing is split;
* a bigram owns a row if its first character does: the row and the first character tell the second.
"""

from __future__ import annotations

import copy

import onnx
import torch
from distillex_matcher import FeatureLayout
from torch import Tensor, nn
from torch.nn import functional

from distillex_training.export.quantize import HalfEmbedding
from distillex_training.export.slots import slots
from distillex_training.models import Student
from distillex_training.models.owners import owned_rows
from distillex_training.models.student import BIGRAM_FACTOR, GatedConvolution


class TwoConvolutions(nn.Module):
    """A gated convolution whose value and gate are a convolution each."""

    def __init__(self, layer: GatedConvolution) -> None:
        super().__init__()
        self.norm = layer.norm
        self.value, self.gate = _halves(layer.convolution)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """*Shape:* hidden [B, T, W], mask [B, T, 1] float → [B, T, W]."""
        inputs = (hidden * mask).transpose(1, 2)
        value, gate = self.value(inputs).transpose(1, 2), self.gate(inputs).transpose(1, 2)
        normed: Tensor = self.norm(hidden + value * torch.sigmoid(gate))
        return normed


def _halves(both: nn.Conv1d) -> list[nn.Conv1d]:
    assert both.bias is not None
    halves = []
    for weight, bias in zip(both.weight.detach().chunk(2), both.bias.detach().chunk(2), strict=True):
        half = copy.deepcopy(both)
        half.out_channels = len(weight)
        half.weight, half.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        halves.append(half)
    return halves


class CpuStudent(nn.Module):
    """Features → emissions, as the student it is made of computes them."""

    real: Tensor
    """1 for each token, 0 for padding. *Shape:* [vocabulary, 1]."""
    first_owners: Tensor | None
    """First token of the bigram that owns a row; None where that does not tell the bigram. *Shape:* [rows], int32."""

    def __init__(self, student: Student, layout: FeatureLayout) -> None:
        """``layout``: of the features that are read; its word ids are taken as rows where the table has as many."""
        super().__init__()
        self.student = student = copy.deepcopy(student).eval()
        self.config = config = student.config
        self.folds_words = student.fusion.word_owners is not None or layout.word_hash_size > config.word_hash_size
        self.project, lexicon_part = _absorb(student.project, student.fusion.project)
        self.project.weight.data = torch.cat([self.project.weight, lexicon_part.weight], dim=1).detach()
        self.head, self.lexicon_head = _absorb(student.head, student.fusion.project)
        self.register_buffer("real", (torch.arange(config.vocabulary) != 0).float().unsqueeze(1))
        for number, layer in enumerate(student.layers):
            if isinstance(layer, GatedConvolution):
                student.layers[number] = TwoConvolutions(layer)
        owners = student.bigram_owners
        if config.vocabulary > config.bigram_hash_size:
            owners = None
        self.register_buffer("first_owners", None if owners is None else student.characters_of(owners)[0])

    def forward(
        self, input_ids: Tensor, lexicon_types: Tensor, lexicon_words: Tensor, lexicon_weights: Tensor
    ) -> Tensor:
        """*Shape:* as of the student."""
        student = self.student
        rows = student.fusion.word_rows(lexicon_words) if self.folds_words else lexicon_words
        lexicon = slots(lexicon_types, rows, lexicon_weights, student.fusion.type_embedding.weight, self._word_table())
        # Before the layers: the last products are those of the head and the tags (see int8.quantizable_nodes).
        lexicon_part = self.lexicon_head(lexicon)
        inputs = [student.character_embedding(input_ids), *self._grams(input_ids), lexicon]
        hidden = student.encode(self.project(torch.cat(inputs, dim=-1)), functional.embedding(input_ids, self.real))
        emissions: Tensor = student.tag(functional.gelu(self.head(hidden) + lexicon_part, approximate="tanh"))
        return emissions

    def _word_table(self) -> Tensor:
        table = self.student.fusion.word_embedding
        return table.rows if isinstance(table, HalfEmbedding) else table.weight

    def _grams(self, input_ids: Tensor) -> list[Tensor]:
        student = self.student
        bigrams = self._bigram_rows(input_ids)
        after = student.bigram_embedding(bigrams)
        grams = [_moved(after, 1), after]
        if student.trigram_embedding is not None:
            trigrams = (bigrams * BIGRAM_FACTOR + functional.pad(input_ids, (-2, 2))) % self.config.trigram_hash_size
            after = student.trigram_embedding(trigrams)
            grams += [_moved(after, 2), after]
        return grams

    def _bigram_rows(self, input_ids: Tensor) -> Tensor:
        if self.first_owners is None:
            return self.student.bigram_rows(input_ids)
        rows = (input_ids * BIGRAM_FACTOR + functional.pad(input_ids, (-1, 1))) % self.config.bigram_hash_size
        return owned_rows(input_ids, rows, self.first_owners)


def _moved(vectors: Tensor, distance: int) -> Tensor:
    """Move vectors to the tokens behind. One operator: padding of a negative width cuts."""
    return functional.pad(vectors, (0, 0, distance, -distance))


def _absorb(reader: nn.Linear, lexicon: nn.Linear) -> tuple[nn.Linear, nn.Linear]:
    """Divide a product over [others, projected lexicon] into two.

    The first is over the others and has all of the bias; the second is over the lexicon features before projection.
    """
    weight, bias = reader.weight.detach().double(), reader.bias.detach().double()
    others, projected = weight[:, : -lexicon.out_features], weight[:, -lexicon.out_features :]
    rest = nn.Linear(others.shape[1], reader.out_features)
    part = nn.Linear(lexicon.in_features, reader.out_features, bias=False)
    rest.weight.data, rest.bias.data = others.float(), (bias + projected @ lexicon.bias.detach().double()).float()
    part.weight.data = (projected @ lexicon.weight.detach().double()).float()
    return rest, part


def keep_residuals_apart(graph: onnx.GraphProto) -> None:
    """Write the additions in front of layer norms as Sum, in place; same numbers.

    ONNX Runtime fuses Add and LayerNormalization into an operator that is scalar on a CPU: the network of a batch takes
    1.5 times as long with it. Sum it leaves alone, whatever the session's options.
    """
    normed = {node.input[0] for node in graph.node if node.op_type == "LayerNormalization"}
    for node in graph.node:
        if node.op_type == "Add" and node.output[0] in normed:
            node.op_type = "Sum"
