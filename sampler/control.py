"""Orders to the prepared process ("zygote") and its replies, each one datagram of fixed size.

Over this socket go numbers and descriptors only. What a stream consists of never does: the decoder process reads that
from a socket and from memory of its own.
"""

import struct

ORDER = struct.Struct("=cQq")
"""(kind, number of the request, value)."""
READY = b"R"
"""From the zygote, once, when it is prepared and confined. Value: length of the JSON list that follows."""
FORK = b"F"
"""Fork a process that works on this request, and give it the descriptors that come along. Reply: the process id, or the
error's number, negated."""
END = b"E"
"""End that process, if it is still there, and reap it. Reply: its exit status, as `subprocess` gives it; `NO_PROCESS`
if no process works on that request. May be sent twice."""
NO_PROCESS = 1 << 32
DESCRIPTORS = 4
"""Of a process: its socket, the input, and two files for pictures."""
READY_BYTES = 4096
"""Bound for the first message."""
