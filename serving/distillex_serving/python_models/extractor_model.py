"""Triton Python model, texts → entities: the whole pipeline in one process, for a student or a teacher."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import triton_python_backend_utils as pb_utils
from distillex.errors import DeviceError
from distillex.lexicon_rights import LexiconRights
from distillex.pipeline import Answers, Pipeline
from distillex_matcher import LayoutError, LexiconError
from distillex_matcher.lexicon_store import LexiconStore

from distillex_serving.python_models.answers import guarded, log_to_triton, log_unexpected, refusal, refused_row
from distillex_serving.python_models.callers import Callers
from distillex_serving.python_models.periodic import NOT_LET_GO, TIDY_PERIOD_S, Periodic
from distillex_serving.python_models.settings import ModelSettings
from distillex_serving.python_models.tensors import bytes_tensor, optional_rows_of, rows_of
from distillex_serving.python_models.text_metrics import TextMetrics

SENTENCE = "the text could not be extracted"
EXIT_DEVICE_LOST = 1


class ExtractorModel:
    """TEXT, LEXICON, LEXICON_NAME, TRUST → ENTITIES, LEXICON_VERSION. Contract: docs/reference/tensors.md."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Open the model and the base lexicon; fails with one sentence where a file is missing or wrong."""
        log_to_triton()
        settings = ModelSettings.of(args)
        self._name = settings.name
        self._callers = Callers.of_environment(settings.name)
        try:
            self._pipeline = Pipeline(
                settings.folder,
                LexiconStore(settings.lexicon_directory),
                settings.options,
                settings.limits,
                settings.device,
            )
        except (LayoutError, LexiconError, DeviceError) as error:
            raise pb_utils.TritonModelException(f"{settings.name} cannot start: {error}") from None
        self._metrics = TextMetrics(settings.name, self._pipeline.entity_types)
        self._tidying = Periodic(self._pipeline.lexicons.let_go_of_removed, TIDY_PERIOD_S, NOT_LET_GO)
        pb_utils.Logger.log_info(f"{settings.name}: the network runs on {self._pipeline.where}")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; the texts of all are computed together."""
        count = self._metrics.count_refused_request
        read = [guarded(self._name, SENTENCE, self._read, request, count) for request in requests]
        answered = iter(self._answered([each for each in read if isinstance(each, _Rows)]))
        return [next(answered) if isinstance(each, _Rows) else each for each in read]

    def finalize(self) -> None:
        """End the threads, after a last report of the counts to Triton."""
        self._tidying.stop()
        self._metrics.stop()

    def _read(self, request: Any) -> _Rows:
        return _Rows.of(request, self._callers.rights_of(request) if self._callers is not None else None)

    def _answered(self, requests: list[_Rows]) -> list[Any]:
        if len(requests) > 1:
            try:
                return self._answers(requests)
            except Exception as error:  # one request's surprise must not fail the others: each says its own
                log_unexpected(self._name, error)
        return [guarded(self._name, SENTENCE, lambda rows: self._answers([rows])[0], each) for each in requests]

    def _answers(self, requests: list[_Rows]) -> list[Any]:
        texts = [text for request in requests for text in request.texts]
        try:
            answers = self._pipeline.answer(
                texts,
                names=_joined(requests, "names"),
                words=_joined(requests, "words"),
                trusts=_joined(requests, "trusts"),
                rights=None if self._callers is None else [each.rights for each in requests for _ in each.texts],
            )
        except DeviceError as error:
            # A GPU that failed once answers nothing more in this process. Another one is started in its place.
            log_unexpected(self._name, error)
            os._exit(EXIT_DEVICE_LOST)
        self._metrics.count_rows(texts, answers.refused, answers.request_words)
        self._metrics.count_entities(answers.entities)
        responses, begin = [], 0
        for request in requests:
            end = begin + len(request.texts)
            responses.append(_response(request, answers, begin, end))
            begin = end
        return responses


@dataclass(frozen=True)
class _Rows:
    """What one request brings."""

    texts: list[bytes]
    names: list[bytes] | None
    words: list[bytes] | None
    trusts: list[bytes] | None
    wants_versions: bool
    rights: LexiconRights | None
    """None: any named lexicon."""

    @staticmethod
    def of(request: Any, rights: LexiconRights | None) -> _Rows:
        texts = rows_of(request, "TEXT")
        rows = len(texts)
        return _Rows(
            texts,
            optional_rows_of(request, "LEXICON_NAME", rows),
            optional_rows_of(request, "LEXICON", rows),
            optional_rows_of(request, "TRUST", rows),
            "LEXICON_VERSION" in request.requested_output_names(),
            rights,
        )


def _joined(requests: list[_Rows], field: str) -> list[bytes] | None:
    columns = [getattr(request, field) for request in requests]
    if all(column is None for column in columns):
        return None
    rows = [column or [b""] * len(request.texts) for column, request in zip(columns, requests, strict=True)]
    return [value for column in rows for value in column]


def _response(request: _Rows, answers: Answers, begin: int, end: int) -> Any:
    entities = answers.entities[begin:end]
    for row, problem in enumerate(answers.refused[begin:end]):
        if problem is not None:
            if len(entities) == 1:
                return refusal(problem.message)
            entities[row] = refused_row(problem.message)
    outputs = [bytes_tensor("ENTITIES", entities)]
    if request.wants_versions:
        # A tensor costs as much as a third of the decoder: most callers do without this one.
        outputs.append(bytes_tensor("LEXICON_VERSION", [label.encode() for label in answers.labels[begin:end]]))
    return pb_utils.InferenceResponse(outputs)
