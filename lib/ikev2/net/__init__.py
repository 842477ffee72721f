"""All I/O: sockets, the asyncio task that serves a node, and what differs from port to port."""
