"""An OpenAI-compatible endpoint: chat completions with structured output, retries, and a count of tokens."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import httpx2

from distillex_training.errors import EndpointError, NotAnswered

LOG = logging.getLogger("distillex.training")
PATH = "/chat/completions"
RETRIED = (408, 409, 425, 429)
"""Statuses below 500 after which the same request may be answered."""
FORMAT_REFUSED = (400, 415, 422, 501)
"""What servers answer to a response format that they do not know."""
REQUEST_REFUSED = (*FORMAT_REFUSED, 403, 413, 451)
"""What servers answer to a text that they do not take (too long, objected to), whatever they say to others."""
FORMATS = ("JSON schema", "JSON mode", "plain text")
CONNECT_S = 10.0
LONGEST_WAIT_S = 60.0
"""Between two tries, whatever the server asks for."""
SHOWN = 300
"""Characters of a server's error that are shown."""


@dataclass(frozen=True)
class EndpointOptions:
    """Where to ask, and how patiently."""

    url: str
    """With or without ``/chat/completions``."""
    model: str
    key: str | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0})
    """Further fields of the request."""
    timeout_s: float = 60.0
    retries: int = 6
    backoff_s: float = 1.0
    """Before the first retry; it doubles. Longer, up to a minute, where the server says so in ``Retry-After``."""
    concurrency: int = 8

    @property
    def full_url(self) -> str:
        """The URL that is asked."""
        url = self.url.rstrip("/")
        return url if url.endswith(PATH) else url + PATH

    @property
    def shown_url(self) -> str:
        """The URL that is asked, without a user's name and password in it."""
        scheme, separator, rest = self.full_url.rpartition("://")
        server, slash, path = rest.partition("/")
        return f"{scheme}{separator}{server.rpartition('@')[2]}{slash}{path}"


@dataclass(frozen=True)
class Reply:
    """What the model said."""

    content: str
    finish_reason: str
    tokens_in: int | None
    tokens_out: int | None


class Endpoint:
    """Asks an endpoint; a context manager."""

    def __init__(self, options: EndpointOptions) -> None:
        self._options = options
        self._url = options.shown_url
        self._format = 0
        self._pause_until = 0.0
        self._answered = False
        self.retried = 0
        """Requests that were sent again."""

    async def __aenter__(self) -> Endpoint:
        options = self._options
        if options.key and not options.key.isprintable():
            raise EndpointError("the key holds a line break or another character that no header can have")
        headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
        limits = httpx2.Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
        # The time of a whole request is limited in _send: a server that trickles never runs into these.
        timeout = httpx2.Timeout(options.timeout_s, connect=min(CONNECT_S, options.timeout_s))
        try:
            self._client = httpx2.AsyncClient(headers=headers, limits=limits, timeout=timeout)
        except UnicodeEncodeError:
            raise EndpointError("the key holds a character that is not ASCII") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Reply:
        """Ask once, as often as it takes; in JSON schema mode, JSON mode or plain text, the first that is taken.

        Which one is settled with the first answer: what is refused later is refused for its text.

        Raises
        ------
        EndpointError
            For an endpoint that cannot be used.
        NotAnswered
            Where the retries are used up, or the server refuses this request.
        """
        first = self._format
        for chosen in range(first, len(FORMATS)):
            body = {**self._options.settings, "model": self._options.model, "messages": list(messages)}
            response = await self._patiently(body | _response_format(chosen, schema))
            if response.status_code in FORMAT_REFUSED and chosen + 1 < len(FORMATS) and not self._answered:
                continue
            reply = self._reply(response)
            if chosen > self._format:
                self._format = chosen
                LOG.info("the endpoint does not take %s: asking in %s", FORMATS[first], FORMATS[chosen])
            return reply
        raise AssertionError("the last format always returns or raises")

    async def _patiently(self, body: Mapping[str, Any]) -> httpx2.Response:
        options = self._options
        kind = ""
        for attempt in range(options.retries + 1):
            if attempt:
                self.retried += 1
                LOG.debug("asking again: %s", kind)
            await self._pause()
            try:
                response = await self._send(body)
            except httpx2.UnsupportedProtocol as error:
                raise EndpointError(f"{self._url}: {error}") from None
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if not self._answered:
                    raise EndpointError(f"{self._url}: no connection ({error or 'too slow'})") from None
                kind, asked = "no connection", None
            except (httpx2.TimeoutException, asyncio.TimeoutError):
                kind, asked = f"no answer within {options.timeout_s:g} s", None
            except httpx2.TransportError as error:
                kind, asked = f"broken connection ({type(error).__name__})", None
            except (httpx2.InvalidURL, httpx2.RequestError) as error:
                raise EndpointError(f"{self._url}: {error}") from None
            else:
                if response.status_code not in RETRIED and response.status_code < 500:
                    return response
                if response.status_code in FORMAT_REFUSED:
                    return response
                kind, asked = f"HTTP {response.status_code}", response.headers.get("retry-after")
            if attempt < options.retries:
                await self._back_off(attempt, asked)
        raise NotAnswered(f"{kind}, {options.retries + 1} times" if options.retries else kind)

    async def _send(self, body: Mapping[str, Any]) -> httpx2.Response:
        return await asyncio.wait_for(self._client.post(self._options.full_url, json=body), self._options.timeout_s)

    async def _pause(self) -> None:
        while (left := self._pause_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)

    async def _back_off(self, attempt: int, asked: str | None) -> None:
        """Wait; what the server asks for holds for all requests."""
        wanted = min(asked_wait(asked), LONGEST_WAIT_S)
        self._pause_until = max(self._pause_until, asyncio.get_running_loop().time() + wanted)
        longest = min(self._options.backoff_s * 2**attempt, LONGEST_WAIT_S)
        await asyncio.sleep(max(random.uniform(0.5, 1.0) * longest, wanted))

    def _reply(self, response: httpx2.Response) -> Reply:
        status = response.status_code
        if status in (401, 402, 404) or 300 <= status < 400:
            raise EndpointError(f"{self._url}: HTTP {status}: {_error_of(response)}")
        if status != 200:
            if not self._answered and status not in REQUEST_REFUSED:
                raise EndpointError(f"{self._url}: HTTP {status}: {_error_of(response)}")
            raise NotAnswered(f"HTTP {status}: {_error_of(response)}", refused=True)
        try:
            content = response.json()
            choice = content["choices"][0]
            said = choice["message"]["content"]
            reason = choice.get("finish_reason")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            if not self._answered:
                raise EndpointError(
                    f"{self._url}: what it answers is no chat completion: {response.text[:SHOWN]!r}; the URL of an "
                    "OpenAI-compatible server ends with /v1"
                ) from None
            raise NotAnswered("no chat completion") from None
        self._answered = True
        usage = content.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        counts = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
        tokens = [count if type(count) is int else None for count in counts]
        return Reply(said if isinstance(said, str) else "", reason if isinstance(reason, str) else "", *tokens)


def asked_wait(asked: str | None) -> float:
    """Return the wait that ``Retry-After`` asks for: seconds, or a date; 0 for anything else."""
    if asked is None:
        return 0.0
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(asked) - datetime.now(timezone.utc)).total_seconds()
        except (ValueError, TypeError):  # no date, or one without a time zone
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def _response_format(chosen: int, schema: Mapping[str, Any]) -> dict[str, Any]:
    if chosen == 0:
        named = {"name": "entities", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {"response_format": {"type": "json_object"}} if chosen == 1 else {}


def _error_of(response: httpx2.Response) -> str:
    """Return what a server says of an error: the message within its JSON, or its text."""
    try:
        error = response.json()["error"]
        message = error if isinstance(error, str) else error["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text
    shown = " ".join(str(message).split())
    return shown[:SHOWN] or json.dumps(response.reason_phrase)
