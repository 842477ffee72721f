from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from ikev2.initial.peers import Peers
from ikev2.net.udp import Udp
from ikev2.node import Node
from inside.server import Server
from inside.stack import Stack
from inside.stream import Stream
from inside.udp import Socket

from .hub_streams import HubStreams
from .members import Members

EMSGSIZE: int

class _Given(TypedDict, total=False):
    psk: bytes
    address: str
    networks: Sequence[str]
    ppk: tuple[str, bytes]

class Hub:
    closed: bool
    members: Members
    node: Node
    peers: Peers
    stack: Stack
    udp: Udp
    def __init__(
        self,
        id: str,
        peers: Mapping[str, bytes | _Given],
        inside: str,
        pool: str = "",
        networks: Sequence[str] = (),
        dns: str = "",
        port: int = 0,
        groups: Sequence[int] = ...,
        ciphers: Sequence[str] = ...,
        host: str = "0.0.0.0",
        connections: int = ...,
        stream_buffer: int = 2720,
        udp: Udp | None = None,
    ) -> None: ...
    async def __aenter__(self) -> Hub: ...
    async def __aexit__(self, *_: object) -> None: ...
    def start(self) -> None: ...
    def socket(self, port: int = 0) -> Socket: ...
    def rest(self) -> Socket: ...
    @property
    def inside(self) -> str: ...
    def peer(self, host: str) -> str: ...
    def addresses(self) -> dict[str, str]: ...
    def event(self) -> tuple[str, str, str] | None: ...
    async def next_event(self) -> tuple[str, str, str]: ...
    @property
    def streams(self) -> HubStreams: ...
    async def open_connection(
        self, host: str, port: int, ssl: Any = None, server_hostname: str | None = None
    ) -> tuple[Stream, Stream]: ...
    async def start_server(
        self, callback: Callable[[Stream, Stream], object], port: int, backlog: int = 3, ssl: Any = None
    ) -> Server: ...
    async def resolve(self, name: str) -> str: ...
    def address_of(self, name: str) -> str: ...
    def send(self, source_port: int, data: bytes | bytearray | memoryview, address: tuple[str, int]) -> None: ...
    async def close(self) -> None: ...
