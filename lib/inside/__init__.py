"""What is inside a tunnel: IPv4 and its sockets, over any carrier of packets."""
