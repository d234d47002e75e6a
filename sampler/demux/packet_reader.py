"""Packets of an input, read without decoding and without FFmpeg's probing. Runs in the decoder child."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from sampler.demux.beginnings import Beginning, leave_out_others, read_beginning
from sampler.demux.codecs.nal import NalReader
from sampler.demux.codecs.other_heads import MPEG_DECODERS, is_nothing, read_head
from sampler.demux.codecs.sample_weight import announced_weight
from sampler.demux.codecs.set_cost import set_share
from sampler.demux.codecs.sizes import ANYWHERE, AnnouncedSizes, announced_pixels
from sampler.demux.container import SNIFF_BYTES, Container, sniff
from sampler.demux.libav import translate
from sampler.demux.mp4.encryption import is_encrypted_mp4
from sampler.demux.mp4.fragments import Fragments, fragments_of
from sampler.demux.mp4.trim import Trim
from sampler.demux.mpegts.pids import has_stray_packets
from sampler.demux.mpegts.scrambling import SAMPLE_AES, SCRAMBLED_PACKETS, ScrambledPackets, is_scrambled
from sampler.demux.open_input import open_input
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import demoted, describe, has_leading, joined, keyframes_as_shown
from sampler.demux.primer import Primer, last_gop, led_up_by
from sampler.demux.rate import hold_rate
from sampler.demux.rewriting import rewritten
from sampler.demux.source import InputFile
from sampler.demux.timeline import Timeline
from sampler.demux.video_streams import (
    CODECS,
    SECOND_VIDEO_STREAM,
    choose_videos,
    codec_tag,
    hold_codec,
    stream_notes,
)
from sampler.errors import EncryptedError, NoVideoError, TooLargeError, UndecodableError, UnsupportedContainerError
from sampler.limits import ROOM, Limits

ENCRYPTED = "the video is encrypted: there is no key"


class Demuxer:
    """An opened input. Its notes and counts are whole once `windows` is exhausted."""

    def __init__(
        self, source: InputFile, limits: Limits, *, init_bytes: int = 0, track: int = 0, parameter_sets: bytes = b""
    ) -> None:
        """Opens the input, which begins with `init_bytes` of an initialisation section (EXT-X-MAP).

        Args:
            source: its bytes.
            limits: on it.
            init_bytes: 0 without one.
            track: number of the video track that is read, among those that are sampled.
            parameter_sets: those in force at the end of the segment before, for an MPEG-TS with one video.

        Raises:
            InputError: the input cannot be sampled.
        """
        self.limits = limits
        self._source, self._init_bytes = source, init_bytes
        self._head = source.at(0, SNIFF_BYTES)
        self._container = sniff(self._head)
        # What follows may be an error page, which FFmpeg would pass over in silence.
        if init_bytes and (body := sniff(source.at(init_bytes, SNIFF_BYTES))) is not self._container:
            raise UnsupportedContainerError(f"the init section is {self._container}, what follows is {body}")
        self._scrambled = ScrambledPackets()
        if not (is_mp4 := self._container is Container.MP4):
            source.on_read = self._scrambled.count
        try:
            self._input = open_input(source, self._container, limits)
        except av.error.FFmpegError as error:
            if is_mp4 and is_encrypted_mp4(source.at, None, known=False):
                raise EncryptedError(ENCRYPTED) from error
            raise translate(error) from error
        self.notes: list[str] = []
        self._announced_pixels, self._announced_weight = 0, 1.0
        self._reader: NalReader | None = None
        self._new_reader: Callable[[], NalReader] | None = None
        self.track = track
        self.tracks = 0
        """Number of the video tracks that are sampled."""
        self.is_remapped = False
        """True if players may show other levels, as `NalReader.is_remapped`."""
        self.parameter_sets = b""
        """Those in force at the end, with start codes; b"": not known, or none."""
        self._inherited = parameter_sets
        self.probing_extradata = b""
        """Parameters with which single pictures may be decoded to see whether they are predicted."""
        try:
            self.stream = self._choose_stream()
        except BaseException:
            self.close()
            raise
        if self.stream.time_base is None:
            raise UndecodableError("the video stream has no time base")
        self.timeline = Timeline(Fraction(self.stream.time_base.numerator, self.stream.time_base.denominator))
        self.frames_total = 0
        self.begins_seconds = 0.0
        """Time of the track's own first picture, from that of the video track that begins first."""
        self.before_seconds = 0.0
        """Seconds by which other streams begin before all that, if over `LATE_VIDEO_SECONDS`."""
        self._beginning = Beginning()
        self._first_seconds: float | None = None
        self._last_seconds = float("-inf")
        self._before: Primer | None = None
        self._fragments = fragments_of(source, self._input, init_bytes=init_bytes) if is_mp4 else Fragments()
        whole = is_mp4 and not self._fragments.any
        self._trim = Trim.of(source.at, self.stream.id, self.timeline.time_base) if whole else Trim()

    def close(self) -> None:
        """Gives back what FFmpeg holds of the input, which Python's collector would do late or never."""
        self._input.close()

    @property
    def codec_context(self) -> VideoCodecContext:
        """The decoder to be, with the container's parameters; not yet opened."""
        return self.stream.codec_context

    @property
    def duration_seconds(self) -> float:
        """From the input's first picture to the end of the track's last."""
        return self._last_seconds - self.origin_seconds + self.timeline.shown_seconds

    @property
    def origin_seconds(self) -> float:
        """Time of the input's first picture on the container's timeline: the earliest of the track's first window, or
        of another track before that, so that the pictures of all have one origin from the first one on."""
        return self._first_seconds if self._first_seconds is not None else 0.0

    def _choose_stream(self) -> VideoStream:
        streams = self._input.streams
        if len(streams) > self.limits.streams:
            raise TooLargeError(f"the segment has {len(streams)} streams: expected at most {self.limits.streams}")
        videos = choose_videos(streams.video)
        self.tracks = len(videos)
        self._videos = frozenset(stream.index for stream in videos)
        if self.track >= self.tracks:
            raise NoVideoError(f"the segment has no video stream {self.track}")
        chosen = videos[self.track]
        self.notes += stream_notes(streams, sampled=self.tracks)
        if self._is_encrypted(chosen):
            raise EncryptedError(ENCRYPTED)
        if chosen.codec_context is None:
            hold_codec(chosen)
        name = chosen.codec_context.name
        self.probing_extradata = chosen.codec_context.extradata or self._inherited
        if self._container is Container.MPEG_TS and CODECS.get(name) is not None:
            # In place of what FFmpeg found, which may come later than the first picture.
            chosen.codec_context.extradata = self._inherited if self.tracks == 1 else b""
        extradata = chosen.codec_context.extradata or b""
        pixels = chosen.codec_context.width * chosen.codec_context.height
        self._hold_pixels(max(pixels, announced_pixels(name, extradata, extradata)))
        hold_codec(chosen)
        return chosen

    @property
    def picture_pixels(self) -> int:
        """Pixels of the largest pictures so far: by the parameter sets that slices use, or else as announced."""
        return (self._reader.used_pixels if self._reader is not None else 0) or self._announced_pixels

    @property
    def sample_weight(self) -> float:
        """Cost of a macroblock of them, beside one of 4:2:0 and 8 bits."""
        return max(self._announced_weight, self._reader.sample_weight if self._reader is not None else 1.0)

    def _has_stray(self, packets: int) -> bool:
        """True if players may show what was in none of so many packets."""
        if self._container is Container.MP4:
            return self._fragments.hide(self.stream.id, packets)
        ids = {stream.index: stream.id for stream in self._input.streams}
        videos = [ids[index] for index in self._videos]
        return has_stray_packets(self._source.at, known=ids.values(), videos=videos, init_bytes=self._init_bytes)

    def _hold_pixels(self, pixels: int) -> None:
        self._announced_pixels = max(self._announced_pixels, pixels)
        if pixels > self.limits.picture_pixels:
            raise TooLargeError(f"the video's pictures are over {self.limits.picture_pixels} pixels: expected fewer")

    def _is_encrypted(self, chosen: VideoStream) -> bool:
        known = chosen.codec_context is not None
        if self._container is Container.MP4:
            return is_encrypted_mp4(self._source.at, chosen.id, known=known)
        if known and codec_tag(chosen.codec_context)[:1] == bytes([SAMPLE_AES]):
            return True
        return is_scrambled(self._head, chosen.id)

    def windows(self, before: Primer | None = None) -> Iterator[PacketWindow]:
        """All video packets, in windows of bounded size.

        Args:
            before: the end of the segment before, for pictures that lean on it.

        Raises:
            InputError: no picture, or over a limit.
        """
        window, packets, coded_pixels = PacketWindow(), 0, 0
        limits, place, is_mp4 = self.limits, self.timeline.place, self._container is Container.MP4
        self._before = before
        primer: Primer | None = None
        context = self.codec_context
        # Not read again later: of a context whose decoder could not be opened it crashes.
        nal = CODECS[name := context.name]
        sizes = AnnouncedSizes(name, extradata := context.extradata or b"")
        self._new_reader = None if nal is None else partial(NalReader, nal, extradata, set_share=set_share(limits))
        self._reader = reader = None if self._new_reader is None else self._new_reader()
        began, several, after_leading = 0.0, False, False
        keyframe_seconds: float | None = float("-inf")
        for payload in self._demux():
            packets += payload.dts is not None
            data = bytes(payload)
            if is_nothing(name, data):
                continue
            if is_mp4 and payload.has_sidedata("encryption_info"):
                raise EncryptedError(ENCRYPTED)
            if payload.is_discard and self._fragments.any:
                # It overlaps earlier fragments: FFmpeg hides it, and browsers show it.
                payload = rewritten(payload, data)
            head = reader.read(data) if reader is not None else read_head(name, data)
            if reader is not None and reader.leaf_named:
                window.lean_on_all()
            several |= is_mp4 and name in MPEG_DECODERS and head.pictures > 1
            if head.completes:
                # Its own time stamp is missing, or half a picture later.
                seconds = window.packets[-1].seconds
                window.packets[-1], head = joined(window.packets[-1], head)
            else:
                seconds = place(payload.pts, payload.dts, payload.duration)
                self.frames_total += 1
            if self.frames_total > limits.frames:
                raise TooLargeError(f"the segment has more than {limits.frames} pictures")
            if head.begins or payload.is_keyframe or name in ANYWHERE:
                self._hold_pixels(sizes.largest(data))
                self._announced_weight = max(self._announced_weight, announced_weight(name, data, extradata))
            if reader is not None and (pixels := reader.picture_pixels) > coded_pixels:
                # In whole macroblocks: the shown part may be smaller, and is checked once it is decoded.
                coded_pixels = pixels
                self._hold_pixels(coded_pixels // ROOM)
            packet = describe(head, seconds, keyframe_seconds, hidden=self._trim.hides(payload))
            # Whoever begins here, or leaves out leading pictures, lacks the parameter sets that came with those.
            lacks = packet.keyframe or packet.recovery_frames is not None or (after_leading and not packet.leading)
            if reader is not None and lacks and (lacking := reader.lacking()):
                payload = rewritten(payload, lacking + data)
            after_leading = packet.leading or (after_leading and packet.completes)
            if packet.keyframe:
                keyframe_seconds = packet.seconds
            elif not packet.leading and not packet.completes:
                keyframe_seconds = None
            full = window.size_bytes >= limits.window_bytes or len(window.packets) >= limits.window_frames
            full = full and not packet.completes
            long = seconds - began >= limits.window_seconds
            if window.packets and (full or (long and packet.keyframe)):
                window.next_keyframe_seconds = packet.seconds if packet.keyframe else None
                closed = self._close(window, primer)
                primer_after = last_gop(window.packets, window.payloads) if packet.keyframe else None
                yield closed
                window, primer = PacketWindow(), primer_after
            if not window.packets:
                began = seconds
            if reader is not None and reader.parameter_sets.is_first:
                window.sets_known_from = len(window.packets) + reader.parameter_sets.is_first_late
            window.packets.append(packet)
            window.payloads.append(payload)
            window.size_bytes += payload.size
        if self._scrambled.by_pid[self.stream.id] >= SCRAMBLED_PACKETS:
            raise EncryptedError(ENCRYPTED)
        if not self.frames_total:
            raise NoVideoError("the segment declares video and holds no picture")
        if reader is not None and self._container is Container.MPEG_TS and self.tracks == 1:
            self.parameter_sets = reader.parameter_sets.annex_b() if "truncated" not in self.notes else b""
        self.is_remapped = reader is not None and reader.is_remapped
        several |= sizes.leaves_out or (reader is not None and reader.is_ambiguous)
        if SECOND_VIDEO_STREAM not in self.notes and (several or self._has_stray(packets)):
            self.notes.append(SECOND_VIDEO_STREAM)
        yield self._close(window, primer)

    def _close(self, window: PacketWindow, primer: Primer | None) -> PacketWindow:
        """Counts a full window's times from the origin, judges its rate, and puts the GOP before in front of it where
        its first pictures lean on that."""
        seconds = [packet.seconds for packet in window.packets]
        window.replace(demoted(window.packets))
        window.replace(keyframes_as_shown(window.packets))
        # Pictures that an edit list hides are not on a player's timeline.
        shown = [packet.seconds for packet in window.packets if packet.shown] or seconds
        if self._first_seconds is None:
            self.begins_seconds = self._beginning.behind_video(min(shown))
            self.before_seconds = max(self._beginning.behind_all(min(shown)) - self.begins_seconds, 0.0)
            self._first_seconds = min(shown) - self.begins_seconds
        self._last_seconds = max(self._last_seconds, *shown)
        hold_rate(seconds, self.limits)
        before, self._before = self._before, None
        if before is not None:
            primer = led_up_by(before, window, seconds[0], self._new_reader)
        elif not has_leading(window.packets):
            primer = None
        return window if primer is None else primer.in_front_of(window)

    def _demux(self) -> "Iterator[Packet[VideoStream]]":
        try:
            self._beginning = read_beginning(self._input.demux(), self.stream.index, self._videos)
            if self._beginning.packet is not None:
                yield self._beginning.packet
                leave_out_others(self._input.streams if self._container is Container.MP4 else (), self.stream)
                yield from self._input.demux(self.stream)
        except av.error.FFmpegError as error:
            # What came before the damage is still worth looking at.
            if not self.frames_total:
                raise translate(error) from error
            self.notes.append("truncated")
        except IndexError as error:
            # PyAV 18 and 19 fail so where damage makes FFmpeg find several new streams at once.
            if not self.frames_total:
                raise UndecodableError("streams come up in the middle of the segment") from error
            self.notes.append("truncated")
