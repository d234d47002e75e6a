"""References to pictures before the place where decoding began, by H.264 slice headers (ITU-T H.264, 7.3.3.1, 8.2.4.3).

A recovery point may be a whole picture, and those after it may lean on what came before it all the same: on a long-term
reference, say. A player that has all pictures shows them; who begins at that point sees others, without any error.
"""

from typing import NamedTuple

LONG_TERM = 2
"""modification_of_pic_nums_idc of a long-term reference (table 7-7)."""
MOST_NUMBERS = 1024
"""Values of frame_num that are remembered: more than a decoder keeps by far. Beyond them all are taken for known."""


class SliceHead(NamedTuple):
    """Fields of a slice header that tell which pictures it leans on."""

    frame_number: int
    frame_numbers: int
    """They are counted modulo this."""
    whole: bool
    """True if it is no field."""
    reference: bool
    """Pictures may be predicted from it."""
    named: tuple[tuple[int, int], ...]
    """Modifications of its reference lists, list for list: what kind, and a number."""
    keeps: bool
    """It makes a long-term reference."""
    listed: int
    """References that its first list has; it may use any of them."""
    order: int | None
    """pic_order_cnt_lsb; None: it is not told."""
    orders: int
    """Orders are counted modulo this."""
    renews: bool
    """It puts all before out, and orders are counted anew after it."""


class References:
    """The reference pictures of a GOP so far, of one that does not begin by putting all before out."""

    def __init__(self) -> None:
        self.open = False
        """True within a GOP whose keyframe leaves earlier pictures in the decoder (no IDR picture)."""
        self._numbers: set[int] = set()
        self._long_term = False
        self._order: int | None = None
        self._anchor = 0

    def begin(self, head: SliceHead | None, *, idr: bool) -> None:
        """Begins a GOP with its keyframe."""
        self.open = not idr and head is not None
        self._numbers = set() if head is None else {head.frame_number}
        self._long_term = head is not None and head.keeps
        self._order = None if head is None or head.renews else head.order
        self._anchor = self._order or 0

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

    def leans_outside(self, head: SliceHead, *, leading: bool) -> bool:
        """True if a slice names a picture that came before the GOP, or lists more than the GOP has so far. Its leading
        pictures do not count: who begins at the keyframe has not got them."""
        outside = self._names_other(head)
        if head.reference and not leading and len(self._numbers) < MOST_NUMBERS:
            self._numbers.add(head.frame_number)
        self._long_term |= head.keeps
        return outside

    def _names_other(self, head: SliceHead) -> bool:
        if not head.whole or len(self._numbers) >= MOST_NUMBERS:
            return False
        number = head.frame_number
        distinct: set[tuple[bool, int]] = set()
        for kind, value in head.named:
            if kind == LONG_TERM:
                if not self._long_term:
                    return True
                distinct.add((True, value))
                continue
            number = (number + (value + 1) * (1 if kind else -1)) % head.frame_numbers
            if number not in self._numbers:
                return True
            distinct.add((False, number))
        # The list goes on with pictures that were not named; encoders name one twice to weigh it in two ways.
        others = max(head.listed - len(head.named), 0)
        return others + len(distinct) > len(self._numbers) + self._long_term
