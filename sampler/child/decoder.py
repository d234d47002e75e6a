"""The worker's handle on its decoder."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Self

from config.profiles import BALANCED, SamplingProfile
from sampler import errors
from sampler.child import wire
from sampler.child.answers import Bounds, PictureSummary, read_frames, read_text
from sampler.child.decoder_pool import INPUTS_A_PROCESS, DecoderPool
from sampler.child.exchange import Exchange
from sampler.child.fork_server_handle import PROGRAM
from sampler.child.inputs import input_size
from sampler.child.memory_bound import is_at_bound
from sampler.child.summaries import read_segment
from sampler.errors import DecoderDiedError, DecoderMemoryError, DecoderUnavailableError, TooLargeError
from sampler.frames import SampledFrame, SampledSegment
from sampler.limits import Limits
from sampler.picture import Picture

REASONS = {
    error.__name__: error
    for error in vars(errors).values()
    if isinstance(error, type)
    and issubclass(error, errors.InputError | DecoderMemoryError)
    and hasattr(error, "reason")
}
"""Errors that the decoder may name: not those of its own death."""
NONSENSE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""Python's errors for a malformed answer."""


class Decoder:
    """Decodes inputs in processes that a fork server forks.

    The fork server is started at first use (so after any fork of the worker) and again after it died. Its forks
    work on `inputs_a_process` inputs at most, each in fresh memory, and are gone when a call raises, whatever it
    raises: a decoder that is late touches no other input, one that is taken over or leaks only those few.

    Not for several threads at once: one decoder a thread.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        inputs_a_process: int = INPUTS_A_PROCESS,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """Starts nothing yet.

        Args:
            limits: on inputs and on what decoding them may cost.
            inputs_a_process: at most; 1: each has a process of its own.
            program: starts the fork server; for tests.
        """
        self.limits = limits if limits is not None else Limits()
        self.shared = False
        """The process that worked on the last input had had others before, of which any may have taken it over."""
        self._pool = DecoderPool(limits=self.limits, inputs_a_process=inputs_a_process, program=program)
        self._exchange: Exchange | None = None
        self._number = 0
        self._described: tuple[SamplingProfile, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def unconfined(self) -> tuple[str, ...]:
        """Privileges that this machine could not take from the decoder, in words; known once it is started."""
        return self._pool.unconfined

    @property
    def fork_server_pid(self) -> int | None:
        """Process id of the fork server, None while there is none."""
        return self._pool.fork_server_pid

    @property
    def child_pid(self) -> int | None:
        """Process id of the process that decodes, None while there is none."""
        return self._pool.process.pid if self._pool.process is not None else None

    def sample(
        self,
        data: bytes | BinaryIO,
        *,
        init: bytes = b"",
        profile: SamplingProfile,
        seed: bytes,
        packets: bool = False,
        consume: Callable[[SampledFrame], None] | None = None,
        fresh: bool = False,
        before: bytes | None = None,
        before_init: bytes = b"",
        first: SampledSegment | None = None,
        parameter_sets: bytes = b"",
        padded: bool = False,
    ) -> SampledSegment:
        """Takes the pictures worth looking at from one segment or file.

        Args:
            data: a segment's bytes; or a file open for reading, behind which nothing comes, and which is passed unread.
            init: the media initialisation section (EXT-X-MAP), b"" without one.
            profile: how closely to look.
            seed: secret of the deployment with the segment's identity: from it come the instants of audits.
            packets: whether the result carries the table of all packets.
            consume: is given each picture as it comes, track after track, each by time; `frames` then stays empty: so
                that a file of any length is worked through in bounded memory. It must not keep the picture, whose
                memory is written again.
            fresh: in a process that has worked on no other input.
            before: the segment before this one, where a first result's `needs_before` shows that it is needed. One
                that does not fit (too large, damaged, of another codec, size or time) is as good as none.
            before_init: the media initialisation section of `before`.
            first: only the pictures at the beginning are sampled that lean on the segment before, for `with_leading` of
                this result; its `macroblocks_left` may be decoded for it.
            parameter_sets: `SampledSegment.parameter_sets` of the segment before, b"" where that is not known.
            padded: one of late had the note `padded`: its packets say nothing either, and all is decoded.

        Raises:
            InputError: nothing could be sampled; its `reason` is for the ledger.
            DecoderError: the decoder died, took too long, spoke nonsense or cannot be started.
        """
        request = {
            "operation": "sample",
            "seed": seed.hex(),
            "packets": packets,
            "leading_macroblocks": None if first is None else first.macroblocks_left,
            "leaning_until_seconds": 0.0 if first is None else first.leaning_until_seconds,
            "parameter_sets": parameter_sets.hex(),
            "padded": padded or (first is not None and "padded" in first.notes),
        }
        fits = before is not None and len(before_init) + len(before) <= self.limits.input_bytes
        earlier = (before_init, before) if before is not None and fits else (b"", b"")
        bounds = Bounds(
            limits=self.limits,
            size_bytes=input_size(data, init, self.limits),
            packets=packets,
            before_bytes=sum(map(len, earlier)),
            first=first,
        )
        frames: list[SampledFrame] = []
        seen: list[PictureSummary] = []
        held_bytes, transfer_seconds = 0, 0.0
        try:
            exchange = self._begin(request, profile, data, init, bounds, fresh=fresh, before=earlier)
            while True:
                message = self._receive(exchange)
                paused, began = time.monotonic(), time.thread_time()
                with self._nonsense_is_death():
                    received = read_frames(message, exchange.memory, bounds, kept=consume is None)
                    if len(seen) + len(received) > bounds.pictures:
                        raise ValueError("more pictures than there can be")
                for frame, until_seconds in received:
                    seen.append(PictureSummary.of(frame, until_seconds))
                    if consume is not None:
                        consume(frame)
                        continue
                    frames.append(frame)
                    held_bytes += sum(plane.nbytes for plane in frame.picture.planes)
                    if held_bytes > self.limits.output_bytes:
                        raise TooLargeError(f"the pictures are over {self.limits.output_bytes} bytes: expected fewer")
                transfer_seconds += time.thread_time() - began
                if message["type"] == "done":
                    break
                self._go_on(exchange, paused)
            self._close_exchange()
        except BaseException:
            self._end()
            raise
        with self._nonsense_is_death():
            return read_segment(
                message,
                frames,
                seen,
                profile,
                bounds,
                transfer_seconds=transfer_seconds,
                elapsed_seconds=time.monotonic() - exchange.began,
            )

    def picture(self, data: bytes) -> Picture:
        """Decodes a still picture: PNG, JPEG, WebP, GIF (its first picture), BMP or TIFF.

        Raises:
            InputError, DecoderError: as `sample`.
        """
        bounds = Bounds(limits=self.limits, size_bytes=input_size(data, b"", self.limits), packets=False)
        try:
            exchange = self._begin({"operation": "still"}, BALANCED, data, b"", bounds, fresh=False)
            frames: list[tuple[SampledFrame, float]] = []
            while True:
                message = self._receive(exchange)
                with self._nonsense_is_death():
                    frames += read_frames(message, exchange.memory, bounds, kept=True)
                    ((frame, _),) = frames
                if message["type"] == "done":
                    break
                self._go_on(exchange, time.monotonic())
            self._close_exchange()
        except BaseException:
            self._end()
            raise
        return frame.picture

    def close(self) -> None:
        """Ends the fork server. May be called twice, and in a forked process, where it leaves the other's be."""
        self._end()
        self._pool.close()

    def _begin(
        self,
        request: dict[str, Any],
        profile: SamplingProfile,
        data: bytes | BinaryIO,
        init: bytes,
        bounds: Bounds,
        *,
        fresh: bool,
        before: tuple[bytes, bytes] = (b"", b""),
    ) -> Exchange:
        """Has a process begin to work on a request."""
        self.shared = False
        if self._pool.inherited:
            self._exchange = None
            self._pool.disown()
        if self._exchange is not None:
            self._end()  # the request before was interrupted
        process = self._pool.take(fresh=fresh)
        self.shared = process.requests > 0
        process.requests += 1
        self._number += 1
        # Known to us before anything of it is there, so that whatever interrupts us can end it.
        self._exchange = Exchange(process, self._number, bounds)
        try:
            self._exchange.begin(request | {"settings": self._settings(profile)}, data, init, before)
        except TimeoutError as error:
            raise self._pool.timed_out() from error
        except OSError as error:
            raise DecoderUnavailableError("there is no memory for a decoder") from error
        return self._exchange

    def _receive(self, exchange: Exchange) -> dict[str, Any]:
        """The next message; an error that it names is raised."""
        try:
            message = exchange.receive()
        except TimeoutError as error:
            raise self._pool.timed_out() from error
        except (wire.ClosedError, OSError) as error:
            raise self._died() from error
        except wire.WireError as error:
            raise self._spoke_nonsense() from error
        if message["type"] == "error":
            with self._nonsense_is_death():
                error_type, text = REASONS[message["error"]], read_text(message["text"])
            if error_type is DecoderMemoryError:
                raise DecoderMemoryError(text, at_bound=is_at_bound(self.child_pid, self.limits.memory_bytes))
            raise error_type(text)
        return message

    def _go_on(self, exchange: Exchange, paused: float) -> None:
        """Lets the decoder go on, for which we paused since then."""
        try:
            exchange.go_on(paused_seconds=time.monotonic() - paused)
        except TimeoutError as error:
            raise self._pool.timed_out() from error
        except OSError as error:
            raise self._died() from error

    def _close_exchange(self) -> None:
        """Ends a request that was answered whole."""
        if self._exchange is not None:
            self._exchange.close()
        self._exchange = None
        self._pool.give_back()

    def _end(self) -> None:
        """Ends the process that decodes, if there is one, and its request."""
        self._pool.end()
        if self._exchange is not None:
            self._exchange.close()
        self._exchange = None

    def _settings(self, profile: SamplingProfile) -> str:
        """Limits and profile as the decoder reads them, made once for many requests."""
        if self._described is None or self._described[0] is not profile:
            text = json.dumps({"limits": vars(self.limits), "profile": profile.model_dump()})
            self._described = profile, text
        return self._described[1]

    def _died(self) -> DecoderDiedError:
        """The error for a process that fell silent."""
        process = self._pool.process
        self._end()
        status = None if process is None else process.exit_status
        status = -signal.SIGKILL if status is None else status
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return DecoderDiedError(f"the decoder child ended ({how})", exit_status=status)

    def _spoke_nonsense(self) -> DecoderDiedError:
        self._end()
        return DecoderDiedError("the decoder child spoke nonsense and was stopped", exit_status=0)

    @contextmanager
    def _nonsense_is_death(self) -> Iterator[None]:
        """Reads an answer of the decoder: nonsense counts as its death."""
        try:
            yield
        except NONSENSE as error:
            raise self._spoke_nonsense() from error
