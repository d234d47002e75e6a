"""Any file yields records, or one refusal that quotes no hash; never another error, and never both."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bank.entries import LARGEST_ID, Entry
from models.errors import ListFormatError
from models.formats import Format, Removal, read

PDQ = "0123456789abcdef" * 4
MD5 = "900150983CD24FB0D6963F7D28E17F72"

SAMPLES: dict[Format, str] = {
    Format.CSV: f'\ufeffhash,id,kind,tags,video,seconds\r\n{PDQ},"a,b",pdq,x;y,film,1.5\r\n{MD5},é,md5,,,\r\n',
    Format.PDQ: f"hash,quality,timestamp\n{PDQ},100,0.5\n{PDQ},10,1\n{PDQ}\n",
    Format.VPDQ: f"0,100,{PDQ},0.000\n30,3,{PDQ},1e0\n",
    Format.THREATEXCHANGE: f'signal_type,value\npdq,{PDQ}\nvpdq,"[""{PDQ},90,0.0""]"\nurl,x\nHASH_MD5,{MD5}\n',
    Format.VICS: json.dumps(
        {
            "@odata.context": "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Cases",
            "value": [
                {
                    "CaseID": 1,
                    "Media": [
                        {
                            "MediaID": 7,
                            "Category": "1",
                            "MD5": MD5,
                            "Series": None,
                            "VictimIdentified": "True",
                            "Tags": ["é", 1.5],
                            "Alternates": [{"HashName": "PDQ", "HashValue": PDQ}, {"HashName": "PhotoDNA"}],
                        }
                    ],
                }
            ],
        },
        ensure_ascii=False,
    ),
    Format.NCMEC: (
        '<?xml version="1.0" encoding="UTF-8"?><queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'
        f'<images maxTimestamp="2017-10-24T15:10:00Z"><image><member id="42">É</member>'
        "<timestamp>2017-10-24T15:00:00Z</timestamp><id>image1</id><classification>A1</classification>"
        f"<fingerprints><md5>{MD5}</md5><pdna>aa</pdna><pdq>{PDQ}</pdq></fingerprints></image>"
        '<deletedImage><member id="43"/><id>image1</id><timestamp>2017-10-24T15:10:00Z</timestamp></deletedImage>'
        "</images></queryResult>"
    ),
}
FORMATS = st.sampled_from(Format)

PUNCTUATION = [b"", b"\0", b"\n", b"\r\n", b'"', b",", b"{", b"}", b"[", b"]", b":", b"<", b">", b"&a;", b"<!--"]
VALUES = [b"<!DOCTYPE a>", b"\xff", b"9" * 50, b"null", b"1e999", b"-1", b"\\ud800", b"\xef\xbb\xbf", b" " * 50]
PIECES = st.sampled_from(PUNCTUATION + VALUES)
DIGITS_OF_A_HASH = re.compile(r"[0-9a-fA-F]{12}")


def check(data: bytes, layout: Format | None) -> None:
    refusal = ""
    try:
        for record in read(io.BytesIO(data), format=layout):
            if isinstance(record, Entry):
                assert len(record.value) == record.kind.size_bytes
                assert 1 <= len(record.entry) <= LARGEST_ID
                assert record.entry.isprintable()
                assert record.seconds is None or 0 <= record.seconds < float("inf")
            elif isinstance(record, Removal):
                assert 1 <= len(record.entry) <= LARGEST_ID
    except ListFormatError as refused:
        refusal = str(refused)
    assert refusal.isprintable()
    assert not DIGITS_OF_A_HASH.search(refusal), "a hash is quoted"


@pytest.mark.parametrize("layout", SAMPLES)
def test_the_samples_are_valid(layout: Format) -> None:
    """The tests below would test refusals only."""
    assert any(isinstance(record, Entry) for record in read(io.BytesIO(SAMPLES[layout].encode())))


@given(st.binary(max_size=300), FORMATS | st.none())
def test_any_bytes(data: bytes, layout: Format | None) -> None:
    """A wrong file, given by mistake, would end in a traceback."""
    check(data, layout)


@given(st.data(), FORMATS)
def test_damaged_files(data: st.DataObject, layout: Format) -> None:
    """A truncated, edited, joined or malicious file would end in a traceback."""
    raw = SAMPLES[layout].encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.integers(0, 40)))
        raw = raw[:start] + data.draw(PIECES) + raw[end:]
    check(raw, layout)
    check(raw, None)


@given(st.data(), FORMATS, FORMATS)
def test_a_file_with_the_wrong_format_name(data: st.DataObject, layout: Format, named: Format) -> None:
    """The wrong word after --format would end in a traceback."""
    check(SAMPLES[layout].encode(), named)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([MD5, PDQ]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["MediaID", "Category", "MD5", "SHA1", "PDQ", "Tags", "Series", "HashName", "HashValue", "Exifs"]
)


@given(st.lists(st.dictionaries(FIELDS, JSON_VALUES, max_size=6), max_size=4))
def test_media_with_fields_of_any_type(media: list[dict[str, object]]) -> None:
    """Tools write fields as numbers, texts, lists and null: some would end in a traceback."""
    context = "http://github.com/ICMEC/ProjectVic/DataModels/1.3.xml#Media"
    check(json.dumps({"odata.metadata": context, "value": media}).encode(), None)
