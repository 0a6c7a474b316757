"""Reading what a process prints never ends before the process does."""

from __future__ import annotations

import subprocess
import sys
import time

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


def test_what_is_said_at_the_start_is_kept_and_shown_where_wanted():
    for shows_start in (False, True):
        shown = []
        log = ProcessLog(show=shown.append, shows_start=shows_start)
        command = [sys.executable, "-c", "print('first', flush=True); input(); print('then', flush=True)"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            log.follow(process)
            deadline = time.monotonic() + 60
            while log.last(1) != ["first"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            log.started()
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait(60) == 0
            log.finish(process)
        assert log.last(2) == ["first", "then"]
        assert shown == (["first\n", "then\n"] if shows_start else ["then\n"])
