"""One stage of load: so many users for so long against one model, driven by Locust in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from resources import Sampler

LOCUSTFILE = Path(__file__).resolve().parent / "locustfile.py"
START, STOP = "#start", "#stop"
LONGEST_DRAIN_S = 60
"""Calls in flight at the end of a stage may take so long; they are not counted."""


class StageError(RuntimeError):
    """Locust did not run, or no call ended in a stage; the message holds Locust's own words."""


@dataclass(frozen=True)
class Stage:
    """What to run."""

    model: str
    users: int
    seconds: float
    settle_s: float = 1.0
    """So much of the beginning is not counted."""
    user_rate: float = 0.0
    """Calls a second of each user; 0: the next call follows the answer at once."""
    seed: int = 1
    shares: dict[str, float] | None = None
    """Other shares than those of traffic.py."""


@dataclass(frozen=True)
class StageResult:
    """What was measured in a stage."""

    model: str
    users: int
    seconds: float
    calls: int
    texts: int
    errors: int
    error_messages: dict[str, int]
    latencies_ms: list[float] = field(repr=False)
    kinds: list[str] = field(repr=False)
    cpu_cores: dict[str, float]
    """Cores in use, by process."""

    @property
    def calls_per_s(self) -> float:
        """Answered calls a second."""
        return self.calls / self.seconds

    @property
    def texts_per_s(self) -> float:
        """Answered texts (sentences) a second."""
        return self.texts / self.seconds

    def percentile(self, percent: float, kind: str | None = None) -> float:
        """Return a percentile of the latency in ms, of all calls or of one kind; nan where there was none."""
        chosen = [ms for ms, of in zip(self.latencies_ms, self.kinds, strict=True) if kind is None or of == kind]
        return float(np.percentile(chosen, percent)) if chosen else float("nan")

    def summary(self) -> dict[str, Any]:
        """Return the figures for a report, without the single calls."""
        figures = asdict(self)
        del figures["latencies_ms"], figures["kinds"]
        return figures | {
            "calls_per_s": self.calls_per_s,
            "texts_per_s": self.texts_per_s,
            "p50_ms": self.percentile(50),
            "p95_ms": self.percentile(95),
            "p99_ms": self.percentile(99),
            "single_p50_ms": self.percentile(50, "single"),
            "single_p99_ms": self.percentile(99, "single"),
        }


def run_stage(stage: Stage, url: str, sampler: Sampler | None = None) -> StageResult:
    """Run a stage against the server at ``host:port``.

    Parameters
    ----------
    stage
        What to run.
    url
        gRPC address.
    sampler
        Running; Locust's process is added to what it watches.

    Raises
    ------
    StageError
        When Locust fails or no call ended.
    """
    if importlib.util.find_spec("locust") is None:
        raise StageError("locust is not installed: pip install 'distillex[load]'")
    with tempfile.TemporaryDirectory(prefix="distillex-load-") as folder:
        record = Path(folder) / "calls.csv"
        process = subprocess.Popen(
            _command(stage, url, record), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if sampler is not None:
            sampler.watch("client", process.pid)
        try:
            output, _ = process.communicate(timeout=stage.seconds + LONGEST_DRAIN_S + 60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise StageError(
                f"{stage.users} users of {stage.model}: locust did not stop; {process.communicate()[0]}"
            ) from None
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            if sampler is not None:
                sampler.forget("client")
        # 1: some calls failed; the record has the details.
        if process.returncode not in (0, 1) or not record.exists():
            raise StageError(f"locust ended with code {process.returncode}:\n{output[-2000:]}")
        lines = record.read_text(encoding="utf-8").splitlines()
    return read_record(lines, stage, sampler)


def read_record(lines: Sequence[str], stage: Stage, sampler: Sampler | None = None) -> StageResult:
    """Turn the lines that locustfile.py recorded into figures: calls that ended between settling and the stop."""
    rows = [line.split(",", 4) for line in lines]
    moments = {kind: float(end) for end, kind, *_ in rows if kind in (START, STOP)}
    if set(moments) != {START, STOP}:
        raise StageError(f"{stage.users} users of {stage.model}: the stage was cut short ({len(rows)} calls)")
    begin, stop = moments[START] + stage.settle_s, moments[STOP]
    within = [row for row in rows if begin <= float(row[0]) <= stop and row[1] not in (START, STOP)]
    if not within or stop <= begin:
        raise StageError(f"{stage.users} users of {stage.model}: no call ended within {stage.seconds} s; use --seconds")
    good = [row for row in within if not row[4]]
    failed = Counter(row[4] for row in rows if row[4])
    return StageResult(
        model=stage.model,
        users=stage.users,
        seconds=stop - begin,
        calls=len(good),
        texts=sum(int(row[2]) for row in good),
        errors=failed.total(),
        error_messages=dict(failed.most_common(5)),
        latencies_ms=[float(row[3]) for row in good],
        kinds=[row[1] for row in good],
        cpu_cores=sampler.cores_between(begin, stop) if sampler is not None else {},
    )


def _command(stage: Stage, url: str, record: Path) -> list[str]:
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    command += ["--users", str(stage.users), "--spawn-rate", str(max(stage.users, 1)), "--host", url]
    command += ["--stage-seconds", str(stage.seconds + stage.settle_s), "--stop-timeout", str(LONGEST_DRAIN_S)]
    command += ["--model", stage.model, "--record", str(record), "--seed", str(stage.seed), "--loglevel", "WARNING"]
    command += ["--user-rate", str(stage.user_rate)]
    if stage.shares is not None:
        command += ["--kinds", json.dumps(stage.shares)]
    return command
