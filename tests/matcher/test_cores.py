"""Threads are counted by what a process may use: affinity and CPU quota."""

import os
import subprocess
import sys

import pytest
from distillex_matcher.cores import usable_cores


@pytest.fixture
def process(tmp_path, monkeypatch):
    """A process with 16 cores by affinity, and its control groups: ``process(cgroup, mounts, files)``."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))

    def write(cgroup, mounts, files):
        (tmp_path / "cgroup").write_text(cgroup)
        lines = [
            f"31 23 0:28 {root} {tmp_path}/{at} rw - {kind} {kind} rw,{options}" for root, at, kind, options in mounts
        ]
        (tmp_path / "mountinfo").write_text("22 1 0:20 / / rw shared:1 - ext4 /dev/vda rw\n" + "\n".join(lines) + "\n")
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n")
        return tmp_path

    return write


UNIFIED = [("/", "unified", "cgroup2", "nsdelegate")]
SEPARATE = [("/", "memory", "cgroup", "memory"), ("/", "cpu", "cgroup", "cpu,cpuacct")]


@pytest.mark.parametrize(
    ("cgroup", "mounts", "files", "expected"),
    [
        ("0::/", UNIFIED, {"unified/cpu.max": "400000 100000"}, 4),
        ("0::/", UNIFIED, {"unified/cpu.max": "150000 100000"}, 2),
        ("0::/", UNIFIED, {"unified/cpu.max": "5000 100000"}, 1),
        ("0::/", UNIFIED, {"unified/cpu.max": "9900000 100000"}, 16),
        ("0::/", UNIFIED, {"unified/cpu.max": "max 100000"}, 16),
        ("0::/", UNIFIED, {}, 16),
        ("0::/a/b", UNIFIED, {"unified/a/b/cpu.max": "max 100000", "unified/a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", UNIFIED, {"unified/a/b/cpu.max": "200000 100000", "unified/a/cpu.max": "300000 100000"}, 2),
        ("0::/a/b", UNIFIED, {"unified/a/other/cpu.max": "200000 100000"}, 16),
        # A container: the mount shows the group of the path as its root, or the path leads out of what is shown.
        ("0::/pod/c", [("/pod/c", "unified", "cgroup2", "")], {"unified/cpu.max": "300000 100000"}, 3),
        ("0::/../c", UNIFIED, {"unified/cpu.max": "300000 100000"}, 3),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n0::/",
            SEPARATE,
            {"cpu/x/cpu.cfs_quota_us": "250000", "cpu/x/cpu.cfs_period_us": "50000"},
            5,
        ),
        ("3:cpu,cpuacct:/", SEPARATE, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
        (
            "3:cpu,cpuacct:/docker/1",
            [("/docker/1", "cpu", "cgroup", "cpu,cpuacct")],
            {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"},
            1,
        ),
        ("3:cpuset:/", [("/", "cpuset", "cgroup", "cpuset")], {"cpuset/cpu.max": "100000 100000"}, 16),
        ("0::/", UNIFIED, {"unified/cpu.max": "nonsense"}, 16),
    ],
)
def test_a_quota_is_rounded_up_to_cores(process, cgroup, mounts, files, expected):
    assert usable_cores(process(cgroup, mounts, files)) == expected


def test_a_machine_without_control_groups_has_the_cores_of_the_affinity(tmp_path):
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_a_process_bound_to_one_core_uses_one():
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from distillex_matcher.cores import usable_cores; print(usable_cores())"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "1\n"
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
