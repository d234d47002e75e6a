"""References to pictures before the place where decoding began, by H.264 slice headers (ITU-T H.264, 7.3.3.1, 8.2.4.3).

A recovery point may be a whole picture, and those after it may lean on what came before it all the same: on a long-term
reference, say. A player that has all pictures shows them; who begins at that point sees others, without any error.
"""

from typing import NamedTuple

LONG_TERM = 2
"""modification_of_pic_nums_idc of a long-term reference (table 7-7)."""
FORGET, FORGET_LONG, MAKE_LONG, LIMIT_LONG, RENEW, BE_LONG = range(1, 7)
"""memory_management_control_operation (table 7-9)."""
MOST_NUMBERS = 1024
"""Values of frame_num that are remembered: more than a decoder keeps by far. Beyond them all are taken for known."""
MOST_FRAMES = 16
"""References that a decoder keeps (A.3.1)."""
FIELDS = 2
"""Number of the fields of a frame."""


class ReferenceList(NamedTuple):
    """One of the lists that a slice takes its references from."""

    length: int
    named: tuple[tuple[int, int], ...]
    """Modifications: what kind, and a number."""


Lists = tuple[ReferenceList, ...]
Marking = tuple[tuple[int, int, int], ...]
"""Operations, each with a number and the index of a long-term reference, or 0 where it has none."""


class SliceHead(NamedTuple):
    """Fields of a slice header that tell which pictures it leans on."""

    frame_number: int
    frame_numbers: int
    """They are counted modulo this."""
    whole: bool
    """True if it is no field."""
    reference: bool
    """Pictures may be predicted from it."""
    lists: Lists
    """It may use any picture in them."""
    marking: Marking
    """Changes to the references."""
    order: int | None
    """pic_order_cnt_lsb; None: it is not told."""
    orders: int
    """Orders are counted modulo this."""
    renews: bool
    """It puts all before out, and orders are counted anew after it."""
    shift: int = 0
    """So much (<= 0) earlier in order is the frame than its first field says."""


class References:
    """The reference pictures of a GOP so far, of one that does not begin by putting all before out."""

    def __init__(self) -> None:
        self.open = False
        """True within a GOP whose keyframe leaves earlier pictures in the decoder (no IDR picture)."""
        self._short: dict[int, int] = {}
        """By frame_num the fields of each frame."""
        self._long: set[int] = set()
        """Indices of long-term ones."""
        self._long_before = self._unreadable = False
        self._last: SliceHead | None = None
        self._order: int | None = None
        self._anchor = 0

    def begin(self, head: SliceHead | None, *, idr: bool) -> None:
        """Begins a GOP with its keyframe."""
        # A long-term reference from before it may be in any list, for it comes behind all others.
        self._long_before = not idr and (self._long_before or bool(self._long))
        self._unreadable = not idr and head is None
        self.open = not idr
        self._short, self._long, self._last = {}, set(), head
        self._order = None if head is None or head.renews else head.order
        self._anchor = self._order or 0
        if head is not None:
            self.mark(head)

    def leads(self, head: SliceHead | None) -> bool:
        """True if a picture of the GOP, by its first slice, comes out before its keyframe; False: or it is not told.

        Its order says so (8.2.1), whatever its time stamp.
        """
        if self._order is None or head is None or head.order is None:
            return False
        order = self._anchor + (head.order - self._anchor + head.orders // 2) % head.orders - head.orders // 2
        leading = order < self._order
        if head.reference:
            self._anchor = order
        if head.renews:
            self._order = None
        return leading

    def leans_outside(self, head: SliceHead | None, *, leading: bool, first: bool) -> bool:
        """True if a slice names a picture that came before the GOP, or lists more than the GOP has so far, or if it
        cannot be told. Its leading pictures do not count: who begins at the keyframe has not got them.

        `first`: it is the picture's first slice; all say the same of what becomes of references.
        """
        if head is None:
            return True
        if first:
            self._count_missing(head, leading=leading)
        unsure = bool(head.lists) and (self._long_before or self._unreadable)
        outside = unsure or any(self._names_other(head, length, named) for length, named in head.lists)
        if first and not leading:
            self.mark(head)
        return outside

    def _names_other(self, head: SliceHead, length: int, named: tuple[tuple[int, int], ...]) -> bool:
        if len(self._short) >= MOST_NUMBERS:
            return False
        in_fields = not head.whole
        number, numbers = _own_number(head), head.frame_numbers << in_fields
        distinct: set[tuple[bool, int]] = set()
        for kind, value in named:
            if kind == LONG_TERM:
                if value >> in_fields not in self._long:
                    return True
                distinct.add((True, value))
                continue
            number = (number + (value + 1) * (1 if kind else -1)) % numbers
            if number >> in_fields not in self._short:
                return True
            distinct.add((False, number))
        # The list goes on with pictures that were not named; encoders name one twice to weigh it in two ways.
        others = max(length - len(named), 0)
        return others + len(distinct) > self._count(in_fields=in_fields)

    def _count_missing(self, head: SliceHead, *, leading: bool) -> None:
        """Adds frames that seem to be missing before a picture, which decoders make up of the GOP's. Where numbers go
        back, those from before the GOP may come first in a list."""
        before, self._last = self._last, head
        if before is None:
            return
        last = 0 if before.renews else before.frame_number
        step = (head.frame_number - last) % head.frame_numbers
        if step > head.frame_numbers // 2 or (step == 0 and head.reference and before.reference and head.whole):
            self._unreadable = True
        elif not leading and before.reference:
            for missing in range(1, min(step, MOST_FRAMES + 1)):
                self._short.setdefault((head.frame_number - missing) % head.frame_numbers, FIELDS)

    def _count(self, *, in_fields: bool) -> int:
        if in_fields:
            return sum(self._short.values()) + FIELDS * len(self._long)
        return len(self._short) + len(self._long)

    def mark(self, head: SliceHead) -> None:
        """Remembers a picture, and what it does to those before it (8.2.5)."""
        if not head.reference:
            return
        in_fields, is_long = not head.whole, False
        for operation, value, place in head.marking:
            if operation in (FORGET, MAKE_LONG):
                number = (_own_number(head) - value - 1) % (head.frame_numbers << in_fields) >> in_fields
                self._short[number] = self._short.get(number, 0) - (1 if in_fields else FIELDS)
                if self._short[number] <= 0:
                    del self._short[number]
            if operation == FORGET_LONG:
                self._long.discard(value >> in_fields)
            elif operation == LIMIT_LONG:
                self._long = {one for one in self._long if one < value}
            elif operation == RENEW:
                self._short, self._long = {}, set()
                self._long_before = self._unreadable = False
            elif operation in (MAKE_LONG, BE_LONG):
                self._long.add(place)
                is_long |= operation == BE_LONG
        if not is_long and len(self._short) < MOST_NUMBERS:
            number = 0 if head.renews else head.frame_number
            before = self._short.get(number, 0) if in_fields else 0
            self._short[number] = min(before + 1, FIELDS) if in_fields else FIELDS


def _own_number(head: SliceHead) -> int:
    """CurrPicNum (7.4.3)."""
    return head.frame_number if head.whole else FIELDS * head.frame_number + 1


class OutputOrder:
    """Follows the order in which pictures of a stream are to come out (8.2.1), if slices tell it."""

    def __init__(self) -> None:
        self._anchor = 0
        self._latest: int | None = None

    def is_late(self, head: SliceHead | None, *, idr: bool) -> bool:
        """True if a picture is to come out before one that came before it: some decoders never show it then, if they
        showed the other. Whoever begins to decode there does not know."""
        if head is None or head.order is None:
            self._latest = None
            return False
        if idr:
            self._anchor = self._latest = head.order
            return False
        order = self._anchor + (head.order - self._anchor + head.orders // 2) % head.orders - head.orders // 2
        is_late = self._latest is not None and order < self._latest
        self._latest = order if self._latest is None else max(order, self._latest)
        if head.reference:
            self._anchor = order
        if head.renews:
            self._anchor, self._latest = 0, None
        return is_late


class FrameNumbers:
    """Counts the frames of a stream as decoders do, by their frame_num (7.4.3)."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._sequence: int | None = None
        self._has_leaf = False
        self.is_gap = False
        """Frames seem to be missing before the last picture, of which decoders count some from pictures since the last
        reference, if they are given those."""

    def follows(self, head: SliceHead | None, sequence: int, *, idr: bool) -> bool:
        """True if a decoder that is not given a picture goes on as one that is, by its first slice and its SPS, if no
        other leans on it. One whose number is not the next has it put references out, one of another SPS all of them.
        """
        self.is_gap = False
        if head is None:
            self.is_gap, self._last, self._has_leaf = self._has_leaf, None, False
            return False
        is_next = self._last is not None and head.frame_number in (self._last, (self._last + 1) % head.frame_numbers)
        if head.reference:
            self.is_gap = self._has_leaf and not is_next and not idr
            self._last, self._has_leaf = 0 if head.renews else head.frame_number, False
            self._sequence = sequence
            return True
        self._has_leaf = True
        return is_next and sequence == self._sequence
