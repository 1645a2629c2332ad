"""Downloads go to the hosts of their source, over https, and to no address inside anybody's network."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.base import RefusedError
from pipelines.web.hosts import AllowList, check_peer

HOSTS = AllowList(frozenset({"images.example.org"}))
IN_TESTS = AllowList(frozenset({"images.example.org"}), loopback=True)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://images.example.org/a?b=c&d=%20", "/a?b=c&d=%20"),
        ("https://images.example.org", "/"),
        ("https://IMAGES.example.org:443/a#part", "/a"),
        ("https://images.example.org./a", "/a"),
    ],
)
def test_a_host_of_the_source_is_asked_over_https(url, target):
    checked = HOSTS.check(url)
    assert (checked.scheme, checked.host, checked.port, checked.target, checked.loopback) == (
        *("https", "images.example.org", 443, target, False),
    )
    assert IN_TESTS.check(url) == checked, "what tests may do changes nothing else"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://images.example.org/a",
        "ftp://images.example.org/a",
        "file:///etc/passwd",
        "//images.example.org/a",
        "https://other.example.org/a",
        "https://images.example.org.evil.net/a",
        "https://evil.net/images.example.org",
        "https://images.example.org@evil.net/a",
        "https://evil.net\\@images.example.org/a",
        "https://user@images.example.org/a",
        "https://images.example.org:8443/a",
        "https://images.example.org:99999/a",
        "https://images.example.org/a b",
        "https://images.example.org/a\r\nX: y",
        "https://images.exämple.org/",
        "https://[images.example.org]/",
        "https://93.184.216.34/",
    ],
)
def test_everything_else_is_refused(url):
    for allowed in (HOSTS, IN_TESTS):
        with pytest.raises(RefusedError):
            allowed.check(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "[::1]", "localhost"])
def test_loopback_is_for_tests_alone_and_then_any_port_and_http(host):
    for url in (f"http://{host}:8080/a", f"https://{host}/a", f"http://{host}/a"):
        assert IN_TESTS.check(url).loopback
        with pytest.raises(RefusedError):
            HOSTS.check(url)


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "[::]", "[fe80::1]"])
def test_tests_may_not_reach_other_private_addresses(host):
    with pytest.raises(RefusedError):
        IN_TESTS.check(f"http://{host}/")


PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::"),
]


@pytest.mark.parametrize("peer", PRIVATE)
def test_an_address_that_is_not_public_is_refused_however_it_is_written(peer):
    with pytest.raises(RefusedError, match="no public address"):
        check_peer(peer, loopback=False)


@pytest.mark.parametrize("peer", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_a_public_address_is_not(peer):
    check_peer(peer, loopback=False)
    with pytest.raises(RefusedError):
        check_peer(peer, loopback=True)  # a name of this machine that leads elsewhere


@given(st.ip_addresses(v=4))
def test_no_private_ipv4_address_passes_in_any_dress(address):
    allowed = address.is_global and not address.is_multicast
    number = int(address)
    for peer in (str(address), f"::ffff:{address}", str(ipaddress.IPv6Address((0x64FF9B << 96) | number))):
        try:
            check_peer(peer, loopback=False)
        except RefusedError:
            assert not allowed
        else:
            assert allowed
