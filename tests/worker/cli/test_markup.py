"""Names and texts written by people, in tables: brackets are not read as markup, and nothing steers the terminal."""

from pathlib import Path

from commandline import livewarden

from config.policy.policy import read_policy


def test_a_policy_in_a_folder_with_brackets(tmp_path: Path) -> None:
    """A check would name another file than it read, or end in a traceback."""
    policy = tmp_path / "[prod]" / "p[a].yaml"
    policy.parent.mkdir()
    policy.write_bytes(read_policy(None))
    checked = livewarden("policy", "check", policy, environment={"COLUMNS": "500"})
    assert checked.status == 0
    assert f"{policy}, version" in checked.out


def test_a_stream_whose_address_has_brackets(redis_url: str) -> None:
    """An operator would read a wrong address of the stream."""
    url, environment = "https://cdn.example/[live]/[/a]/index.m3u8", {"LIVEWARDEN_REDIS_URL": redis_url}
    added = livewarden("streams", "add", "s", "--url", url, "--json", environment=environment)
    (record,) = added.records
    shown = livewarden("streams", "show", "s", environment=environment)
    assert shown.status == 0
    assert record["url"] in shown.out
    assert "[" in record["url"]


def test_a_list_whose_source_has_brackets(redis_url: str, tmp_path: Path) -> None:
    """The lists of the bank could not be shown."""
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    assert livewarden("bank", "create", "own", "--source", "a [/b] \x1b[2J", environment=environment).status == 0
    listed = livewarden("bank", "list", environment=environment)
    assert listed.status == 0
    assert "a [/b] \\u001b[2J" in listed.out
    assert livewarden("bank", "stats", environment=environment).status == 0
