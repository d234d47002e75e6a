"""Allowed addresses: the guard between a hostile playlist and the operator's own network."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import FetchError, OriginEntryError
from worker.ingest.http.origins import AllowedOrigins, entry_for, is_public
from worker.ingest.http.urls import UrlTarget, target_of

PUBLIC = ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "::ffff:93.184.216.34"]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed_without_entries(address: str) -> None:
    """A deployment without an allow list could watch nothing."""
    assert AllowedOrigins.parse([]).permits(UrlTarget(host="cdn.example", port=443), ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_our_own_network_is_refused_without_entries(address: str) -> None:
    """A broadcaster could read a cloud's metadata, or a service next to the worker."""
    assert not AllowedOrigins.parse([]).permits(UrlTarget(host="cdn.example", port=80), ip_address(address))


@given(st.ip_addresses())
def test_addresses_that_python_calls_private_are_never_public(address: object) -> None:
    """A network that is private to the standard library, and missing in our table, would be reachable."""
    ip = ip_address(str(address))
    if ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        embeds_v4 = ip.version == 6 and ip.ipv4_mapped is not None
        assert embeds_v4 or not is_public(ip)


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("cdn.example", "cdn.example", 443, True),
        ("cdn.example", "cdn.example", 80, True),
        ("cdn.example", "cdn.example", 8080, False),
        ("CDN.Example.", "cdn.example", 443, True),
        ("cdn.example", "evil.cdn.example", 443, False),
        ("cdn.example", "cdn.example.evil", 443, False),
        ("cdn.example:8443", "cdn.example", 8443, True),
        ("cdn.example:8443", "cdn.example", 443, False),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
    ],
)
def test_a_name_entry_allows_a_host_and_its_ports(entry: str, host: str, port: int, allowed: bool) -> None:
    """An operator's list would allow more, or less, than it says."""
    origins = AllowedOrigins.parse([entry])
    assert origins.permits(UrlTarget(host=host, port=port), ip_address("93.184.216.34")) is allowed


@pytest.mark.parametrize(
    ("entry", "address", "port", "allowed"),
    [
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("10.0.0.1", "10.0.0.1", 81, False),
        ("10.0.0.1", "10.0.0.2", 80, False),
        ("10.0.0.1:81", "10.0.0.1", 81, True),
        ("10.0.0.1:81", "10.0.0.1", 80, False),
        ("[::1]:81", "::1", 81, True),
        ("[::1]:81", "::1", 82, False),
        ("::1", "::1", 443, True),
        ("[::1]", "::1", 443, True),
        ("::1", "::1", 82, False),
        ("10.0.0.0/8:8080", "10.9.9.9", 8080, True),
        ("10.0.0.0/8:8080", "10.9.9.9", 80, False),
        ("10.0.0.0/8", "10.9.9.9", 8080, False),
        ("[fd00::/8]:8080", "fd00::5", 8080, True),
        ("[fd00::/8]:8080", "fd00::5", 443, False),
        ("fd00::/8", "fd00::5", 443, True),
        ("[fd00::/8]", "fd00::5", 443, True),
    ],
)
@pytest.mark.parametrize("host", ["literal", "origin.internal"])
def test_an_address_or_network_entry_allows_its_addresses_and_ports(
    entry: str, address: str, port: int, allowed: bool, host: str
) -> None:
    """A listed network would allow every port of its machines, or not what the operator listed."""
    target = UrlTarget(host=address if host == "literal" else host, port=port)
    assert AllowedOrigins.parse([entry]).permits(target, ip_address(address)) is allowed


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_listed_name_does_not_lead_into_our_own_network(address: str) -> None:
    """The owner of a listed CDN's name servers could read services that only the worker can reach."""
    target = UrlTarget(host="cdn.example", port=443)
    assert not AllowedOrigins.parse(["cdn.example"]).permits(target, ip_address(address))
    assert not AllowedOrigins.parse(["cdn.example", "203.0.113.0/24"]).permits(target, ip_address(address))


def test_a_listed_name_reaches_a_private_address_that_is_listed_too() -> None:
    """Origins in an operator's own network could not be allowed."""
    origins = AllowedOrigins.parse(["origin:8080", "10.1.0.0/16:8080"])
    assert origins.permits(UrlTarget(host="origin", port=8080), ip_address("10.1.2.3"))
    assert not origins.permits(UrlTarget(host="origin", port=8080), ip_address("10.2.2.3"))


METADATA = {
    "169.254.169.254": "169.254.0.0/16",
    "169.254.0.23": "0.0.0.0/0",
    "100.100.100.200": "100.64.0.0/10",
    "168.63.129.16": "168.63.0.0/16",
    "192.0.0.192": "192.0.0.0/24",
    "fe80::1": "fe80::/10",
    "fd00:ec2::254": "fd00::/8",
    "::ffff:169.254.169.254": "::/0",
    "64:ff9b::a9fe:a9fe": "64:ff9b::/96",
}


@pytest.mark.parametrize(("address", "network"), METADATA.items())
def test_metadata_needs_an_entry_of_its_own(address: str, network: str) -> None:
    """A wide private network on the list would expose the machine's credentials to a broadcaster's redirect."""
    target = UrlTarget(host=address, port=80)
    assert not AllowedOrigins.parse([network, "cdn.example"]).permits(target, ip_address(address))
    assert AllowedOrigins.parse([network, address]).permits(target, ip_address(address))


def test_a_refusal_names_the_entry_that_would_allow_it() -> None:
    """An operator would see a refused origin without knowing which entry to add."""
    origins = AllowedOrigins.parse(["origin:8080", "cdn.example"])
    private = [ip_address("10.1.2.3")]
    listed = origins.refusal(UrlTarget(host="origin", port=8080), private)
    assert "10.1.2.3:8080" in listed
    assert AllowedOrigins.parse(["10.1.2.3:8080"]).permits(UrlTarget(host="origin", port=8080), private[0])
    assert "entry cdn.example:8080" in origins.refusal(UrlTarget(host="cdn.example", port=8080), private)
    assert "entry other.example:443" in origins.refusal(UrlTarget(host="other.example", port=443), private)
    assert "entry [fd00::7]:443" in origins.refusal(UrlTarget(host="fd00::7", port=443), ())


def test_a_refusal_reveals_nothing_of_our_own_network() -> None:
    """A broadcaster could map the operator's network through DNS names, wherever a refusal is shown."""
    private = [ip_address("10.1.2.3")]
    for entries in ([], ["origin:8080"]):
        text = AllowedOrigins.parse(entries).refusal(UrlTarget(host="evil.example", port=443), private)
        assert "10.1.2.3" not in text


@given(st.ip_addresses(), st.integers(1, 65535))
def test_the_entry_named_in_a_refusal_allows_the_address(address: object, port: int) -> None:
    """The entry that a refusal suggests would be invalid, or have no effect."""
    ip = ip_address(str(address))
    origins = AllowedOrigins.parse([entry_for(ip, port)])
    assert origins.permits(UrlTarget(host=str(ip), port=port), ip)
    assert not origins.permits(UrlTarget(host=str(ip), port=port % 65535 + 1), ip)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("10.0.3.4", True), ("::ffff:10.0.3.4", True), ("10.1.0.1", False), ("93.184.216.34", False), ("fd00::5", True)],
)
def test_a_network_entry_allows_names_that_resolve_into_it(address: str, allowed: bool) -> None:
    """Origins in a private network could not be allowed by their network, or a public address would slip in."""
    origins = AllowedOrigins.parse(["10.0.0.0/16", "fd00::/64"])
    assert origins.permits(UrlTarget(host="origin.internal", port=80), ip_address(address)) is allowed


@pytest.mark.parametrize(
    "entry",
    [
        *("https://cdn.example", "cdn.example/live", "cdn.example:0", "cdn.example:65536", "cdn.example:x", ""),
        *(
            "fd00::/8:8080",
            "[10.0.0.0/8]:80",
            "[cdn.example]:80",
            "10.0.0.0/8:0",
            "10.0.0.0/8:",
            "[::1]80",
            "[fe80::1%eth0]",
        ),
        *("a..b", "cdn.example:８０", "10.0.0.0/33", "10.0.0.0/8:80:80"),
        *("cdn.example:", "10.0.0.1/8", "[::1:80", "[nonsense]:80", "*.cdn.example", "cdn example", "user@cdn.example"),
    ],
)
def test_a_bad_entry_is_quoted(entry: str) -> None:
    """An operator would not find the entry that keeps the worker from starting, or a bad entry would silently allow
    nothing."""
    with pytest.raises(OriginEntryError, match="allowed origin ") as refusal:
        AllowedOrigins.parse(["cdn.example", entry])
    assert repr(entry) in str(refusal.value)
    assert "expected" in str(refusal.value)


def test_a_named_url_allows_only_itself() -> None:
    """`livewarden scan` of a local server would be refused, or its playlist could name any other local server."""
    origins = AllowedOrigins.parse([]).with_named("http://LOCALHOST:8080/live.m3u8?x=1")
    local = ip_address("127.0.0.1")
    assert origins.permits(UrlTarget(host="localhost", port=8080), local)
    assert not origins.permits(UrlTarget(host="localhost", port=6379), local)
    assert not origins.permits(UrlTarget(host="127.0.0.1", port=8080), local)
    assert origins.permits(UrlTarget(host="cdn.example", port=443), ip_address("93.184.216.34"))


def test_a_named_url_adds_to_entries() -> None:
    """Naming a URL would open a restricted deployment to every public address."""
    origins = AllowedOrigins.parse(["cdn.example"]).with_named("http://[::1]:8080/")
    assert origins.permits(UrlTarget(host="::1", port=8080), ip_address("::1"))
    assert not origins.permits(UrlTarget(host="other.example", port=443), ip_address("93.184.216.34"))


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://cdn.example/a", "file:///etc/passwd", "cdn.example/a", "//cdn.example/a", "https:cdn.example", ""),
        *("http://", "http://:80/", "http://cdn.example:99999/", "http://cdn.example:0/", "http://[::1/"),
        *("http://a\\@b/", "http://u:p@cdn.example/", "http://u@cdn.example/"),
    ],
)
def test_only_plain_http_urls_have_a_target(url: str) -> None:
    """A URL of another kind would reach a parser that reads a different host from it."""
    with pytest.raises(FetchError, match="expected") as refusal:
        target_of(url)
    assert refusal.value.reason == "bad_url"
    assert "u:p" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("HTTP://CDN.Example./a", UrlTarget(host="cdn.example", port=80)),
        ("https://[2001:DB8:0::1]/", UrlTarget(host="2001:db8::1", port=443)),
        ("http://１２７.0.0.1/", UrlTarget(host="127.0.0.1", port=80)),
    ],
)
def test_spellings_of_a_host_are_equal(url: str, target: UrlTarget) -> None:
    """An allowed host would be refused for its spelling, or a forbidden one would slip through."""
    assert target_of(url) == target
