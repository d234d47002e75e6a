"""Which pictures of a run others of it may be predicted from, by H.264 slice headers. Runs in the decoder child.

Whoever begins to decode in the middle has other references than a player, and no decoder says which one it took. But a
picture can take none that its lists do not reach. Sections are those of ITU-T H.264.
"""

from collections.abc import Sequence

from sampler.demux.codecs.configuration import AVCC_LENGTH_BYTE, avcc_units
from sampler.demux.codecs.h264 import IDR, PPS, SLICE_HEAD_BYTES, SPS, QuantiserReader
from sampler.demux.codecs.nal import H264_PICTURE, is_h264_read
from sampler.demux.codecs.references import (
    BE_LONG,
    FORGET,
    FORGET_LONG,
    LIMIT_LONG,
    LONG_TERM,
    MAKE_LONG,
    RENEW,
    ReferenceList,
    SliceHead,
)
from sampler.demux.codecs.set_cost import DECODED_SETS
from sampler.demux.codecs.units import Units

Sources = frozenset[int] | None
"""Numbers of pictures; None: one from before the run may be among them, or it cannot be told."""
MISSING = -1
"""In place of the number of a picture that the run has not got."""
MOST_KNOWN = 64
"""Pictures whose sources are remembered, four times as many as a decoder keeps."""


class PictureSources:
    """Reads the packets of one run, in order."""

    def __init__(self, extradata: bytes) -> None:
        """`extradata`: the container's parameter sets, as avcC or with start codes."""
        self._quantisers = QuantiserReader()
        self._held = _References()
        self._known: dict[int, Sources] = {}
        is_avcc = extradata[:1] == b"\x01" and len(extradata) > AVCC_LENGTH_BYTE
        self._units = Units((extradata[AVCC_LENGTH_BYTE] & 3) + 1 if is_avcc else 0, is_h264_read, DECODED_SETS["h264"])
        for unit in avcc_units(extradata) if is_avcc else self._units.of(extradata):
            self._quantisers.learn(unit)

    def of(self, picture: int) -> Sources:
        """Those of a picture that was read; none from itself, if it has two fields."""
        return self._known.get(picture)

    def read(self, picture: int, packet: bytes) -> None:
        """Reads the packet of a picture, by which number it is known from there on."""
        self._units.begin_packet()
        heads: list[SliceHead | None] = []
        idr = True
        for unit in self._units.of(packet):
            kind = unit[0] & 0x1F
            if kind in (SPS, PPS):
                self._quantisers.learn(unit)
            elif kind in H264_PICTURE:
                slice_head = unit[:SLICE_HEAD_BYTES]
                if self._quantisers.may_be_redundant and self._quantisers.is_redundant(slice_head):
                    continue
                self._quantisers.read(slice_head)
                heads.append(self._quantisers.head)
                idr &= kind == IDR
        if not heads:
            return
        known = [head for head in heads if head is not None]
        alike = {(head.frame_number, head.reference, head.whole, head.order, head.marking) for head in known}
        first = known[0] if len(alike) == 1 and len(known) == len(heads) and not self._units.unread else None
        self._held.begin(first, idr=idr, most=self._quantisers.reference_frames)
        self._known[picture] = None if first is None else self._held.sources(known)
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        if first is not None:
            self._held.mark(picture, first)


class _References:
    """The reference pictures of a run so far (8.2.5)."""

    def __init__(self) -> None:
        self._short: dict[int, int] = {}
        """Pictures by frame_num, the latest last."""
        self._long: dict[int, int] = {}
        """Pictures by the index of a long-term reference."""
        self._most = 0
        self._has_older = True
        """One from before the run may be among them."""
        self._lost = False
        """They cannot be told."""
        self._last: int | None = None
        """frame_num of the last one."""
        self._orders: dict[int, int] = {}
        """PicOrderCnt of those that say so, by which they come out."""
        self._order: int | None = None
        """PicOrderCnt of the first field of the last one, which that of the next picture follows from."""

    def begin(self, head: SliceHead | None, *, idr: bool, most: int) -> None:
        """Begins a picture by the head of its first slice; None: it cannot be told. `most`: references that its
        decoder keeps."""
        if idr:
            self._renew()
        if head is None:
            # What is to come leans on what came before, as at the beginning.
            self._short, self._long, self._has_older, self._last, self._order = {}, {}, True, None, None
            return
        self._lost |= self._most not in (0, most)
        self._most = most
        self._count_missing(head, idr=idr)

    def _renew(self) -> None:
        self._short, self._long = {}, {}
        self._has_older, self._lost, self._last, self._order, self._most = False, False, None, None, 0

    def _count_missing(self, head: SliceHead, *, idr: bool) -> None:
        """Adds the frames that decoders make up, where frame_num says that some are missing (8.2.5.2)."""
        if idr or self._last is None:
            return
        step = (head.frame_number - self._last) % head.frame_numbers
        self._lost |= step > head.frame_numbers // 2 or (step == 0 and head.reference and head.whole)
        for missing in range(max(step - self._most, 1), step):
            self._slide()
            self._short[(self._last + missing) % head.frame_numbers] = MISSING
        if step > 1:
            self._last = (head.frame_number - 1) % head.frame_numbers

    def sources(self, heads: Sequence[SliceHead]) -> Sources:
        """Those of a picture, by the heads of all its slices."""
        if not any(head.lists for head in heads):
            return frozenset()
        # What fields lean on is not followed.
        if self._lost or not all(head.whole for head in heads):
            return None
        found: set[int] = set()
        for head in heads:
            for place, one in enumerate(head.lists):
                found |= self._listed(head, one, second=place > 0)
        return None if MISSING in found else frozenset(found)

    def _listed(self, head: SliceHead, one: ReferenceList, *, second: bool) -> set[int]:
        """The pictures that may be in a list; `MISSING` among them if one is not of the run. `second`: see
        `_in_order`."""
        number, named = head.frame_number, []
        for kind, value in one.named:
            if kind == LONG_TERM:
                named.append(self._long.get(value, MISSING))
                continue
            number = (number + (value + 1) * (1 if kind else -1)) % head.frame_numbers
            named.append(self._short.get(number, MISSING))
        others = max(one.length - len(named), 0)
        ordered = self._in_order(head, second=second)
        rest = [picture for picture in ordered or self._all() if picture not in named]
        found = rest if ordered is None and others else rest[:others]
        # What came before the run is behind its own by frame_num, and before long-term ones; by order it may be first.
        before = len({*rest}.intersection(self._short.values())) if len(head.lists) == 1 else 0
        return {*named, *found, *([MISSING] if others > before and self._has_older else [])}

    def _all(self) -> list[int]:
        """By frame_num, the latest first, and long-term ones behind them (8.2.4.2.1)."""
        return [*reversed(self._short.values()), *(picture for _, picture in sorted(self._long.items()))]

    def _in_order(self, head: SliceHead, *, second: bool) -> list[int] | None:
        """All as a list of a slice has them, if nothing is modified; `second`: the second list of a B slice. None: it
        cannot be told."""
        if len(head.lists) == 1:
            return self._all()
        order = self._order_of(head)
        order = None if order is None else order + head.shift
        short = [*self._short.values()]
        if order is None or not all(picture in self._orders for picture in short):
            return None
        earlier = sorted((one for one in short if self._orders[one] < order), key=lambda one: -self._orders[one])
        later = sorted((one for one in short if self._orders[one] >= order), key=lambda one: self._orders[one])
        listed = [*later, *earlier] if second else [*earlier, *later]
        listed += [picture for _, picture in sorted(self._long.items())]
        # A second list like the first has its first two pictures exchanged (8.2.4.2.3).
        if second and len(listed) > 1 and not (earlier and later):
            listed[:2] = listed[1::-1]
        return listed

    def _order_of(self, head: SliceHead) -> int | None:
        """PicOrderCnt of a picture's first field (8.2.1.1); None: it is not told."""
        if head.order is None or self._order is None:
            return None
        return self._order + (head.order - self._order + head.orders // 2) % head.orders - head.orders // 2

    def mark(self, picture: int, head: SliceHead) -> None:
        """Remembers a picture, if it is a reference, and what it does to those before it."""
        if not head.reference:
            return
        number = 0 if head.renews else head.frame_number
        # Both fields of a frame have one number.
        is_second = not head.whole and self._last == number and number in self._short
        self._last = number
        self._lost |= not head.whole and bool(head.marking)
        if is_second:
            return
        if not head.marking:
            self._slide()
        if not self._operate(picture, head):
            self._short.pop(number, None)
            self._short[number] = picture
        order = head.order if self._order is None else self._order_of(head)
        self._order = None if head.renews else order
        if order is not None and not head.renews:
            self._orders[picture] = order + head.shift
        held = {*self._short.values(), *self._long.values()}
        self._orders = {one: order for one, order in self._orders.items() if one in held}
        count = len(self._short) + len(self._long)
        self._has_older &= count < self._most
        self._lost |= count > max(self._most, 1)

    def _slide(self) -> None:
        """Puts the first one out, if there is no room for one more (8.2.5.3)."""
        if self._short and len(self._short) + len(self._long) >= self._most:
            del self._short[next(iter(self._short))]

    def _operate(self, picture: int, head: SliceHead) -> bool:
        """Does what the head's marking says; True if the picture became a long-term reference (8.2.5.4)."""
        is_long = False
        for operation, value, place in head.marking:
            if operation in (FORGET, MAKE_LONG):
                made = self._short.pop((head.frame_number - value - 1) % head.frame_numbers, MISSING)
                if operation == MAKE_LONG:
                    self._long[place] = made
            elif operation == FORGET_LONG:
                self._long.pop(value, None)
            elif operation == LIMIT_LONG:
                self._long = {index: one for index, one in self._long.items() if index < value}
            elif operation == RENEW:
                most, last = self._most, self._last
                self._renew()
                self._most, self._last = most, last
            elif operation == BE_LONG:
                self._long[place], is_long = picture, True
        return is_long
