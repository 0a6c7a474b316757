"""Several models that label together: the mean of their emissions and of their CRF scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from distillex_matcher import Lexicon

from distillex_training import processes
from distillex_training.errors import ConfigError
from distillex_training.models import load_model
from distillex_training.teacher_outputs import Outputs


class Ensemble:
    """Teachers and students of the same entity types as one tagger, in bfloat16; one model alone is one, too.

    The mean of logits: Hinton et al., *Distilling the Knowledge in a Neural Network*, 2015. Each model reads the text
    in its own vocabulary.
    """

    def __init__(self, directories: Sequence[Path], base: Lexicon) -> None:
        """Load the models.

        Parameters
        ----------
        directories
            Model directories, at least one.
        base
            Lexicon that all of them read the text with.

        Raises
        ------
        ConfigError
            For a model of other entity types than the first one's.
        ModelDirectoryError
            For a directory that holds no model.
        """
        self._device = processes.device()
        loaded = [load_model(directory) for directory in directories]
        crf = loaded[0][1]
        for directory, (_, other, _) in zip(directories, loaded, strict=True):
            if other.scheme.entity_types != crf.scheme.entity_types:
                theirs, ours = (", ".join(each.scheme.entity_types) for each in (other, crf))
                raise ConfigError(f"{directory} labels {theirs}; {directories[0]}, {ours}")
        self._models = [model.to(self._device) for model, _, _ in loaded]
        self._featurizers = [layout.featurizer(base) for _, _, layout in loaded]
        states = [each.state_dict() for _, each, _ in loaded]
        crf.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
        self.entity_types = tuple(crf.scheme.entity_types)
        self.labels = len(crf.scheme)
        self.hidden_width = self._models[0].hidden_width
        self.decoder = crf.decoder()

    def outputs(self, texts: list[str]) -> Outputs:
        """Run all models on some texts; the hidden states are the first one's."""
        emissions, hidden = [], []
        for model, featurizer in zip(self._models, self._featurizers, strict=True):
            features = featurizer.featurize(texts)
            arrays = (features.input_ids, features.lexicon_types, features.lexicon_words, features.lexicon_weights)
            longest = int(features.lengths.max())
            inputs = [torch.from_numpy(array[:, :longest]).to(self._device) for array in arrays]
            with torch.no_grad(), torch.autocast(self._device.type, torch.bfloat16):
                scores, states = model.forward_with_hidden(*inputs)
            emissions.append(scores.float().cpu().numpy())
            hidden.append(states)
        mean = emissions[0] if len(emissions) == 1 else np.mean(emissions, axis=0, dtype=np.float32)
        return Outputs(texts, features.lengths, mean, hidden[0].float().cpu().numpy())
