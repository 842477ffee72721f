from collections.abc import Callable, Iterable, Mapping
from typing import Self

from ..node import Node

class Udp:
    node: Node
    seen: Callable[[int, int, bytes, bytes | bytearray, int], object] | None
    errors: int
    sinks: list[object]
    error: object
    cut: int
    misdirected: int
    unavailable: list[int]
    def __init__(
        self,
        node: Node,
        host: str = "0.0.0.0",
        ports: Iterable[int] = (500, 4500),
        raw: Iterable[int] = (50, 51),
        local: Mapping[int, int] = ...,
        size: int = ...,
        seen: Callable[[int, int, bytes, bytes | bytearray, int], object] | None = None,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    async def run(self) -> None: ...
    def close(self) -> None: ...
    def wake(self) -> None: ...
