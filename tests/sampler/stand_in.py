"""A stand-in for the decoder: a real process that speaks its protocol, and lies as the input demands.

`python tests/sampler/stand_in.py DESCRIPTOR PARENT MEMORY_BYTES` is a fork server like `sampler.child`. An input
that begins with `LIE` or `LATER` names a lie, up to a zero byte; any other is decoded normally.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from sampler.child import wire
from sampler.child.fork_server import run_fork_server
from sampler.child.outbox import Outbox
from sampler.child.process import Inputs, answer
from sampler.child.warm_up import warm_up
from sampler.demux.timeline import JUMP_SECONDS
from sampler.limits import Limits

STAND_IN = (sys.executable, __file__)
LIE = b"lie: "
LATER = b"later: "
"""Likewise, but the named lie answers the next input, another stream's."""
SIDE = 64
PICTURE = {
    "layout": "grey",
    "columns": [SIDE],
    "rows": [SIDE],
    "strides": [SIDE],
    "full_range": True,
    "matrix": "bt601",
    "rotation_degrees": 0,
    "mirrored": False,
    "pixel_aspect": 1.0,
}
ENTRY = {
    "pts_seconds": 0.0,
    "until_seconds": 2.0,
    "late_seconds": 0.0,
    "reason": "keyframe",
    "keyframe": True,
    "concealed": False,
    "hashed_only": None,
    "flat": None,
    "track": 0,
    "picture": PICTURE,
}
SUMMARY = {
    "track": 0,
    "begins_seconds": 0.0,
    "before_seconds": 0.0,
    "duration_seconds": 1.0,
    "origin_seconds": 0.0,
    "reordered_seconds": 0.0,
    "frame_seconds": 0.04,
    "frames_total": 1,
    "frames_decoded": 1,
    "leading": [],
    "leading_seconds": 0.0,
    "leaning_until_seconds": 0.0,
    "macroblocks_left": 0.0,
    "parameter_sets": "",
    "refused": [],
    "undecodable": [],
    "concealed": [],
    "notes": [],
    "packets": [],
    "demux_seconds": 0.0,
    "decode_seconds": 0.0,
}
DONE = {"type": "done", "tracks": [SUMMARY], "file": 0, "pictures": [ENTRY]}
INFINITE = float("inf")
DRIP_SECONDS = 0.2


class Liar:
    """Messages that a compromised decoder can send."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number

    def send(self, **changes: Any) -> None:
        """A true answer, except for the changes."""
        message = {**DONE, "number": self.number, **changes}
        # Not by `wire.send`, which refuses numbers that JSON lacks.
        self.raw(wire.json.dumps(message).encode())

    def summary(self, *, pictures: Sequence[dict[str, Any]] = (ENTRY,), **changes: Any) -> None:
        """Pictures, and this summary of their track."""
        self.send(tracks=[SUMMARY | changes], pictures=pictures)

    def raw(self, body: bytes) -> None:
        """Any bytes as a message."""
        self.sock.sendall(wire.LENGTH.pack(len(body)) + body)

    def entry(self, **changes: Any) -> None:
        """One picture with this description."""
        self.send(pictures=[ENTRY | changes])

    def picture(self, **changes: Any) -> None:
        """One picture with this memory layout."""
        self.entry(picture=PICTURE | changes)

    def more(self, times: int, **changes: Any) -> None:
        """Messages each of which announces another."""
        for _ in range(times):
            self.send(type="more", **changes)
            wire.await_go_on(self.sock)

    def drip(self, body: bytes) -> None:
        """Sends a byte at a time."""
        for byte in wire.LENGTH.pack(len(body)) + body:
            time.sleep(DRIP_SECONDS)
            self.sock.sendall(bytes([byte]))


LIES: dict[str, Callable[[Liar], None]] = {
    "not JSON": lambda liar: liar.raw(b"oops"),
    "a length of 4 GiB": lambda liar: liar.sock.sendall(b"\xff" * 4),
    "a message longer than there can be": lambda liar: liar.sock.sendall((8 << 20).to_bytes(4, "big")),
    "deep nesting": lambda liar: liar.raw(b"[" * 100_000),
    "a list": lambda liar: liar.raw(b"[]"),
    "an empty message": lambda liar: liar.raw(b""),
    "another request's number": lambda liar: liar.send(number=liar.number - 1),
    "no number": lambda liar: liar.send(number=None),
    "an unknown type": lambda liar: liar.send(type="ready"),
    "an error that there is not": lambda liar: liar.send(type="error", error="KeyError", text=""),
    "an error without a reason": lambda liar: liar.send(type="error", error="InputError", text=""),
    "an error that is no name": lambda liar: liar.send(type="error", error=[], text=""),
    "more, and no picture": lambda liar: liar.more(1, pictures=[]),
    "a file that there is not": lambda liar: liar.send(file=7),
    "a file without number": lambda liar: liar.send(file=[0]),
    "a file of true": lambda liar: liar.send(file=True),
    "400 megapixels": lambda liar: liar.picture(columns=[20_000], rows=[20_000], strides=[20_000]),
    "more pixels than a picture may have": lambda liar: liar.picture(
        columns=[8192], rows=[Limits().picture_pixels // 8192 + 1], strides=[8192]
    ),
    "a picture of one row": lambda liar: liar.picture(columns=[4096], rows=[1], strides=[4096]),
    "planes over the end of the memory": lambda liar: liar.picture(strides=[8 << 20]),
    "rows without end": lambda liar: liar.picture(rows=[1 << 62]),
    "negative rows": lambda liar: liar.picture(rows=[-64], strides=[-64]),
    "rows of true": lambda liar: liar.picture(rows=[True]),
    "rows longer than their stride": lambda liar: liar.picture(strides=[32]),
    "three planes of grey": lambda liar: liar.picture(columns=[64] * 3, rows=[64] * 3, strides=[64] * 3),
    "chroma larger than luma": lambda liar: liar.picture(
        layout="yuv", columns=[64, 640, 640], rows=[64, 64, 64], strides=[64, 640, 640]
    ),
    "a layout without name": lambda liar: liar.picture(layout="?"),
    "a matrix without name": lambda liar: liar.picture(matrix="?"),
    "pixels of no width": lambda liar: liar.picture(pixel_aspect=0.0),
    "pixels of infinite width": lambda liar: liar.picture(pixel_aspect=INFINITE),
    "a rotation of a billion degrees": lambda liar: liar.picture(rotation_degrees=10**9),
    "text for a number": lambda liar: liar.entry(pts_seconds="soon"),
    "a time that is no number": lambda liar: liar.entry(pts_seconds=float("nan")),
    "an infinite time": lambda liar: liar.entry(pts_seconds=INFINITE),
    "a time too large for any float": lambda liar: liar.raw(
        wire.json.dumps({**DONE, "number": liar.number})
        .encode()
        .replace(b'"pts_seconds": 0.0', b'"pts_seconds": 1e999')
    ),
    "a picture long after the end": lambda liar: liar.entry(pts_seconds=1e6, until_seconds=1e6 + 1),
    "a picture after the end": lambda liar: liar.entry(pts_seconds=1.5, until_seconds=2.5),
    "a picture that speaks for weeks": lambda liar: liar.entry(until_seconds=1e6),
    "a picture that speaks for longer than one can last": lambda liar: liar.entry(until_seconds=7 * JUMP_SECONDS),
    "a picture that speaks for the past": lambda liar: liar.entry(until_seconds=-5.0),
    "a shade that there is not": lambda liar: liar.entry(flat="green"),
    "a reason that there is not": lambda liar: liar.entry(reason="boredom"),
    "text for a flag": lambda liar: liar.entry(concealed="no"),
    "a picture of nothing": lambda liar: liar.send(pictures=[{}]),
    "pictures that are a number": lambda liar: liar.send(pictures=7),
    "20,000 pictures in a message": lambda liar: liar.send(pictures=[ENTRY] * 20_000),
    "300 pictures in a message": lambda liar: liar.summary(frames_total=300, pictures=[ENTRY] * 300),
    "more pictures than the input has bytes": lambda liar: liar.more(1000, pictures=[ENTRY] * 200),
    "more pictures than were there": lambda liar: liar.send(pictures=[ENTRY] * 3),
    "more bytes in a message than a batch": lambda liar: liar.send(
        pictures=[ENTRY | {"picture": PICTURE | {"columns": [4096], "rows": [4096], "strides": [4096]}}] * 2
    ),
    "an infinite duration": lambda liar: liar.summary(duration_seconds=INFINITE),
    "a duration of a year": lambda liar: liar.summary(duration_seconds=365 * 86_400.0),
    "a negative duration": lambda liar: liar.summary(duration_seconds=-1.0),
    "an infinite picture time": lambda liar: liar.summary(frame_seconds=INFINITE),
    "an hour before the first picture": lambda liar: liar.summary(before_seconds=3600.0),
    "a billion pictures in all": lambda liar: liar.summary(frames_total=10**9),
    "half a picture": lambda liar: liar.summary(frames_total=1.5),
    "a billion decoded pictures": lambda liar: liar.summary(frames_decoded=10**9),
    "a note that there is not": lambda liar: liar.summary(notes=["\x1b[2J"]),
    "notes without end": lambda liar: liar.summary(notes=["damaged"] * 1000),
    "packets that nobody asked for": lambda liar: liar.summary(packets=[[0.0, 1, True]]),
    "leading pictures after the end": lambda liar: liar.summary(leading=[[0.0, 2.0]]),
    "leading pictures backwards": lambda liar: liar.summary(leading=[[0.5, 0.4]]),
    "leading pictures without end": lambda liar: liar.summary(leading=[[0.0, 0.0]] * 1000),
    "pictures made up after the end": lambda liar: liar.summary(concealed=[[0.0, 2.0]]),
    "pictures made up backwards": lambda liar: liar.summary(concealed=[[0.5, 0.4]]),
    "pictures made up without end": lambda liar: liar.summary(concealed=[[0.0, 0.0]] * 1000),
    "a clock beyond all bounds": lambda liar: liar.summary(origin_seconds=-1e12),
    "pictures shown years after later ones": lambda liar: liar.summary(reordered_seconds=1e9),
    "macroblocks to decode without end": lambda liar: liar.summary(macroblocks_left=1e12),
    "leading pictures for years": lambda liar: liar.summary(leading_seconds=1e9),
    "first pictures that lean on others for years": lambda liar: liar.summary(leaning_until_seconds=1e9),
    "CPU of a century": lambda liar: liar.summary(decode_seconds=3e9),
    "no track": lambda liar: liar.send(tracks=[]),
    "three tracks": lambda liar: liar.send(tracks=[SUMMARY | {"track": track} for track in range(3)]),
    "a track twice": lambda liar: liar.send(tracks=[SUMMARY, SUMMARY]),
    "a track of true": lambda liar: liar.summary(track=True),
    "tracks that are a number": lambda liar: liar.send(tracks=1),
    "a picture of the third track": lambda liar: liar.entry(track=2),
    "a picture of a track without a summary": lambda liar: liar.entry(track=1),
    "a summary of nothing": lambda liar: liar.raw(
        wire.json.dumps({"type": "done", "number": liar.number, "file": 0, "pictures": [ENTRY]}).encode()
    ),
    "silence": lambda _: os._exit(3),
}
"""Invalid answers, and the death of the decoder."""
SLOW: dict[str, Callable[[Liar], None]] = {
    "a byte now and then": lambda liar: liar.drip(b" " * 1000),
    "no byte at all": lambda _: time.sleep(1000),
    "a picture now and then": lambda liar: [(time.sleep(DRIP_SECONDS), liar.more(1)) for _ in range(1000)] and None,
}
"""Answers that never end."""


def work_without_end(liar: Liar) -> None:
    """Keeps computing after its complete answer."""
    liar.send()
    while True:
        pass


TRUTHS: dict[str, Callable[[Liar], None]] = {
    "one picture, and work without end": work_without_end,
    "one picture": lambda liar: liar.send(),
    "an error with control characters": lambda liar: liar.send(
        type="error", error="UndecodableError", text="\x1b[2J\u202e" + "!" * 10_000
    ),
}
"""Lies that are accepted as true."""
SHORTAGES: dict[str, Callable[[Liar], None]] = {
    "no memory": lambda liar: liar.send(type="error", error="DecoderMemoryError", text="there is no memory"),
}
"""Answers of a decoder that has taken no memory."""
ALL = LIES | SLOW | TRUTHS | SHORTAGES


def lie_or_serve(sock: socket.socket) -> None:
    """Answers requests as their inputs ask for."""
    later = ""
    while True:
        request, (descriptor, *files) = wire.receive_request(sock)
        head = os.pread(descriptor, 100, 0).partition(b"\0")[0]
        name, later = later or head.removeprefix(LIE).decode(errors="replace"), ""
        if head.startswith(LATER):
            later, name = head.removeprefix(LATER).decode(), "one picture"
        if name in ALL:
            os.pwrite(files[0], bytes(SIDE * SIDE), 0)
            ALL[name](Liar(sock, request["number"]))
        else:
            before = files[2] if len(files) > 2 else None
            inputs = Inputs(input=descriptor, before=before)
            answer(request, inputs, Outbox(sock, files[:2], request["number"]))
        for opened in (descriptor, *files):
            os.close(opened)


if __name__ == "__main__":
    run_fork_server(lie_or_serve, sys.argv[1:], prepare=warm_up)
