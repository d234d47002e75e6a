"""Names the forms of drafts."""

from enum import StrEnum


class ReportForm(StrEnum):
    """The forms of drafts."""

    CYBERTIPLINE = "cybertipline"
    """To NCMEC, in the USA."""
    NCA = "nca"
    """To the National Crime Agency, in the UK."""
    DSA = "dsa"
    """Statement of reasons for the European Commission's database."""
