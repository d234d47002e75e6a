"""Floods in an MPEG-TS that FFmpeg would read before it gives a packet, found before it is opened. Runs in the decoder
child."""

from sampler.demux.codecs.parameter_sets import START_CODE
from sampler.demux.codecs.set_cost import set_share
from sampler.demux.mpegts.packets import aligned
from sampler.demux.mpegts.payloads import codes_at_edges
from sampler.demux.mpegts.set_floods import FEW, count_sets, hold_sets
from sampler.demux.mpegts.table_floods import TableChanges
from sampler.demux.mpegts.unit_floods import MOST_A_PICTURE, hold_units
from sampler.demux.source import InputFile
from sampler.limits import Limits


def hold_floods(source: InputFile, limits: Limits) -> None:
    """Reads a whole MPEG-TS for lists of programmes, NAL units and parameter sets.

    Args:
        source: its bytes.
        limits: an input that may have more pictures than a segment may have more of them.

    Raises:
        TooLargeError: they would cost too much.
        UndecodableError: it is no row of packets.
    """
    share = set_share(limits)
    tables, units, sets = TableChanges(max(share, 1.0)), 0, 0
    for data in aligned(source, share):
        tables.read(data)
        at_edges = codes_at_edges(data)
        units += data.count(START_CODE) + at_edges
        sets += count_sets(data) + at_edges
    if sets > share * FEW:
        hold_sets(source, share)
    if units > MOST_A_PICTURE:
        hold_units(source, share)
