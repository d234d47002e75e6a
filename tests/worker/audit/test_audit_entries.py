"""Entries of the audit log, as acts append them."""

import json

import pytest
from redis import Redis

from worker.audit.entries import MAX_TEXT, MAX_TEXTS, Act, append_entry, audit_entry
from worker.store.redis_keys import AUDIT_UNLINKED


def test_an_entry_says_who_did_what_to_what():
    """An auditor could not tell whose act it was, or whether the name was proved."""
    entry = json.loads(audit_entry(Act.VIEW, by="kim", verified=True, subject="5a", reason="new detail", clear=True))
    assert len(entry.pop("id")) == 32
    assert entry == {
        "act": "view",
        "by": "kim",
        "verified": True,
        "subject": "5a",
        "details": {"clear": True, "reason": "new detail"},
    }


def test_texts_that_are_long_are_cut_visibly():
    """A note of megabytes would fill Redis, or its end would be missing without a word."""
    long, many = "x" * (MAX_TEXT + 1), [str(number) for number in range(MAX_TEXTS + 2)]
    details = json.loads(audit_entry(Act.LIST, by="kim", verified=False, subject="s", note=long, ids=many))["details"]
    assert details["note"] == "x" * MAX_TEXT + f"… ({MAX_TEXT + 1} characters)"
    assert details["ids"][-1] == "… and 2 more"


def test_an_entry_is_one_line_of_ascii_whatever_a_person_wrote():
    """A control character or half a surrogate pair would break the file of entries, or the reading of it."""
    text = audit_entry(Act.DECISION, by="Zoë\n", verified=False, subject="\ud800", note="\x1b[2J\u202e")
    assert text.isascii()
    assert text.isprintable()


def test_an_act_of_another_kind_is_refused():
    """A misspelt act would be found by no filter of `audit list`."""
    with pytest.raises(ValueError, match="peek"):
        audit_entry("peek", by="kim", verified=False, subject="s")


def test_an_appended_entry_waits_for_the_chainer(redis: Redis):
    """A view would be on no record."""
    entry = audit_entry(Act.VIEW, by="kim", verified=False, subject="5a")
    append_entry(redis, entry)
    assert [fields for _, fields in redis.xrange(AUDIT_UNLINKED.name)] == [{"entry": entry}]
