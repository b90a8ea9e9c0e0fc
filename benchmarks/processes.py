"""Helpers for the servers that a benchmark starts: ports, waiting, and worker processes."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # A second, where /proc counts the CPU time of processes.


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(is_done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            sys.exit(f"Timed out after {seconds:g} seconds of waiting for a server.")
        time.sleep(0.02)


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def cpu_of(pid: int | str) -> float:
    """Return the CPU seconds that a process and its children have used, those that ended too."""
    total = _cpu_alone(pid)
    for child in children_of(int(pid)):
        with suppress(FileNotFoundError, ProcessLookupError):  # It has just ended.
            total += _cpu_alone(child)
    return total


def _cpu_alone(pid: int | str) -> float:
    # The scheduler counts in nanoseconds, but for live threads only.
    threads = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    of_ended_children = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
    live = sum(int(text.split()[0]) for text in threads) / 1e9
    return live + sum(map(int, of_ended_children)) / _TICKS


def cpu_of_machine() -> float:
    """Return the CPU seconds that everything on the machine has used."""
    numbers = [int(text) for text in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    user, nice, system, _, _, irq, softirq = numbers[:7]
    return (user + nice + system + irq + softirq) / _TICKS


def memory_of(pid: int | str, kind: str) -> float:
    """Return the memory of a process in MB (10**6 bytes).

    Args:
        pid: The process.
        kind: ``"Rss"``, or ``"Pss"``, where processes that share a page divide it among them.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(rf"^{kind}: +(\d+) kB", text, re.MULTILINE))) * 1024 / 1e6
