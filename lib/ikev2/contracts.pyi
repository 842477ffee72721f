"""What a node asks of the objects that it is given, for type checkers: owners.py says what each is for.

There is no such module at run time: import it under `if typing.TYPE_CHECKING`.
"""

from typing import Any, Protocol

class Cipher(Protocol):
    """What crypto.cipher gives, for one direction."""

    iv_size: int
    block: int
    tag_size: int
    def seal(self, out: bytearray, at: int, head: int, end: int) -> object: ...
    def open(self, octets: bytes | bytearray, at: int, head: int, end: int, into: bytearray) -> bool: ...

class IkeOwner(Protocol):
    """Who speaks for an IKE SA: Node.attach."""

    invalid_spi_length: int
    longest: int
    waiting: bool
    failed: bool
    code: int
    follows: bool
    def report_unknown_spi(self, datagram: bytes | bytearray, at: int) -> object: ...
    def hint(self, now: int, denied: bool) -> object: ...
    def alive(self, now: int) -> object: ...
    def receive(self, message: bytes | bytearray, at: int, length: int, now: int) -> int: ...
    def outgoing(self, out: bytearray, at: int, now: int) -> int: ...
    def next_timer(self, now: int) -> int: ...
    def work(self, now: int) -> object: ...

class ChildOwner(Protocol):
    """Who opens the packets of a Child SA: Node.attach_child; `child` is its policy.Child."""

    longest: int
    child: Any
    def receive(self, packet: bytes | bytearray, at: int, length: int, now: int) -> object: ...
    def outgoing(self, out: bytearray, at: int, now: int) -> int: ...

class Follower(Protocol):
    """Who is told of a node's events: Node.follow."""

    def take(self, kind: int, slot: int, detail: Any, now: int) -> object: ...
    def attend(self, now: int) -> object: ...
    def tick(self, now: int) -> object: ...
    def next_timer(self, now: int) -> int: ...

class Acceptor(Protocol):
    """Who answers an IKE_SA_INIT request: Node.acceptor."""

    def receive(
        self, reply: Any, via: int, source: bytes, datagram: bytes | bytearray, length: int, now: int
    ) -> None: ...
