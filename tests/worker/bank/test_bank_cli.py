"""`livewarden bank` as operators and scripts run it."""

import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from commandline import COMMAND, Ran, livewarden
from redis import Redis

from worker.bank.keys import CHANGES, FOLLOWERS

HASH = "5a" * 32
NEAR = "5b" + "5a" * 31
Bank = Callable[..., Ran]


@pytest.fixture
def bank(redis: Redis, redis_url: str, tmp_path: Path) -> Bank:
    """Runs `livewarden bank …` on an empty bank."""
    assert redis.ping()
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    return lambda *arguments, **more: livewarden("bank", *arguments, environment=environment | more, folder=tmp_path)


def test_a_list_is_made_filled_queried_and_removed(bank: Bank, tmp_path: Path) -> None:
    """An operator's daily commands would fail or disagree with each other."""
    assert (
        bank(
            "create",
            "police",
            "--source",
            "a force",
            "--max-distance",
            20,
            "--variants",
            "mirror",
            "--variants",
            "crop",
        ).status
        == 0
    )
    (tmp_path / "known.csv").write_text(f"hash,id\n{HASH},case-7\n")
    (imported,) = bank("import", "police", "known.csv", "--json").records
    assert (imported["accepted"], imported["skipped"], imported["removed"]) == (1, {}, 0)
    assert (imported["list"], imported["created"], imported["format"]) == ("police", False, "csv")
    (police,) = [record for record in bank("list", "--json").records if record["list"] == "police"]
    assert (police["entries"], police["max_distance"], police["variants"]) == (1, 20, ["mirror", "crop"])
    (near,) = bank("match", NEAR, "--json").records
    assert near == {"hash": NEAR, "matches": [{"list": "police", "entry": "case-7", "distance": 1}]}
    assert bank("remove", "police", "case-7").status == 0
    assert bank("match", NEAR, "--json").records == [{"hash": NEAR, "matches": []}]
    assert bank("remove", "police", "--whole-list").status == 0
    assert "police" not in {record["list"] for record in bank("list", "--json").records}


def test_hashes_on_standard_input_are_matched_one_a_line(
    bank: Bank, redis_url: str, tmp_path: Path, redis: Redis
) -> None:
    """A script that checks a million hashes would start a million processes; or one bad line would stop it."""
    md5 = hashlib.md5(b"a file", usedforsecurity=False).hexdigest()
    bank("create", "own")
    for value, name in ((HASH, "picture"), (md5, "file")):
        assert bank("add", "own", value, "--id", name, "--json").records[0]["entry"] == name
    done = subprocess.run(
        [COMMAND, "bank", "match", "--json"],
        env={**os.environ, "LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank")},
        input=f"{NEAR.upper()}\r\n\nnonsense\n{md5}\n{'00' * 32}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [[(match["entry"], match["distance"]) for match in one["matches"]] for one in found] == [
        [("picture", 1)],
        [("file", 0)],
        [],
    ]
    assert found[0]["hash"] == NEAR.upper()
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "livewarden: line 3: expected 32 (MD5), 40 (SHA-1) or 64 (PDQ, SHA-256) hex digits, found 8 characters"
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (b"abc\n\xff\xfe\n" + 32 * b"0" + b"\n", ["line 1: expected 32", "line 2: expected 32"]),
        (64 * b"0" + b"\n" + (8 << 20) * b"0", ["line 2: expected a hash and the end"]),
    ],
)
def test_any_bytes_on_standard_input_are_refused_in_words(
    bank: Bank, redis_url: str, tmp_path: Path, given: bytes, found: list[str]
) -> None:
    done = subprocess.run(
        [COMMAND, "bank", "match", "--json"],
        env={
            **os.environ,
            "LIVEWARDEN_REDIS_URL": redis_url,
            "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
            "PYTHONIOENCODING": "utf-8:strict",
        },
        input=given,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 1)
    said = done.stderr.decode().splitlines()
    assert len(said) == len(found)
    for line, words in zip(said, found, strict=True):
        assert line.startswith(f"livewarden: {words}")


@pytest.fixture
def piped(redis: Redis, redis_url: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `livewarden bank …` with a text, or an open file, on standard input."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank")}

    def run(*arguments: str, given: str | IO[bytes]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "bank", *arguments],
            env={**os.environ, **environment, "TMPDIR": "/nowhere"},
            **({"input": given} if isinstance(given, str) else {"stdin": given}),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_import_from_standard_input_is_all_or_nothing(
    bank: Bank, piped: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A list could be imported into a container only after copying it there; or half a list would be in force."""
    many = "".join(f"{secrets.token_hex(32)},case-{number}\n" for number in range(20_000))  # more than a pipe holds
    done = piped("import", "police", "-", "--json", given=f"hash,id\n{many}{HASH},case\n")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert (record["accepted"], record["format"], record["added"]) == (20_001, "csv", 20_001)
    assert bank("match", HASH, "--json").records[0]["matches"][0]["entry"] == "case"
    before = bank("list", "--json").records
    for given, place in (
        (f"hash,id\n{NEAR},a\n{NEAR[:-1]},b\n", "standard input, line 3: "),
        ("", "standard input, line 1: expected a list of hashes, found an empty file"),
        ("<queryResult><images>", "standard input, "),
    ):
        done = piped("import", "police", "-", given=given)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"livewarden: {place}")
    assert bank("list", "--json").records == before
    with (tmp_path / "list.csv").open("w+b") as file:
        file.write(f"hash,id\n{NEAR},near\n".encode())
        file.flush()
        file.seek(0)
        assert "standard input (csv) into own" in piped("import", "own", "-", given=file).stdout
    assert [path.name for path in (tmp_path / "bank").iterdir() if path.is_file() and path.stat().st_size > 100] == []


def test_frames_of_a_video_from_standard_input_need_its_name(
    bank: Bank, piped: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Frames of two videos would be counted as one video: any two unrelated matches would look like a run."""
    frames = f"0,100,{HASH},0.0\n1,100,{NEAR},1.0\n"
    done = piped("import", "films", "-", given=frames)
    assert (done.returncode, "name of the video" in done.stderr) == (2, True)
    assert piped("import", "films", "-", "--video", "case-9", given=frames).returncode == 0
    found = {match["entry"] for match in bank("match", HASH, "--json").records[0]["matches"]}
    assert found == {"case-9#0", "case-9#1"}


def test_a_malformed_file_is_reported_with_its_line_and_changes_nothing(bank: Bank, tmp_path: Path) -> None:
    """An operator would not find the line; or the log would quote a hash."""
    (tmp_path / "known.csv").write_text(f"hash,id\n{HASH},case-7\n")
    bank("import", "own", "known.csv")
    before = bank("list", "--json").records
    (tmp_path / "bad.csv").write_text(f"hash,id\n{NEAR},case-8\n{NEAR[:-1]},case-9\n")
    ran = bank("import", "own", "bad.csv")
    assert ran.status == 2
    assert ran.message.startswith("bad.csv, line 3: ")
    assert NEAR[:8] not in ran.message
    assert bank("list", "--json").records == before
    ran = bank("import", "own", "known.csv", "--format", "vdpq")
    assert (ran.status, "vpdq" in ran.message) == (2, True)


def test_only_the_requested_categories_are_imported(bank: Bank, tmp_path: Path) -> None:
    """Police files also list harmless media: each would call moderators as known material."""
    media = [
        {"MediaID": number, "Category": category, "MD5": f"{number:032X}", "MediaSize": 1}
        for number, category in ((1, 1), (2, 2), (3, 4))
    ]
    context = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"
    (tmp_path / "vics.json").write_text(json.dumps({"@odata.context": context, "value": media}))
    (imported,) = bank("import", "police", "vics.json", "--category", 1, "--category", 2, "--json").records
    assert imported["accepted"] == 2
    assert imported["skipped"] == {"other-category": 1}
    found = bank("match", f"{1:032x}", f"{3:032x}", "--json").records
    assert [len(record["matches"]) for record in found] == [1, 0]


def test_categories_of_a_file_that_has_none_are_refused(bank: Bank, tmp_path: Path) -> None:
    """All of it would be imported, although a part was asked for."""
    (tmp_path / "all.csv").write_text(f"hash,id\n{NEAR},1\n")
    ran = bank("import", "police", "all.csv", "--category", 1)
    assert ran.status == 2
    assert ran.message == (
        "all.csv, start of file: expected ncmec or vics where categories are chosen, found csv: nothing was imported"
    )


def test_settings_of_a_list_can_be_changed_and_its_entries_stay(bank: Bank, tmp_path: Path) -> None:
    """An operator could quiet a list that calls moderators too often only by removing all its entries."""
    (tmp_path / "known.csv").write_text(f"hash,id\n{HASH},case-7\n")
    bank("import", "police", "known.csv")  # no settings yet
    assert bank("create", "police", "--change", "--source", "a force", "--max-distance", 0).status == 0
    (changed,) = bank("create", "police", "--change", "--variants", "mirror", "--json").records
    assert (changed["source"], changed["max_distance"], changed["variants"]) == ("a force", 0, ["mirror"])
    assert bank("match", NEAR, "--json").records[0]["matches"] == []
    assert bank("match", HASH, "--json").records[0]["matches"][0]["entry"] == "case-7"
    assert "built in" in bank("create", "selftest", "--change", "--max-distance", 0).message


def test_only_own_and_exportable_lists_are_exported(bank: Bank, tmp_path: Path) -> None:
    """A platform would break the terms on which an authority gave it a list."""
    bank("create", "own")
    bank("create", "theirs", "--source", "NCMEC")
    bank("create", "shared", "--source", "StopNCII", "--exportable")
    for name in ("own", "theirs", "shared"):
        assert bank("add", name, HASH, "--id", "e").status == 0
    refused = bank("export", "theirs", "out.csv")
    assert (refused.status, "NCMEC" in refused.message) == (2, True)
    assert not (tmp_path / "out.csv").exists()
    assert HASH in bank("export", "shared").out
    assert [record["hash"] for record in bank("export", "shared", "--json").records] == [HASH]
    (record,) = bank("export", "own", "out.txt", "--format", "threatexchange", "--json").records
    assert record["entries"] == 1
    assert (tmp_path / "out.txt").read_text() == f"signal_type,value\npdq,{HASH}\n"
    bank("export", "own", "out.csv")
    bank("import", "again", "out.csv")
    assert [match["list"] for match in bank("match", HASH, "--json").records[0]["matches"]] == [
        "own",
        "theirs",
        "shared",
        "again",
    ]
    assert bank("export", "again").status == 2  # no origin set yet


def test_confirm_allow_and_quarantine_from_the_command_line(bank: Bank) -> None:
    """Where the desk is down nobody could act on a hash; or no record would name who did."""
    confirm = ("add", "confirmed", HASH, "--quality", 93, "--role", "moderator", "--json")
    assert bank(*confirm, "--by", "alice").records[0]["confirmed"] is False
    assert bank(*confirm, "--by", "alice").status == 2
    (done,) = bank(*confirm, "--by", "bob").records
    assert (done["list"], done["confirmed"], done["proposed_by"]) == ("confirmed", True, "alice")
    # Put forward anew it would wait for another person, as if nobody had confirmed it.
    ran = bank(*confirm, "--by", "carol")
    assert (ran.status, ran.message) == (2, f"list confirmed has this picture already: entry {done['entry']}")
    bank("create", "police", "--source", "a force")
    bank("add", "police", NEAR, "--id", "case-7")
    lead = ("--by", "lea", "--role", "lead")
    assert bank("add", "allow", NEAR, "--for", "police", "--hours", 5, *lead).status == 0
    (held,) = bank("quarantine", "police", "case-7", "--hours", 2, "--reason", "a logo", *lead, "--json").records
    assert (held["list"], held["entry"], held["by"]) == ("police", "case-7", "lea")
    assert bank("quarantine", "--json").records == [held]
    assert bank("quarantine", "police", "case-7", "--lift", *lead).status == 0
    assert bank("quarantine", "--json").records == []
    assert (
        "only a lead"
        in bank("quarantine", "police", "case-7", "--hours", 2, "--reason", "x", *lead[:3], "moderator").message
    )
    assert "--by" in bank("quarantine", "police", "case-7", "--hours", 2, "--reason", "x").message


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("create", "own", "--max-distance", 32), "--max-distance: expected 0 to 31"),
        (("create", "own", "--variants", "flip"), "variants"),
        (("create", "a/b"), "LIST: expected 1 to 100 characters"),
        (("create", "selftest"), "list selftest exists"),
        (("add", "nowhere", HASH), "no list 'nowhere'"),
        (("add", "selftest", HASH), "takes no such entry"),
        (("remove", "selftest", "testcard-16x9"), "built in"),
        (("remove", "nowhere", "x"), "no list 'nowhere'"),
        (("remove", "selftest"), "--whole-list"),
        (("import", "own", "nowhere.csv"), "nowhere.csv"),
        (("export", "nowhere"), "no list 'nowhere'"),
    ],
)
def test_an_impossible_request_is_refused_in_one_line(bank: Bank, arguments: tuple, problem: str) -> None:
    """A user would get a traceback, or believe that the command succeeded."""
    ran = bank(*arguments)
    assert ran.status == 2
    assert problem in ran.message


def test_stats_show_processes_that_lag(bank: Bank, redis: Redis) -> None:
    """An operator could not find out whether a withdrawn hash is still in force somewhere."""
    bank("create", "own")
    seconds, _ = redis.time()
    redis.hset(FOLLOWERS, "there:1", json.dumps({"position": "1-0", "at_ms": seconds * 1000}))
    redis.hset(FOLLOWERS, "gone:2", json.dumps({"position": "1-0", "at_ms": 0}))
    (stats,) = bank("stats", "--json").records
    assert (stats["processes"], stats["processes_behind"], stats["changes"]) == (1, ["there:1"], 1)


def test_verify_finds_altered_snapshots(bank: Bank, tmp_path: Path, redis: Redis) -> None:
    """A flipped bit on disk would hide a picture from every search."""
    lines = "".join(f"{secrets.token_hex(32)},{number}\n" for number in range(6_000))
    (tmp_path / "known.csv").write_text(f"hash,id\n{lines}")
    assert bank("import", "own", "known.csv").status == 0
    sound = bank("verify", "--json")
    assert (sound.status, sound.records[0]["ok"]) == (0, True)
    (stats,) = bank("stats", "--json").records
    assert (stats["in_store"], stats["look_backs"], stats["entries"]) == (True, 1, 6_003)
    largest = max((tmp_path / "bank").glob("snapshot-*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(data)
    altered = bank("verify", "--json")
    assert (altered.status, altered.records[0]["ok"]) == (1, False)
    assert largest.name in altered.out
    redis.xadd(CHANGES, {"change": "{}", "by": "x"})
    assert "1 change cannot be read" in bank("verify").out


def test_without_redis_the_reason_is_printed(tmp_path: Path) -> None:
    """An unreachable bank would look like one without a match."""
    ran = livewarden("bank", "match", HASH, environment={"LIVEWARDEN_REDIS_URL": "redis://127.0.0.1:1/0"})
    assert ran.status == 2
    expected = "Redis: 127.0.0.1:1 cannot be reached (Connection refused): see that it runs, and LIVEWARDEN_REDIS_URL"
    assert ran.message == expected


def test_match_includes_lists_of_the_folder(bank: Bank, tmp_path: Path) -> None:
    """`match` would print "no match" for hashes that workers match."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "files.csv").write_text(f"hash,id\n{HASH},f\n")
    (found,) = bank("match", HASH, "--json", LIVEWARDEN_LISTS_DIR=str(tmp_path / "lists")).records
    assert found["matches"] == [{"list": "files", "entry": "f", "distance": 0}]


def test_authors_of_changes_stay_on_record(bank: Bank, redis: Redis, tmp_path: Path) -> None:
    """Once a change is part of a snapshot, nobody could find out who listed or removed a picture."""
    (tmp_path / "more.csv").write_text(f"hash,id\n{'a5' * 32},more\n")
    kim = ("--by", "kim", "--role", "operator")
    lea = ("--by", "lea", "--role", "lead")
    assert bank("create", "police", "--source", "a force", *kim).status == 0
    assert bank("import", "police", tmp_path / "more.csv", *kim).status == 0
    assert bank("add", "police", HASH, "--id", "case-7", "--tag", "A").status == 0
    assert bank("quarantine", "police", "case-7", "--reason", "a logo", *lea).status == 0
    assert bank("quarantine", "police", "case-7", "--lift", *lea).status == 0
    assert bank("add", "confirmed", HASH, "--quality", "90", "--by", "mo", "--role", "moderator").status == 0
    assert bank("add", "confirmed", HASH, "--quality", "90", *lea).status == 0
    assert bank("remove", "police", "case-7", "more", *kim).status == 0
    redis.xtrim("lw:bank:changes", maxlen=0)
    acts = [
        (act["did"], act["list"], act["by"], act["role"], act["entries"]) for act in bank("history", "--json").records
    ]
    confirmed = acts[1][4]
    assert acts == [
        ("remove", "police", "kim", "operator", ["case-7", "more"]),
        ("add", "confirmed", "lea", "lead", confirmed),
        ("propose", "confirmed", "mo", "moderator", confirmed),
        ("lift", "police", "lea", "lead", ["case-7"]),
        ("quarantine", "police", "lea", "lead", ["case-7"]),
        ("add", "police", "operator", "", ["case-7"]),
        ("import", "police", "kim", "operator", []),
        ("put_list", "police", "kim", "operator", []),
    ]
    (newest,) = bank("history", "police", "--limit", "1").out.splitlines()
    assert newest.endswith("kim (operator) removed 2 entries from police: case-7 more")
    lifted, quarantined, added, imported, created = bank("history", "police").out.splitlines()[1:]
    assert lifted.endswith("lea (lead) lifted the quarantine of police case-7")
    assert " lea (lead) put police case-7 into quarantine until 2" in quarantined
    assert quarantined.endswith("Z: a logo")
    assert added.endswith("operator added 1 entry to police: case-7 (tags: A)")
    assert imported.endswith("kim (operator) imported a file into police: 1 added, 0 withdrawn")
    assert created.endswith("kim (operator) set list police: source a force, distance at most 31, quality at least 50")
    assert HASH not in bank("history", "--json").out
    refused = bank("create", "other", "--by", "kim", "--role", "boss")
    assert (refused.status, "--role 'boss'" in refused.message) == (2, True)


def test_a_list_that_does_not_exist_is_named(bank: Bank) -> None:
    """A typo would look like a list that nobody has ever changed, or one without that entry."""
    lea = ("--by", "lea", "--role", "lead")
    for command in (
        ("history", "polise"),
        ("history", "polise", "--json"),
        ("quarantine", "polise", "case-7", "--reason", "a logo", *lea),
        ("add", "allow", HASH, "--for", "polise", "--hours", "3", *lea),
    ):
        ran = bank(*command)
        assert (ran.status, ran.out) == (2, "")
        assert ran.message == "no list 'polise': the lists are selftest, confirmed, allow"


def test_a_history_without_a_change_is_said(bank: Bank) -> None:
    """Nothing at all would look like a failure; and the history of a list that was withdrawn would be gone."""
    assert bank("history").out == "no change of any list is recorded\n"
    assert bank("history", "selftest").out == "no change of selftest is recorded\n"
    assert bank("history", "selftest", "--json").out == ""
    bank("create", "police")
    bank("remove", "police", "--whole-list")
    assert "police" in bank("history", "police").out.splitlines()[0]


def test_a_wrong_setting_of_a_list_is_named_as_it_was_given(bank: Bank) -> None:
    """A list keeper would look for an option that is called otherwise, or read a library's words."""
    for given, expected in (
        (("--max-distance", "40"), "--max-distance: expected 0 to 31"),
        (("--min-quality", "-1"), "--min-quality: expected 0 to 100"),
        (("--variants", "mirror,flip"), "--variants: expected mirror, rotate, crop"),
        (("--refresh-hours", "0"), "--refresh-hours: expected a number of hours above 0"),
        (("--refresh-hours", "inf"), "--refresh-hours: expected a number of hours above 0"),
    ):
        ran = bank("create", "police", *given)
        assert (ran.status, ran.message) == (2, expected)
    assert bank("create", "a list").message == "LIST: expected 1 to 100 characters of A-Z a-z 0-9 . _ -"
