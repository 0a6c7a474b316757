"""Count the cores that this process may use; a container often grants fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROCESS = Path("/proc/self")


def usable_cores(process: Path = PROCESS) -> int:
    """Return the cores that this process may run on, no more than its CPU quota, rounded up; at least 1.

    Threads beyond a quota wait: the kernel stops all of them for the rest of each period.

    Parameters
    ----------
    process
        Folder with the ``cgroup`` and ``mountinfo`` of this process.
    """
    quotas = [math.ceil(quota) for quota in _quotas(process)]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def _quotas(process: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of this process's control groups (version 1 and 2) and of those around them."""
    try:
        groups = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
        mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    except OSError:
        return
    for mount in mounts:
        root, mounted_at = mount[3], Path(mount[4])
        kind, options = mount[mount.index("-") + 1], mount[-1]
        if kind == "cgroup2":
            own = [path for _, controllers, path in groups if not controllers]
        elif kind == "cgroup" and "cpu" in options.split(","):
            own = [path for _, controllers, path in groups if "cpu" in controllers.split(",")]
        else:
            continue
        for path in map(PurePosixPath, own):
            # In a container the path may lead out of what is mounted: then the mount shows this group as its root.
            shown = path.is_relative_to(root) and ".." not in path.parts
            folder = mounted_at / path.relative_to(root) if shown else mounted_at
            while folder.is_relative_to(mounted_at):
                yield from _quota_of(folder)
                folder = folder.parent


def _quota_of(group: Path) -> Iterator[float]:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            granted, period = " ".join((group / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if granted not in ("max", "-1"):
            yield int(granted) / int(period)
