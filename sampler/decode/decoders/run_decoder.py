"""Decodes packets of one run after another, and tells which pictures are right. Runs in the decoder child."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from sampler.decode.decoders.bounded_decoding import BoundedDecoding, PictureDecoder
from sampler.decode.decoders.decoding_meter import DecodingMeter
from sampler.decode.decoders.refresh import RefreshMap
from sampler.decode.runs.needed import decodable
from sampler.decode.runs.probe import EXACT_CROP, TELL_PREDICTION
from sampler.demux.codecs import av1, vp9
from sampler.demux.codecs.configuration import AVCC_LENGTH_BYTE
from sampler.demux.codecs.nal import H264_PICTURE
from sampler.demux.codecs.parameter_sets import START_CODE
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import PacketRun
from sampler.demux.rewriting import rewritten
from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.errors import DecoderMemoryError

DAMAGE_BUDGET = 32
"""Packets that FFmpeg may refuse in one run before the run is given up: a second of damage. Each costs little, but a
hostile segment could hold thousands."""
CROWD_BUDGET = 10_000
"""NAL units beyond those that are read in one run's packets, over (>) which the run is given up. Each is read by FFmpeg
several times: 300,000 parameter sets in 6 s of video, 3 MB, took 9 s."""
ONE_A_PACKET = av1.DECODERS | vp9.DECODERS
"""Decoders of codecs of which one picture of each packet is shown, whatever else is in that: it is a temporal unit or a
superframe."""
WITHOUT_REFUSAL = frozenset(["mpeg2video", "mpeg4"])
"""Decoders that make up what a predicted picture leans on, where nothing came before it, and call it right."""
ALL_LAYERS = {"libdav1d": {"alllayers": "1"}}
"""Options by which a decoder shows pictures of all spatial layers, and not of the highest alone."""
RECOVERY_POINT = b"\x06\x06\x01\x84\x80"
"""A message of H.264 (D.1.8): all is right from its picture on."""
SLICE = re.compile(START_CODE + b"[%s]" % bytes(kind | bits << 5 for kind in sorted(H264_PICTURE) for bits in range(4)))
"""The beginning of one of H.264, where units have start codes."""
NO_PICTURE = -1
"""In place of a packet's index: what comes of it is no picture of the window."""


class RunDecoder:
    """The decoder of one input, which is given packets run by run."""

    def __init__(self, context: PictureDecoder, *, max_pixels: int, bounded: BoundedDecoding | None = None) -> None:
        """Takes over a context, not yet opened; `bounded`: decodes by it, within an allowance of CPU."""
        self._context = context
        self._bounded = bounded
        self._max_pixels = max_pixels
        self._tell_prediction = TELL_PREDICTION.get(context.name, {})
        self._all_layers = ALL_LAYERS.get(context.name, {})
        self._is_h264 = context.name == "h264"
        self._makes_up = context.name in WITHOUT_REFUSAL
        self._has_one = context.name in ONE_A_PACKET
        self.frames_decoded = self.bytes_decoded = 0
        self.meter = DecodingMeter(None, context.name)
        """Is to pay for what is decoded."""
        self.reached = -1
        """The last packet that was decoded, of those of one window."""
        self.unpaid: frozenset[int] = frozenset()
        """Packets of the run that were not decoded, for the meter had too little left."""
        self.damaged = 0
        """Packets that were refused."""
        self.wrong: set[int] = set()
        """Pictures of the run that are made up or lean on such ones, though the decoder may not know it."""
        self.told: set[int] = set()
        """Pictures of the run of which it is known whether they are wrong: all that came, and others by their headers.
        """
        self.absent: set[int] = set()
        """Packets of the run that should have been shown, and of which no picture came."""
        self.several = False
        """A packet that has one picture by its kind gave several, of which players show the one or the other."""
        self._latest_seconds = -math.inf
        self._disordered = False
        self._refresh: RefreshMap | None = None
        self._spoiled = 0
        self._window = PacketWindow()
        self._run = PacketRun(start=0, stop=0, tail=0)
        self._unbegun: int | None = None

    @property
    def surprises(self) -> bool:
        """True if pictures of the run did not come, or not in the order of their times: which of them a player shows is
        known only once all are decoded."""
        return bool(self.absent) or self._disordered

    @property
    def is_open(self) -> bool:
        """True once the first packet was decoded."""
        return self._context.is_open

    def set_up(self, *, thrifty: bool) -> None:
        """Sets the decoder up before its first packet; `thrifty`: without the loop filter on all but intra pictures."""
        options = {"max_pixels": str(self._max_pixels)} | self._tell_prediction | self._all_layers
        if thrifty:
            options["skip_loop_filter"] = "nointra"
        if self._context.name in av1.DECODERS:
            # libdav1d refuses what it allows as the size of pictures, and reads nothing else of it.
            self._context.extradata = None
        self._context.thread_count = 1
        self._context.options = options
        if self._is_h264 and isinstance(self._context, VideoCodecContext):
            # Else FFmpeg crops by up to 15 pixels to the container's size, which other decoders do not know.
            self._context.width = self._context.height = 0

    def decode(self, window: PacketWindow, run: PacketRun, indices: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Decodes packets of a run, from its beginning on, and gives each picture with the index of its packet.

        That index takes the time stamp's place in the decoder, so that it identifies a picture whatever the
        broadcaster's time stamps are: missing, doubled, wrapped. In a run without a keyframe packets may well be
        refused until all is right: their parameter sets were in an earlier segment.
        """
        # Pictures that lean on made-up ones are given, and marked, in headless runs only.
        self._context.flags = EXACT_CROP | (Flags.output_corrupt if run.headless else 0)
        sound_from = run.start if run.recovered is None else run.recovered
        self.wrong, self.told = set(), set()
        self._latest_seconds, self._disordered = -math.inf, False
        self.absent = {index for index in indices if window.packets[index].shown}
        self._refresh, self._spoiled = None, len(window.packets)
        self._window, self._run = window, run
        self._unbegun = run.start if self._makes_up and not run.headless else None
        if run.headless:
            self._spoil(run.start, alone=False)
            # A crowd is not decoded below either.
            if indices and self._is_h264 and window.packets[indices[0]].unread_units <= CROWD_BUDGET:
                self._prime(window.payloads[indices[0]])
        recovers = run.headless and self._is_h264
        self.unpaid = frozenset()
        damage = crowd = 0
        try:
            for place, index in enumerate(indices):
                if not self.meter.pays(window.packets[index]):
                    self.unpaid = frozenset(indices[place:])
                    self.absent -= self.unpaid
                    break
                payload = window.payloads[index]
                crowd += window.packets[index].unread_units
                if crowd > CROWD_BUDGET:
                    damage += 1
                    break
                if recovers:
                    payload = self._as_recovery_point(payload)
                payload.pts = index
                self.reached = max(self.reached, index)
                self.frames_decoded += not window.packets[index].completes
                self.bytes_decoded += window.packets[index].size_bytes
                if self._refresh is not None:
                    self._refresh.read_until(index)
                try:
                    frames = self._decode(payload, window.packets[index].pictures)
                except av.error.MemoryError as error:
                    raise DecoderMemoryError("the decoder hit its memory bound") from error
                except (av.error.FFmpegError, ValueError):
                    # ValueError: of PyAV 19, on the second packet, if the container's parameters open no decoder.
                    damage += index >= sound_from
                    if window.packets[index].reference:
                        self._spoil(index)
                    if damage > DAMAGE_BUDGET:
                        break
                    continue
                recovers = recovers and not window.packets[index].reference
                yield from self._told(frames, window)
            yield from self._told(self._drain(), window)
            if self._refresh is not None:
                self._refresh.read_until(run.tail)
                self.wrong |= self._refresh.wrong - self.told
                self.told |= self._refresh.right | self._refresh.wrong
        finally:
            self.damaged += damage
            self._context.flush_buffers()

    def _decode(self, payload: "Packet[VideoStream]", pictures: int) -> list[VideoFrame]:
        return self._context.decode(payload) if self._bounded is None else self._bounded.decode(payload, pictures)

    def _drain(self) -> list[VideoFrame]:
        """Pictures that the decoder still holds back for reordering."""
        try:
            return self._context.decode(None)
        except (av.error.FFmpegError, ValueError):
            self.damaged += 1
            return []

    def _told(self, frames: list[VideoFrame], window: PacketWindow) -> Iterator[tuple[int, VideoFrame]]:
        """The pictures with their packets' indices; damage can make FFmpeg give one without."""
        for frame in frames:
            if frame.pts is None or not 0 <= frame.pts < len(window.packets):
                continue
            self.meter.count(frame)
            if self._unbegun is not None and frame.pict_type != PictureType.I:
                # What the headers call a keyframe gave no picture, and this one leans on nothing.
                self._spoil(self._unbegun)
            self._unbegun = None
            if frame.is_corrupt and window.packets[frame.pts].reference:
                self._spoil(frame.pts)
            if frame.is_corrupt or (
                frame.pts >= self._spoiled and (self._refresh is None or not self._refresh.follow(frame.pts, frame))
            ):
                self.wrong.add(frame.pts)
            self.several |= self._has_one and window.packets[frame.pts].shown and frame.pts not in self.absent
            self.absent.discard(frame.pts)
            self.told.add(frame.pts)
            seconds = window.packets[frame.pts].seconds
            self._disordered |= seconds < self._latest_seconds - SAME_INSTANT_SECONDS
            self._latest_seconds = max(self._latest_seconds, seconds)
            yield frame.pts, frame

    def _spoil(self, index: int, *, alone: bool = True) -> None:
        """From a packet on, pictures lean on what is missing or damaged; with H.264 until they are proven right.
        `alone`: its own picture is, too."""
        self._spoiled = min(self._spoiled, index)
        if not self._is_h264:
            return
        if self._refresh is None:
            extradata = self._context.extradata or b""
            packets = decodable(self._window, self._run)
            self._refresh = RefreshMap(self._window, packets, extradata, right_before=index)
            self._refresh.read_until(self.reached)
        if alone:
            self._refresh.break_at(index)

    def _as_recovery_point(self, payload: "Packet[VideoStream]") -> "Packet[VideoStream]":
        """A packet that says that all is right from there on: else FFmpeg counts frames up to the stream's own recovery
        point, by frame_num, which encoders do otherwise where there are B-frames."""
        extradata, packet = self._context.extradata or b"", bytes(payload)
        size, place = (extradata[AVCC_LENGTH_BYTE] & 3) + 1 if extradata[:1] == b"\x01" else 0, 0
        # Behind its own messages, of which the last one counts.
        while size and place + size < len(packet) and packet[place + size] & 0x1F not in H264_PICTURE:
            place += size + int.from_bytes(packet[place : place + size], "big")
        if not size and (found := SLICE.search(packet)):
            place = found.start()
        start = len(RECOVERY_POINT).to_bytes(size, "big") if size else START_CODE
        return rewritten(payload, packet[:place] + start + RECOVERY_POINT + packet[place:])

    def _prime(self, payload: "Packet[VideoStream]") -> None:
        """Decodes a headless run's first packet once more than it is there, so that it has something to lean on.

        Where frame_num begins at 0, FFmpeg sees no gap that it would fill with grey, refuses a first picture without
        references, and with it loses the first columns of an intra refresh; all that leans on them stays wrong, and is
        called right.
        """
        payload.pts = NO_PICTURE
        self.frames_decoded += 1
        with suppress(av.error.FFmpegError, ValueError):
            self._context.decode(payload)
