"""A model opened to label texts with, however it is stored: trained, exported, or a network under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distillex.network_check import check_network
from distillex_matcher import CrfDecoder, FeatureLayout, Lexicon
from distillex_matcher.exported import ExportedFiles
from distillex_matcher.layout import CrfParameters

from distillex_training import processes
from distillex_training.errors import NotFiniteError
from distillex_training.evaluate import EmissionFunction, predict_with_scores, torch_emissions
from distillex_training.export.onnx import onnx_emissions, open_session
from distillex_training.models import load_model
from distillex_training.models.directory import longest_input
from distillex_training.preconditions import exported_network
from distillex_training.scored_span import ScoredSpan

EDGES = 2
"""Tokens beside the characters."""


@dataclass(frozen=True)
class OpenedModel:
    """What labels texts."""

    path: Path
    layout: FeatureLayout
    crf: CrfParameters
    decoder: CrfDecoder
    emissions_of: EmissionFunction
    longest_text: int
    """In code points."""

    @property
    def entity_types(self) -> tuple[str, ...]:
        """What it finds."""
        return self.decoder.scheme.entity_types

    def predict(self, texts: Sequence[str], base: Lexicon) -> list[list[ScoredSpan]]:
        """Return what it finds with a base lexicon.

        Raises
        ------
        NotFiniteError
            For emissions that are not finite; the message names the model.
        """
        try:
            return predict_with_scores(self.layout.featurizer(base), self.emissions_of, self.decoder, texts)
        except NotFiniteError as error:
            raise NotFiniteError(f"{self.path}: {error}") from None


def open_model(path: Path) -> OpenedModel:
    """Open the model of a folder, or a network.

    Parameters
    ----------
    path
        A model directory, which is run as it was trained; an exported model's folder; or a ``.onnx`` file, with the
        files of an exported model beside it.

    Raises
    ------
    LayoutError, ModelDirectoryError, ValueError
        For files that are missing, wrong or of two models.
    """
    network = exported_network(path)
    if network is None:
        tagger, crf, layout = load_model(path)
        tagger.to(processes.device())
        limit, parameters = longest_input(tagger, layout), crf.parameters_for_serving()
        return OpenedModel(path, layout, parameters, crf.decoder(layout), torch_emissions(tagger), limit - EDGES)
    files = ExportedFiles.beside(network)
    session = open_session(network)
    check_network(session, files)
    layout, decoder = files.layout, files.crf.decoder(files.layout)
    return OpenedModel(path, layout, files.crf, decoder, onnx_emissions(session), layout.buckets[-1] - EDGES)
