"""Measure the memory of workers, and what an upload takes, for capacity_check.py."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Sequence
from io import BytesIO
from statistics import mean, median

from PIL import Image, ImageChops

from capacity_servers import Backends, Server
from manual_tables import format_table
from processes import cpu_of, memory_of

WORKERS, UPLOADS = 4, 15


def measure_memory(backends: Backends) -> str:
    """Return the table of the memory of a worker and of a connection."""
    rows: list[tuple[str, ...]] = []

    def add(label: str, pids: Sequence[str | int], *shared: str | int) -> None:
        resident = mean(memory_of(pid, "Rss") for pid in pids)
        shares = sum(memory_of(pid, "Pss") for pid in (*pids, *shared)) / len(pids)
        rows.append((label, f"{resident:.1f}", f"{shares:.1f}"))

    for label, options in (("a worker", ()), ("a worker with `--preload`", ("--preload",))):
        name = f"memory_{len(options)}"
        server = Server(backends, name, *options, workers=WORKERS)
        server.measure("POST", clients=2 * WORKERS, seconds=2)
        master, *workers = server.pids
        add(label, workers, master)
        if options:
            add("a connection in PostgreSQL", backends.find_connections(name))
        server.stop()
    return format_table(("process", "resident: MB", "own share: MB"), rows)


def make_photo() -> bytes:
    """Return a JPEG of 12 megapixels that compresses like a photo."""
    size = (4032, 3024)
    gradient = Image.radial_gradient("L").resize(size)
    turns = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)
    grain = Image.effect_noise(size, 12)
    channels = [gradient, *(gradient.transpose(turn) for turn in turns)]
    photo = Image.merge("RGB", [ImageChops.add(channel, grain, 2) for channel in channels])
    file = BytesIO()
    photo.save(file, "JPEG", quality=90)
    return file.getvalue()


def upload(server: Server, photo: bytes, token: str) -> float:
    """Upload an avatar, and return the seconds until the response."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    url, headers = "/api/profile/avatar/", {"Authorization": f"Bearer {token}"}
    connection.request("PUT", url, photo, headers)
    status = connection.getresponse().status
    connection.close()
    if status != 200:
        sys.exit(f"An upload returns {status}.")
    return time.perf_counter() - begin


def measure_uploads(backends: Backends) -> str:
    """Return the table of what an upload takes."""
    photo, media = make_photo(), str(backends.folder / "media")
    server = Server(backends, "uploads", PROFILE_AVATARS=True, PROFILE_MEDIA_STORAGE=media)
    upload(server, photo, backends.tokens[0])  # The first one loads what Pillow loads late.
    cpu, seconds = [], []
    for token in backends.tokens[1 : UPLOADS + 1]:
        before = cpu_of(server.pids[0])
        seconds.append(upload(server, photo, token))
        cpu.append(cpu_of(server.pids[0]) - before)
    server.stop()
    megabytes = f"{len(photo) / 1e6:.1f}"
    cells = [f"{1000 * median(values):.0f}" for values in (cpu, seconds)]
    head = ("upload", "file: MB", "worker: CPU ms", "duration: ms")
    return format_table(head, [("JPEG of 12 megapixels", megabytes, *cells)])
