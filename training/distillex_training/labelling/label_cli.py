"""Command ``distillex label``; what it needs is imported on use."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from distillex.command.options import fail
from distillex_matcher import Lexicon

from distillex_training.console import log_to_standard_error
from distillex_training.preconditions import read_base, types_of_directory, wrong_use

if TYPE_CHECKING:
    from distillex_training.data.records import Record
    from distillex_training.labelling.endpoint import EndpointOptions
    from distillex_training.labelling.llm_labels import Outcome
    from distillex_training.labelling.prompt import Prompt

EXIT_WRONG_USE = 2
EXIT_INTERRUPTED = 130


def label(
    raw: Annotated[
        list[Path],
        typer.Argument(
            exists=True, dir_okay=False, help="Text, one sentence per line, or .jsonl files, whose texts are read."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Labelled JSON Lines to write.")],
    model: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Directory of a teacher or student; repeat for several that label together.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1.")
    ] = None,
    llm: Annotated[str | None, typer.Option(help="Name of the endpoint's model.")] = None,
    types: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="YAML file with a line `name: what it is` per entity type."),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A few labelled sentences (JSON Lines) that the LLM is shown."),
    ] = None,
    prompt: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File with your own instruction; {types} stands for the types."),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Ask the LLM how sure it is of each entity.")] = False,
    request: Annotated[
        str, typer.Option(help='More fields for each request, as JSON: \'{"temperature": 0, "max_tokens": 500}\'.')
    ] = '{"temperature": 0}',
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the endpoint's key; unset: no key is sent.")
    ] = "OPENAI_API_KEY",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 60.0,
    retries: Annotated[int, typer.Option(min=0, help="Retries after 429, 5xx or a timeout.")] = 6,
    backoff: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds before the first retry, doubled for each further one; a longer Retry-After wins."
        ),
    ] = 1.0,
    price_in: Annotated[float, typer.Option(min=0, help="Price of a million prompt tokens.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="Price of a million answer tokens.")] = 0.0,
    limit: Annotated[int, typer.Option(min=0, help="Number of sentences to label; 0: all.")] = 0,
    longest: Annotated[int, typer.Option(min=1, help="Skip sentences longer than this many code points.")] = 510,
    cache: Annotated[
        Path,
        typer.Option(
            help="Folder for answers, so that no sentence is sent to an LLM twice; a model's labels are "
            "stored per set of sentences."
        ),
    ] = Path("runs/label-cache"),
    base: Annotated[
        Path | None, typer.Option(help="Compiled base lexicon for --model; default: the shipped one.")
    ] = None,
) -> None:
    """Label raw text with an LLM (--endpoint) or a model (--model), for `distillation.labels`. Resumes."""
    from distillex_training.data.raw import read_raw

    log_to_standard_error()
    if bool(model) == (endpoint is not None):
        fail("label", "give either --model or --endpoint: who is to label", EXIT_WRONG_USE)
    _check_output(output, (*raw, types, examples, prompt, base))
    asked = (prompt, examples, scores)
    if model and (llm is not None or types is not None or any(each for each in asked)):
        fail(
            "label",
            "--llm, --types, --examples, --prompt and --scores go with --endpoint, not with --model",
            EXIT_WRONG_USE,
        )
    if not model and (llm is None or types is None):
        fail("label", "--endpoint needs --llm, the name of its model, and --types, what to look for", EXIT_WRONG_USE)
    with wrong_use("label"):
        for each in model or ():
            types_of_directory(each)
        lexicon = read_base(base)
        question = None if types is None else _prompt(types, examples, prompt, scores)
        texts, longer = read_raw(raw, max_length=longest)
    stopped = ""
    try:
        if model:
            from distillex_training.labelling.model_labels import longest_text

            longest = min(longest, longest_text(model))
            read = [text for text in texts if len(text) <= longest]
            longer += len(texts) - len(read)
            texts = read
        texts = texts[:limit] if limit else texts
        if longer:
            typer.echo(f"{longer:,} sentences of more than {longest} code points left out")
        if model:
            records: Sequence[Record | None] = _by_models(texts, model, lexicon, cache)
            lines = [f"{len(texts):,} sentences labelled, {sum(len(r.spans) for r in records if r):,} entities"]
        else:
            assert endpoint is not None
            assert llm is not None
            assert question is not None
            patience = {"timeout_s": timeout, "retries": retries, "backoff_s": backoff, "concurrency": concurrency}
            options = _options(endpoint, llm, request, key_variable, patience)
            outcome = _by_llm(texts, question, options, cache, price_in, price_out)
            records, lines, stopped = outcome.records, outcome.lines(), outcome.stopped
    except (OSError, ValueError) as error:
        fail("label", str(error))
    for line in lines:
        typer.echo(line)
    done = [record for record in records if record is not None]
    if stopped:
        stopped += f"; what was answered is kept in {cache}, and the same command goes on from there"
    if not done:
        fail("label", stopped or "no sentence was labelled; nothing is written")
    _write(output, done)
    if stopped:
        fail("label", stopped)


def _write(output: Path, records: Sequence[Record]) -> None:
    from distillex_training.data.formats.own import write_records

    try:
        write_records(output, records)
    except OSError as error:
        fail("label", f"{output}: {error.strerror}; the answers are kept in the cache")
    typer.echo(f"{output}: {len(records):,} sentences")


def _check_output(output: Path, inputs: Sequence[Path | None]) -> None:
    """Refuse before any work what could not be written, or would overwrite what is read."""
    from distillex_training.data.kept_inputs import is_input

    if output.is_dir():
        fail("label", f"--output: {output} is a folder; a file is written", EXIT_WRONG_USE)
    if is_input(output, inputs):
        fail("label", f"--output: {output} is an input", EXIT_WRONG_USE)


def _by_models(texts: Sequence[str], models: list[Path], lexicon: Lexicon, cache: Path) -> list[Record]:
    from distillex_matcher import LayoutError, LexiconError

    from distillex_training.errors import ConfigError, ModelDirectoryError, NotFiniteError
    from distillex_training.labelling.model_labels import label_with_models

    try:
        return label_with_models(texts, models, lexicon, cache)
    except (ConfigError, LayoutError, LexiconError, ModelDirectoryError, NotFiniteError) as error:
        fail("label", str(error))
    except KeyboardInterrupt:
        fail("label", "interrupted; the same command goes on", EXIT_INTERRUPTED)


def _prompt(types: Path, examples: Path | None, instruction: Path | None, scores: bool) -> Prompt:
    from distillex_training.labelling.prompt import INSTRUCTION, Prompt, read_examples, read_instruction, read_types

    named = read_types(types)
    shown = read_examples(examples, named) if examples is not None else []
    text = read_instruction(instruction) if instruction is not None else INSTRUCTION
    return Prompt(named, shown, text, scores)


def _options(url: str, llm: str, request: str, key_variable: str, patience: dict[str, Any]) -> EndpointOptions:
    from distillex_training.labelling.endpoint import EndpointOptions

    try:
        settings: Any = json.loads(request)
    except ValueError as error:
        fail("label", f"--request: {request!r} is not JSON: {error}", EXIT_WRONG_USE)
    if not isinstance(settings, dict) or settings.keys() & {"messages", "model", "response_format", "stream"}:
        fail(
            "label",
            f"--request: {request!r}; an object of further fields is accepted, not messages, model, response_format "
            "or stream",
            EXIT_WRONG_USE,
        )
    key = os.environ.get(key_variable, "").strip() or None
    return EndpointOptions(url, llm, key, settings, **patience)


def _by_llm(
    texts: Sequence[str], prompt: Prompt, options: EndpointOptions, cache: Path, price_in: float, price_out: float
) -> Outcome:
    from distillex_training.labelling.answer_cache import AnswerCache
    from distillex_training.labelling.llm_labels import Prices, label_with_llm

    answers = AnswerCache(cache)
    try:
        return asyncio.run(label_with_llm(texts, prompt, options, answers, Prices(price_in, price_out)))
    except KeyboardInterrupt:
        fail(
            "label",
            f"interrupted; what was answered is kept in {answers.path}: the same command goes on",
            EXIT_INTERRUPTED,
        )
    finally:
        answers.close()
