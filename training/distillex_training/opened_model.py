"""A model of either kind, trained or exported, opened to label texts with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distillex.network_check import check_network
from distillex_matcher import CrfDecoder, FeatureLayout
from distillex_matcher.exported import ExportedFiles
from distillex_matcher.layout import CrfParameters

from distillex_training.evaluate import EmissionFunction, torch_emissions
from distillex_training.export.onnx import onnx_emissions, open_session
from distillex_training.models import load_model
from distillex_training.models.directory import exported_network, longest_input


@dataclass(frozen=True)
class OpenedModel:
    """What labels texts."""

    layout: FeatureLayout
    crf: CrfParameters
    decoder: CrfDecoder
    emissions_of: EmissionFunction
    longest_input: int
    """Tokens that it reads at once, ``[CLS]`` and ``[SEP]`` included."""


def open_model(path: Path) -> OpenedModel:
    """Open a model's folder, or an exported network; a folder that holds both is opened as it was trained.

    Raises
    ------
    LayoutError, ModelDirectoryError, NetworkError, OSError
        For one that is missing or wrong.
    """
    network = exported_network(path)
    if network is not None:
        files = ExportedFiles.beside(network)
        session = open_session(network)
        check_network(session, files)
        layout = files.layout
        return OpenedModel(layout, files.crf, files.crf.decoder(layout), onnx_emissions(session), layout.buckets[-1])
    tagger, crf, layout = load_model(path)
    parameters = crf.parameters_for_serving()
    return OpenedModel(layout, parameters, crf.decoder(layout), torch_emissions(tagger), longest_input(tagger, layout))
