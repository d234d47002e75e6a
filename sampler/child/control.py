"""Orders to the fork server and its replies, each one datagram of fixed size.

Only numbers and descriptors go over this socket. Bytes of a stream never do: the decoder process reads them
from a socket and from memory of its own.
"""

import struct

ORDER = struct.Struct("=cQq")
"""(kind, number of the process, value)."""
READY = b"R"
"""From the fork server, once, when it is prepared and confined. Value: length of the JSON list that follows."""
FORK = b"F"
"""Fork a process of this number, and give it the socket that comes along. Reply: the process id, or the
error's number, negated."""
END = b"E"
"""End that process, if it is still there, and reap it. Reply: its exit status, as `subprocess` gives it; `NO_PROCESS`
if there is no process of that number. May be sent twice."""
NO_PROCESS = 1 << 32
DESCRIPTORS = 1
"""Descriptors that go to a process: its socket."""
READY_BYTES = 4096
"""Bound for the first message."""
