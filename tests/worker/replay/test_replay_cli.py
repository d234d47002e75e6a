"""`livewarden policy replay` as policy authors run it, on a log in a real folder."""

import time
from pathlib import Path

import pytest
from commandline import Ran, livewarden
from logged import row, write
from PIL import Image
from replayed import sample

from worker.store.object_store import ObjectStore

POLICY = """
version: "7"
rules:
  - {name: nude, when: 'score("open-nsfw/nsfw") > 0.5', severity: review}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a policy, and a log of ten pictures of ten minutes ago."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    begin_ms = round(time.time() * 1000) - 600_000
    rows = [
        row(
            **sample(0.5, score=0.1) | {"scores": [("open-nsfw/nsfw", 0.1 * number), ("gone/nsfw", 0.1 * number)]},
            segment_key=f"{number}",
            capture_ms=begin_ms + 2000 * number,
            settled_ms=begin_ms + 2000 * number + 3000,
            settled_after=0,
            epoch=1,
            metadata='{"level": "high"}',
        )
        for number in range(10)
    ]
    write(ObjectStore(str(tmp_path / "store")), rows, written_ms=begin_ms + 30_000)
    return tmp_path


def replay(folder: Path, *arguments: object, store: str = "store") -> Ran:
    return livewarden(
        "policy", "replay", "--policy", "policy.yaml", *arguments,
        environment={"LIVEWARDEN_STORE_URL": store}, folder=folder,
    )  # fmt: skip


class TestInput:
    def test_a_time_that_no_log_covers(self, folder: Path) -> None:
        """A typo would end in a traceback."""
        ran = replay(folder, "--since", "999999d")
        assert ran.status == 2
        assert "expected at most 3650d" in ran.err
        assert "Traceback" not in ran.err
        assert replay(folder, "--since", "3650d", "--json").of_type("summary")[0]["pictures"] == 10

    def test_a_store_without_a_log(self, folder: Path) -> None:
        """A mistyped path would look like a policy that changes nothing."""
        for store in ("stor", ".", "file:///nowhere"):
            ran = replay(folder, "--json", store=store)
            assert (ran.status, ran.out) == (2, "")
            assert "there is no verdict log: expected LIVEWARDEN_STORE_URL to name" in ran.message

    def test_a_time_without_logged_rows(self, folder: Path) -> None:
        """A replay of nothing would report that nothing differs."""
        ran = replay(folder, "--since", "5m")
        assert ran.status == 0
        assert "Nothing was logged in that time." in ran.out
        assert "No incident differs." not in ran.out

    def test_a_damaged_file(self, folder: Path) -> None:
        """One file of many would make a replay impossible; or its rows would be missing, unnoticed."""
        begin_ms = round(time.time() * 1000) - 500_000
        file = write(ObjectStore(str(folder / "store")), [row(capture_ms=begin_ms)], written_ms=begin_ms)
        (folder / "store" / file.path).write_bytes(b"PAR1 and not much more")
        ran = replay(folder, "--json")
        assert ran.status == 0
        (summary,) = ran.of_type("summary")
        assert (summary["pictures"], summary["files_damaged"]) == (10, 1)
        assert "1 file of the verdict log cannot be read" in " ".join(ran.err.split())
        assert file.name in "".join(ran.err.split())


class TestPlot:
    @pytest.mark.parametrize(
        ("name", "begins"),
        [("s.png", b"\x89PNG"), ("s.JPG", b"\xff\xd8\xff"), ("s.webp", b"RIFF"), ("s.pdf", b"%PDF"), ("s.tif", b"II*")],
    )
    def test_has_the_format_of_its_suffix(self, folder: Path, name: str, begins: bytes) -> None:
        """No viewer would open a file whose content does not match its name."""
        ran = replay(folder, "--plot", name)
        assert ran.status == 0, ran.err
        assert (folder / name).read_bytes().startswith(begins)
        if not name.endswith(".pdf"):
            with Image.open(folder / name) as image:
                assert image.width == 1200

    @pytest.mark.parametrize(
        ("name", "reported"),
        [
            ("s.svg", "s.svg: expected a name that ends in .png, "),
            ("s.txt", "s.txt: expected a name that ends in .png, "),
            ("s", "s: expected a name that ends in .png, "),
            ("none/s.png", "none/s.png: cannot be written: No such file or directory"),
        ],
    )
    def test_an_impossible_plot_is_reported_before_the_replay(self, folder: Path, name: str, reported: str) -> None:
        """A user would have to repeat a long replay."""
        ran = replay(folder, "--plot", name)
        assert (ran.status, ran.out) == (2, "")
        assert ran.message.startswith(reported)
        assert not (folder / name).exists()

    def test_checking_the_path_leaves_an_existing_file(self, folder: Path) -> None:
        """A mistyped store would cost the previous plot."""
        (folder / "s.png").write_bytes(b"before")
        assert replay(folder, "--plot", "s.png", store="stor").status == 2
        assert (folder / "s.png").read_bytes() == b"before"
        assert replay(folder, "--plot", "new.png", store="stor").status == 2
        assert not (folder / "new.png").exists()


class TestFailingRules:
    LEVEL = "  - {name: level, when: 'score(\"open-nsfw/nsfw\") > 0.55 && stream.metadata.level > 3', severity: high}\n"

    def test_they_are_reported(self, folder: Path) -> None:
        """A rule that can never hold would look like one without cause to."""
        (folder / "policy.yaml").write_text(POLICY + self.LEVEL)
        ran = replay(folder)
        assert ran.status == 0
        assert "Rule level cannot be evaluated on 4 of the pictures, and raises nothing for them" in ran.out
        (level,) = (line.split() for line in ran.out.splitlines() if line.startswith("level"))
        assert (level[:4], level[-1]) == (["level", "(failed", "on", "4)"], "0")
        records = replay(folder, "--json")
        assert [(one["rule"], one["failed"]) for one in records.of_type("rule")] == [("nude", 0), ("level", 4)]
        assert [one["rule"] for one in records.of_type("warning")] == ["level"]
        assert records.of_type("summary")[0]["rules_failed"] == {"level": 4}

    def test_nothing_is_reported_where_none_fails(self, folder: Path) -> None:
        """Notes about zero failures would train users to ignore them."""
        assert "failed" not in replay(folder).out
        assert replay(folder, "--json").of_type("warning") == []


class TestRemovedModels:
    OLD = "{name: old, when: 'score(\"gone/nsfw\") > 0.65', severity: high}"

    def test_they_are_tried_on_the_scores_in_the_log(self, folder: Path) -> None:
        """After a model is replaced, nobody could measure the improvement."""
        cascade = "cascade: [{model: open-nsfw}, {model: gone, when: 'score(\"open-nsfw/nsfw\") > 0.1'}]\n"
        for begin in ("", cascade):
            (folder / "policy.yaml").write_text(f'version: "6"\n{begin}rules:\n  - {self.OLD}\n')
            ran = replay(folder, "--json")
            assert ran.status == 0
            assert ran.message == "gone: not installed here: its scores are those in the log"
            assert [one["hits"] for one in ran.of_type("rule")] == [3]

    @pytest.mark.parametrize(
        ("old", "new", "reported"),
        [
            ("gone/nsfw", "gonne/nsfw", "unknown score 'gonne/nsfw'"),
            ("gone/nsfw", "open-nsfw/nsfv", "unknown score 'open-nsfw/nsfv': did you mean 'open-nsfw/nsfw'?"),
            ("rules:", "cascade: [{model: gonne}]\nrules:", "unknown score 'gone/nsfw'"),
            ("high", "hihg", "rules[0].severity (rule 'old'): "),
        ],
    )
    def test_unknown_models_are_refused(self, folder: Path, old: str, new: str, reported: str) -> None:
        """A typo would be a rule that never holds, and no incident would differ."""
        text = f'version: "6"\nrules:\n  - {self.OLD}\n'
        (folder / "policy.yaml").write_text(text.replace(old, new))
        ran = replay(folder)
        assert (ran.status, ran.out) == (2, "")
        assert reported in ran.message

    def test_only_models_of_the_replayed_time_are_known(self, folder: Path) -> None:
        """All scores would be 0.0, and the policy would seem to raise nothing."""
        (folder / "policy.yaml").write_text(f'version: "6"\nrules:\n  - {self.OLD}\n')
        ran = replay(folder, "--since", "5m")
        assert ran.status == 2
        assert "unknown score 'gone/nsfw'" in ran.message
