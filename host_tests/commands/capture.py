"""Packets through the eyes of others: scapy writes them, tshark reads them. By itself: the demo, for Wireshark,
with the keys that it needs to look inside.

What tshark finds is handed out under the names that decode.fields uses, so that the two can be compared.
"""

import ipaddress
import itertools
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

from golden.live import Live
from ikev2 import wire
from scapy.contrib.ikev2 import IKEv2, IKEv2_Notify
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Raw
from scapy.utils import PcapWriter
from tools import BUILD, arguments

from commands import demo_tunnel, wireshark
from commands.demo import shown_cases
from commands.node_process import UNLIMITED, node_process, ports

DEMO = BUILD / "demo.pcap"
KEYS = BUILD / "demo-wireshark"
NODE = {4: "192.0.2.1", 6: "2001:db8::1"}  # the vectors have no address for their node
_RAW_IP = 101  # LINKTYPE_RAW
_OCTETS = {
    "isakmp.ispi": "initiator SPI", "isakmp.rspi": "responder SPI", "isakmp.notify.data": "Notification Data",
    "esp.spi": "ESP SPI", "esp.sequence": "sequence number", "ah.spi": "AH SPI", "ah.sequence": "sequence number",
}  # fmt: skip
_NAMES = {
    "isakmp.version": "version", "isakmp.exchangetype": "exchange type", "isakmp.length": "length",
    "isakmp.notify.msgtype": "Notify",
}  # fmt: skip
_FLAGS = {"Initiator": "I", "A higher version enabled": "V", "Response": "R"}


ANSWERS = {
    "invalid-spi": "INVALID_SPI",
    "invalid-ike-spi": "INVALID_IKE_SPI",
    "invalid-major-version": "INVALID_MAJOR_VERSION",
}


def answer(verdict, via, question, spis):
    """The answer to a question as scapy builds it, from fields that scapy read; `spis` are 16 random octets."""
    if verdict == "invalid-spi":
        spi = AH(question).spi if via == wire.AH else ESP(question).spi
        message = IKEv2(init_SPI=spis[:8], resp_SPI=spis[8:], exch_type="INFORMATIONAL", flags="Initiator")
        message /= IKEv2_Notify(type="INVALID_SPI", notify=spi.to_bytes(4, "big"))
    else:
        asked = IKEv2(question[4:] if via == wire.PORT_NAT else question)
        message = IKEv2(
            init_SPI=asked.init_SPI, resp_SPI=asked.resp_SPI, exch_type=asked.exch_type, id=asked.id,
            flags="Response" if asked.flags.Initiator else "Response+Initiator",
        ) / IKEv2_Notify(type=ANSWERS[verdict])  # fmt: skip
    return bytes(4) * (via == wire.PORT_NAT) + bytes(message)


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


def dissected(path, keys=None):
    """tshark's view of each packet of a pcap file, as an element of its PDML; `keys` is a folder of wireshark.py's."""
    command = ["tshark", "-r", path, "-o", "esp.do_esp_sequence_analysis:FALSE", "-T", "pdml"]
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(keys)} if keys else None
    ran = subprocess.run(command, check=True, capture_output=True, env=environment)
    return ElementTree.fromstring(ran.stdout).findall("packet")


def complaints(element):
    """Expert infos and malformed notes of a packet."""
    return [node.get("showname") for node in element.iter() if node.get("name") in ("_ws.expert", "_ws.malformed")]


def fields(element):
    """{name: value} of a packet as tshark reads it, named and written as decode.fields does."""
    found = {}
    for field in element.iter("field"):
        name, shown, value = field.get("name"), field.get("showname", "").partition(": ")[2], field.get("value")
        if name == "udpencap.non_esp_marker":
            found["non-ESP marker"] = "00000000"
        elif name in _OCTETS and value:
            found.setdefault(_OCTETS[name], value)
        elif name in _NAMES:
            found[_NAMES[name]] = shown
        elif name == "isakmp.messageid":
            found["Message ID"] = str(int(value, 16))
        elif name == "isakmp.flags" and "(" in shown:
            words = shown.partition("(")[2].strip(")").split(", ")
            found["flags"] = " ".join(letter for word, letter in _FLAGS.items() if word in words) or "none"
    return found


def agree(ours, theirs):
    """True for the same text, or the same number where one of the two has no name for it."""
    nameless = ours.isdigit() or theirs.startswith("Unknown")
    return ours == theirs or (nameless and theirs.endswith(f"({ours.split('(')[-1].strip(')')})"))


def without_sa():
    """Packets and times of the demo's second half, between the addresses that the vectors have."""
    packets = []
    local = ports()
    with node_process(local, *UNLIMITED, "quiet=1"):
        live = Live("127.0.0.1", local)
        for case in shown_cases():
            _, via, source, question = case["steps"][0]
            got = live.ask(via, bytes.fromhex(question), bool(case["expected"][0][1]))
            packets.append((of_vector(via, source, question, False), time.time()))
            if got is not None:
                packets.append((of_vector(via, source, got.hex(), True), time.time()))
    return packets


def save(story, more, path, keys):
    """Write a demo_tunnel.Story, and more packets with times, with the keys beside them; how many packets."""
    packets = [(packet(seen.source, seen.to, seen.via, seen.octets), seen.when) for seen in story.packets]
    packets += more
    write(path, *zip(*packets, strict=True))
    wireshark.configure(keys, story.keys)
    return len(packets)


def main():
    print("the demo runs, which takes half a minute ...", flush=True)
    story = demo_tunnel.play(keys=True, say=lambda line: None)
    number = save(story, without_sa(), DEMO, KEYS)
    print(f"{number} packets in {DEMO}, the keys of the tunnel in {KEYS}; to look inside:")
    print(f"WIRESHARK_CONFIG_DIR={KEYS} wireshark {DEMO}")
    for line in story.wrong:
        print(f"WRONG: {line}")
    return 1 if story.wrong else 0


if __name__ == "__main__":
    arguments(sys.argv[1:])
    sys.exit(main())
