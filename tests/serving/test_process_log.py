"""Reading what a process prints never ends before the process does."""

from __future__ import annotations

import subprocess
import sys

from distillex_serving.process_log import ProcessLog

MUCH = 'import sys\nfor i in range(20000): print("line", i)'


def test_a_process_is_read_on_when_nobody_reads_our_own_output():
    def show(line):
        raise BrokenPipeError(32, "Broken pipe")

    log = ProcessLog(show=show)
    process = subprocess.Popen([sys.executable, "-c", MUCH], stdout=subprocess.PIPE, text=True)
    try:
        log.follow(process)
        assert process.wait(60) == 0
        log.finish(process)
    finally:
        process.kill()
    assert log.last(1) == ["line 19999"]
