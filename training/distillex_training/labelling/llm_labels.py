"""Label sentences with a language model: several at once, from the cache where they were labelled before."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from distillex_training.console import CONSOLE, is_on_a_terminal
from distillex_training.data.alignment import AlignmentReport
from distillex_training.data.records import Record
from distillex_training.errors import BadAnswer, EndpointError, NotAnswered
from distillex_training.labelling.answer_cache import AnswerCache, Kept
from distillex_training.labelling.answers import labelled, read_answer
from distillex_training.labelling.endpoint import Endpoint, EndpointOptions
from distillex_training.labelling.prompt import Prompt

LOG = logging.getLogger("distillex.training")
TRIES = 2
"""How often a sentence is asked about whose answer is bad."""
HOPELESS = 20
"""So many sentences in a row without an answer end the run; before the first answer, three. So do as many that the
server refuses, or as many as it has answered, if those are more: some texts it refuses whenever they are sent."""
LOG_EVERY_S = 30.0
COMPLETE = ("stop", "eos", "eos_token", "end_turn", "")
"""Finish reasons of an answer that is whole; of ``length`` the end is missing."""


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in whatever currency."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0


@dataclass
class Outcome:
    """What labelling gave, and what it took."""

    records: list[Record | None]
    """In the order of the texts; None: not labelled."""
    prices: Prices = field(default_factory=Prices)
    from_cache: int = 0
    asked: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    """Bad answers by kind; a sentence may have had several."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Sentences without any answer by kind."""
    retried: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    without_usage: int = 0
    """Answers of which the endpoint did not say how many tokens they took."""
    report: AlignmentReport = field(default_factory=AlignmentReport)
    seconds: float = 0.0
    stopped: str = ""
    """Why the run ended before all were asked about: the endpoint cannot be used, or no longer answers."""

    @property
    def cost(self) -> float:
        """In the currency of the prices."""
        return (self.tokens_in * self.prices.tokens_in + self.tokens_out * self.prices.tokens_out) / 1e6

    def spent(self) -> str:
        """Return tokens and cost, in words."""
        spent = f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out"
        if self.prices != Prices():
            spent += f", cost {self.cost:.4f}"
        return spent + (f" (of {self.without_usage:,} answers unknown)" if self.without_usage else "")

    def lines(self) -> list[str]:
        """One line a fact."""
        done = [record for record in self.records if record is not None]
        entities = sum(len(record.spans) for record in done)
        empty = sum(not record.spans and not record.open for record in done)
        lines = [
            f"{len(self.records):,} sentences: {len(done):,} labelled ({self.from_cache:,} of them before), "
            f"{entities:,} entities, {empty:,} sentences without any",
        ]
        if self.asked:
            rate = self.asked / max(self.seconds, 1e-9)
            again = f", {self.retried:,} requests sent again" if self.retried else ""
            lines.append(f"{self.asked:,} asked, {rate:.1f} a second{again}; {self.spent()}")
        if self.bad:
            lines.append(f"bad answers: {_listed(self.bad)}")
        if self.unanswered:
            lines.append(f"not answered: {_listed(self.unanswered)}")
        if left := len(self.records) - len(done):
            lines.append(f"{left:,} sentences are not labelled and not written; the same command asks for them again")
        return [*lines, *self.report.lines()]


def _listed(counts: Counter[str]) -> str:
    return "; ".join(f"{kind} {count:,}" for kind, count in counts.most_common())


async def label_with_llm(
    texts: Sequence[str], prompt: Prompt, options: EndpointOptions, cache: AnswerCache, prices: Prices
) -> Outcome:
    """Label sentences.

    Parameters
    ----------
    texts
        The sentences.
    prompt
        What is asked of each.
    options
        Whom to ask.
    cache
        Of good answers; those that it holds cost nothing.
    prices
        For the cost that is shown.

    Returns
    -------
    Outcome
        Also of an endpoint that cannot be used, or that has stopped answering: what it answered is there.
    """
    outcome = Outcome([None] * len(texts), prices)
    begun = time.monotonic()
    keys = [prompt.key(text, options.model, options.settings, options.shown_url) for text in texts]
    waiting = []
    for place, text in enumerate(texts):
        kept = cache.get(keys[place])
        try:
            record = _record(text, kept.content, prompt, outcome.report) if kept is not None else None
        except BadAnswer:
            record = None  # it was a good one to an earlier release
        if record is None:
            waiting.append(place)
        else:
            outcome.records[place] = record
            outcome.from_cache += 1
    if not waiting:
        return outcome
    try:
        async with Endpoint(options) as endpoint:
            run = _Run(texts, keys, prompt, endpoint, cache, outcome, len(waiting), begun)
            try:
                with run.shown():
                    await _ask_all(run, waiting, options.concurrency)
            finally:
                outcome.retried = endpoint.retried
                outcome.seconds = time.monotonic() - begun
    except EndpointError as error:
        outcome.stopped = str(error)
    return outcome


async def _ask_all(run: _Run, waiting: list[int], concurrency: int) -> None:
    # One first: what is wrong with the endpoint is said once, and the format is settled.
    while waiting and not run.asked:
        await run.label(waiting.pop(0))
    places = iter(waiting)

    async def work() -> None:
        for place in places:
            await run.label(place)

    workers = [asyncio.ensure_future(work()) for _ in range(min(concurrency, len(waiting)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _record(text: str, content: str, prompt: Prompt, report: AlignmentReport) -> Record:
    answer = read_answer(content, tuple(prompt.types))
    return labelled(text, answer, tuple(prompt.types), report, repr(text[:20]))


class _Run:
    """Labelling on its way: what is asked, counted and shown."""

    def __init__(
        self,
        texts: Sequence[str],
        keys: Sequence[str],
        prompt: Prompt,
        endpoint: Endpoint,
        cache: AnswerCache,
        outcome: Outcome,
        total: int,
        begun: float,
    ) -> None:
        self._texts, self._keys, self._prompt = texts, keys, prompt
        self._endpoint, self._cache, self._outcome = endpoint, cache, outcome
        self._total, self._begun, self._told = total, begun, begun
        self._done = 0
        self._silent = self._refused = 0
        """Sentences in a row."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=CONSOLE, transient=True, disable=not is_on_a_terminal())
        self._task = self._bar.add_task("labelling", total=total)

    @property
    def asked(self) -> int:
        """Answers of the endpoint."""
        return self._outcome.asked

    def shown(self) -> Progress:
        """Return the bar, a context manager."""
        return self._bar

    async def label(self, place: int) -> None:
        """Label one sentence, or count why not."""
        text, outcome = self._texts[place], self._outcome
        messages, schema = self._prompt.messages(text), self._prompt.schema()
        for _ in range(TRIES):
            try:
                reply = await self._endpoint.ask(messages, schema)
            except NotAnswered as error:
                outcome.unanswered[str(error)] += 1
                self._count_unanswered(error)
                break
            self._silent = self._refused = 0
            outcome.asked += 1
            outcome.tokens_in += reply.tokens_in or 0
            outcome.tokens_out += reply.tokens_out or 0
            outcome.without_usage += reply.tokens_in is None or reply.tokens_out is None
            try:
                if reply.finish_reason not in COMPLETE:
                    raise BadAnswer(f"not whole ({reply.finish_reason})")
                outcome.records[place] = _record(text, reply.content, self._prompt, outcome.report)
            except BadAnswer as error:
                outcome.bad[str(error)] += 1
            else:
                self._cache.put(self._keys[place], Kept(reply.content, reply.tokens_in, reply.tokens_out))
                break
        self._show()

    def _count_unanswered(self, error: NotAnswered) -> None:
        outcome = self._outcome
        if error.refused:
            self._silent, self._refused = 0, self._refused + 1
            if self._refused >= max(HOPELESS, outcome.asked + outcome.from_cache):
                raise EndpointError(f"{self._refused} sentences in a row refused: {error}") from None
            return
        self._silent += 1
        if self._silent >= (HOPELESS if outcome.asked else 3):
            raise EndpointError(f"{self._silent} sentences in a row without an answer: {error}") from None

    def _show(self) -> None:
        self._done += 1
        now = time.monotonic()
        rate = self._done / max(now - self._begun, 1e-9)
        told = f"{rate:.1f} a second, {self._outcome.spent()}"
        self._bar.update(self._task, advance=1, description=told)
        if self._bar.disable and now - self._told > LOG_EVERY_S:
            self._told = now
            left = (self._total - self._done) / rate / 60
            LOG.info("%d of %d sentences, %s; about %.0f minutes left", self._done, self._total, told, left)
