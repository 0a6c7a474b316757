"""Resolve listen addresses, and format them for Triton and URLs."""

from __future__ import annotations

import ipaddress
import os
import re
import socket

from distillex_serving.errors import PreconditionError

LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"(?=.{1,253}\.?\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.(?!\Z)|\.?\Z))+")
ANY_ADDRESS = {"0.0.0.0": LOOPBACK, "::": "::1"}


def own_address(host: str) -> str:
    """Return the numeric address to listen at for ``host``: itself, or what the name stands for, IPv4 first.

    Raises
    ------
    PreconditionError
        When it is no address and no known name, or not an address of this machine.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM) if host.strip("[]") else []
    except (socket.gaierror, UnicodeError):
        found = []
    if not found:
        raise PreconditionError(f"--host {host!r} cannot be used: it is neither an address nor a known host name")
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.bind((address[0], 0, *address[2:]))
    except OSError as error:
        raise PreconditionError(
            f"--host {host!r} cannot be used: {address[0]} is no address of this machine "
            f"({os.strerror(error.errno or 0)}); 0.0.0.0 listens at all of them"
        ) from None
    return str(address[0])


def is_host(text: str) -> bool:
    """Return whether it is a host name, an IPv4 address, or an IPv6 address in brackets; nothing is looked up."""
    kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address] = ipaddress.IPv4Address
    address = text
    if text.startswith("[") and text.endswith("]"):
        kind, address = ipaddress.IPv6Address, text[1:-1]
    elif not re.search(r"(?:^|\.)[0-9]+\.?\Z", text):
        return _NAME.fullmatch(text) is not None
    # A name whose last part is a number is an address.
    try:
        kind(address)
    except ValueError:
        return False
    return True


def reachable(host: str, port: int) -> str:
    """Return ``host:port`` for clients on this machine; brackets around IPv6 addresses."""
    host = host.strip("[]")
    host = ANY_ADDRESS.get(host, host)
    return f"{in_brackets(host)}:{port}"


def in_brackets(address: str) -> str:
    """Write an address as gRPC and URLs read it."""
    return f"[{address}]" if ":" in address else address


def for_http(address: str) -> str:
    """Write an address as Triton's HTTP server reads it."""
    return f"ipv6:{address}" if ":" in address else address
