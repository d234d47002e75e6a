"""The pool of one decoder process: the next input gets that of the input before, or a fresh one."""

import os
import time
from collections.abc import Sequence

from sampler.child.exchange import DecoderProcess
from sampler.child.fork_server_handle import ForkServer, ForkServerError
from sampler.errors import DecoderTimeoutError, DecoderUnavailableError
from sampler.limits import Limits

INPUTS_A_PROCESS = 5
"""Until a fresh one takes its place: a decoder that was taken over can lie about what comes after. A fresh one for each
(`inputs_a_process=1`) costs 10 to 16 ms of CPU an input over none, twice what decoding 2 s of 360p does; with five the
way through the decoder costs 3 to 5 ms (`python -m bench.child` on a quiet machine; a busy one takes up to 19)."""


class DecoderPool:
    """Forks a process for so many inputs, and ends it after them, or as soon as one of them fails.

    The fork server is started at first use (so after any fork of the worker) and again after it died.
    """

    def __init__(self, *, limits: Limits, inputs_a_process: int, program: Sequence[str]) -> None:
        """Starts nothing yet; arguments as of `sampler.child.decoder.Decoder`."""
        self.process: DecoderProcess | None = None
        """The process that works now, or worked last and may go on."""
        self.unconfined: tuple[str, ...] = ()
        """Privileges that this machine could not take from the decoder, in words; known once it is started."""
        self._fork_server = ForkServer(memory_bytes=limits.memory_bytes, program=program)
        self._limits = limits
        self._inputs_a_process = inputs_a_process
        self._number = 0
        self._owner = os.getpid()

    @property
    def fork_server_pid(self) -> int | None:
        """Process id of the fork server, None while there is none."""
        return self._fork_server.pid

    @property
    def inherited(self) -> bool:
        """It belongs to the parent, as the fork server does: this process was forked since it was used."""
        return self._owner != os.getpid()

    def disown(self) -> None:
        """Leaves a parent's processes to it."""
        self.process = None
        self._fork_server.close()
        self._owner = os.getpid()

    def take(self, *, fresh: bool) -> DecoderProcess:
        """The process for one more input.

        Args:
            fresh: one that has worked on no other input.

        Raises:
            DecoderError: none can be had.
        """
        process = self.process
        if not fresh and process is not None and process.fit and process.requests < self._inputs_a_process:
            process.go_on()
            return process
        try:
            try:
                return self._fork()
            except ForkServerError:
                # It was killed while nothing was decoded, so the input has no part in it.
                return self._fork()
        except TimeoutError as error:
            raise self.timed_out() from error
        except ForkServerError as error:
            raise DecoderUnavailableError("the decoder's fork server ends again and again") from error
        except OSError as error:
            raise DecoderUnavailableError("there is no socket for a decoder") from error

    def give_back(self) -> None:
        """After an answer that was whole: the process waits, stopped, for the next input, or has had its number."""
        if self.process is None:
            return
        if self.process.requests >= self._inputs_a_process:
            self.end()
        else:
            self.process.pause()

    def end(self) -> None:
        """Ends the process, if there is one and it belongs to this worker."""
        if self.process is not None and not self.inherited:
            self.process.end()
        self.process = None

    def close(self) -> None:
        """Ends the fork server too. May be called twice; a forked process leaves its parent's alone."""
        self.end()
        self._fork_server.close()

    def timed_out(self) -> DecoderTimeoutError:
        """The error of an answer that took too long, for which the process is ended."""
        self.end()
        return DecoderTimeoutError(f"decoding took over {self._limits.wall_seconds} s and was stopped")

    def _fork(self) -> DecoderProcess:
        self.end()
        self._fork_server.start()
        self.unconfined = self._fork_server.unconfined
        self._number += 1
        # Known to us before it is there, so that whatever interrupts us can end it.
        self.process = DecoderProcess(self._fork_server, self._number)
        self.process.fork(time.monotonic() + self._limits.wall_seconds)
        return self.process
