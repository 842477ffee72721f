"""The initial exchanges (RFC 7296 section 1.2): one attempt to make an IKE SA with its first Child SA."""
