"""Encoders other than x264 and x265, run as programs if they are installed; the sampler was not tuned on them. Debian:
kvazaar, gstreamer1.0-tools, gstreamer1.0-plugins-bad (OpenH264), ffmpeg."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.clips import BITS_PER_PIXEL, FRAMES_PER_SECOND, Films
from bench.material import Reel


@dataclass(frozen=True, kw_only=True)
class ForeignEncoder:
    """A program that reads raw pictures (planar 4:2:0) from `{raw}` and writes MPEG-TS to `{ts}`."""

    name: str
    commands: tuple[str, ...]
    """Commands run in order, with `{es}` as a file between them; also `{width}`, `{height}`, `{rate}` (pictures a
    second), `{gop}` (pictures) and `{bits}` (a second)."""

    @property
    def missing(self) -> str | None:
        """The first of its programs that is not installed."""
        programs = (command.split()[0] for command in self.commands)
        return next((program for program in programs if shutil.which(program) is None), None)

    def encode(self, reel: Reel, films: Films, *, gop_frames: int) -> bytes:
        """An MPEG-TS stream of these pictures."""
        with tempfile.TemporaryDirectory() as folder:
            raw, elementary, stream = (Path(folder) / name for name in ("raw.yuv", "coded", "stream.ts"))
            with raw.open("wb") as file:
                file.writelines(reel.picture(film, position).tobytes() for film, position in films)
            for command in self.commands:
                filled = command.format(
                    raw=raw,
                    es=elementary,
                    ts=stream,
                    width=reel.width,
                    height=reel.height,
                    rate=FRAMES_PER_SECOND,
                    gop=gop_frames,
                    bits=round(reel.width * reel.height * FRAMES_PER_SECOND * BITS_PER_PIXEL),
                )
                subprocess.run(filled.split(), check=True, capture_output=True)
            return stream.read_bytes()


def _openh264(name: str, options: str) -> ForeignEncoder:
    source = "filesrc location={raw} ! rawvideoparse format=i420 width={width} height={height} framerate={rate}/1"
    encoder = f"openh264enc gop-size={{gop}} scene-change-detection=false multi-thread=1 bitrate={{bits}} {options}"
    sink = "h264parse config-interval=-1 ! mpegtsmux ! filesink location={ts}"
    return ForeignEncoder(name=f"OpenH264 {name}", commands=(f"gst-launch-1.0 -q {source} ! {encoder} ! {sink}",))


def _kvazaar(name: str, options: str) -> ForeignEncoder:
    return ForeignEncoder(
        name=f"kvazaar {name}",
        commands=(
            "kvazaar --input {raw} --input-res {width}x{height} --input-fps {rate} --period {gop} --threads 0 --owf 0 "
            f"{options} --output {{es}}",
            # Pictures are coded in display order; the elementary stream has no times.
            "ffmpeg -v error -r {rate} -f hevc -i {es} -c copy -bsf:v setts=ts=N/({rate}*TB) -f mpegts {ts}",
        ),
    )


FOREIGN = (
    _openh264("CBR", "rate-control=bitrate complexity=low"),
    _openh264("quality", "rate-control=quality complexity=medium"),
    _kvazaar("low delay, CBR", "--preset ultrafast --gop lp-g4d3t1 --bitrate {bits}"),
    _kvazaar("QP 30", "--preset veryfast --gop 0 --qp 30"),
)
