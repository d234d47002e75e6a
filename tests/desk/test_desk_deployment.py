"""Settings of the desk: what is refused before anybody can sign in."""

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.settings import Settings
from desk.deployment import deployment_of


def settings(**values: str) -> Settings:
    return Settings.from_mapping({f"LIVEWARDEN_DESK_{name}": value for name, value in values.items()})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"URL": "http://desk.example"}, "DESK_URL: expected https"),
        ({"URL": "http://127.0.0.1.evil.example"}, "DESK_URL: expected https"),
        ({"URL": "desk.example"}, "DESK_URL: expected https"),
        ({"URL": "https://kim:pass@desk.example"}, "DESK_URL: expected https"),
        ({"URL": "https://desk.example/below"}, "DESK_URL: expected https"),
        ({"LISTEN": "8300"}, "DESK_LISTEN: expected ADDRESS:PORT"),
        ({"LISTEN": "127.0.0.1:99999"}, "DESK_LISTEN: expected ADDRESS:PORT"),
        ({"PROXY_FROM": "10.0.0.0/99"}, "DESK_PROXY_FROM: expected addresses"),
        ({"PROXY_HEADER": "X-User"}, "DESK_PROXY_HEADER: needs LIVEWARDEN_DESK_PROXY_FROM"),
        ({"SECRET_FILE": "/nowhere"}, "DESK_SECRET_FILE: cannot be read"),
    ],
)
def test_an_unsafe_setting_is_refused(values: dict[str, str], named: str) -> None:
    """Passwords would be readable on the way, or anybody could name themselves in a header."""
    with pytest.raises(SettingsError, match=named):
        deployment_of(settings(**values))


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    """Proofs of people behind the proxy would be sealed under a guess."""
    (tmp_path / "secret").write_text("secret\n")
    with pytest.raises(SettingsError, match="at least 32"):
        deployment_of(settings(SECRET_FILE=f"{tmp_path}/secret"))


def test_the_defaults_are_one_machine_s() -> None:
    """A newcomer would have to set something up; or the desk would be open to the network."""
    deployment = deployment_of(Settings())
    assert (deployment.origin, deployment.listen_host, deployment.secure) == (
        "http://127.0.0.1:8300",
        "127.0.0.1",
        False,
    )


def test_behind_tls_and_a_proxy(tmp_path: Path) -> None:
    """Cookies would go without Secure, or the proxy be a stranger."""
    (tmp_path / "secret").write_text("s" * 64)
    deployment = deployment_of(
        settings(
            URL="https://Desk.Example/",
            PROXY_FROM="10.0.0.7, fd00::/8",
            PROXY_HEADER="X-User",
            SECRET_FILE=f"{tmp_path}/secret",
        )
    )
    assert (deployment.origin, deployment.host, deployment.secure) == ("https://desk.example", "desk.example", True)
    assert [deployment.is_proxy(peer) for peer in ("10.0.0.7", "fd12::1", "10.0.0.8", "nonsense")] == [
        True,
        True,
        False,
        False,
    ]
    assert deployment.proxy_header == "x-user"
