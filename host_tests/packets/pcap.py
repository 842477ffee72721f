"""IP packets, built by scapy, and pcap files of them."""

import ipaddress
import itertools

from ikev2 import wire
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from scapy.utils import PcapWriter

NODE = {4: "192.0.2.1", 6: "2001:db8::1"}  # the vectors have no address for their node
_RAW_IP = 101  # LINKTYPE_RAW


def packet(source, to, via, octets):
    """An IP packet between two (address, port) pairs; `via` is 500 or 4500 for UDP, or 50 or 51."""
    layer = IPv6 if ":" in source[0] else IP
    ip = layer(src=source[0], dst=to[0])
    if via in (wire.ESP, wire.AH):
        setattr(ip, "nh" if layer is IPv6 else "proto", via)
        return bytes(ip / Raw(octets))
    return bytes(ip / UDP(sport=source[1], dport=to[1]) / Raw(octets))


def of_vector(via, endpoint, octets, answer):
    """Packet of a vector, a question or an answer, all of it as vector_files.compile_case has it."""
    endpoint = bytes.fromhex(endpoint)
    address = ipaddress.ip_address(endpoint[:-2])
    ends = (str(address), endpoint[-2] << 8 | endpoint[-1]), (NODE[address.version], via)
    return packet(*(reversed(ends) if answer else ends), via, bytes.fromhex(octets))


def write(path, packets, times=()):
    """IP packets as a pcap file; `times`, if they are known, in seconds."""
    path.parent.mkdir(exist_ok=True)
    with PcapWriter(str(path), linktype=_RAW_IP) as writer:
        writer.write_header(None)
        for octets, when in itertools.zip_longest(packets, times):
            sec, usec = divmod(int((when or 0) * 1000000), 1000000)
            writer.write_packet(octets, sec=sec, usec=usec)
