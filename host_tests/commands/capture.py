"""make capture: the demo as a pcap file for Wireshark, with the keys that it needs to look inside."""

import sys
import time

from golden.live import Live
from packets import pcap, wireshark
from peers.node_process import UNLIMITED, node_process, ports
from tools import BUILD, arguments

from commands import demo_tunnel
from commands.demo import shown_cases
from commands.demo_broker import broker

DEMO = BUILD / "demo.pcap"
KEYS = BUILD / "demo-wireshark"


def without_sa():
    """Packets and times of the demo's second half, between the addresses that the vectors have."""
    packets = []
    local = ports()
    with node_process(local, *UNLIMITED, "quiet=1"):
        live = Live("127.0.0.1", local)
        for case in shown_cases():
            _, via, source, question = case["steps"][0]
            got = live.ask(via, bytes.fromhex(question), bool(case["expected"][0][1]))
            packets.append((pcap.of_vector(via, source, question, False), time.time()))
            if got is not None:
                packets.append((pcap.of_vector(via, source, got.hex(), True), time.time()))
    return packets


def save(stories, more, path, keys):
    """Write demo_tunnel.Storys, and more packets with times, with the keys beside them; how many packets."""
    packets = [
        (pcap.packet(seen.source, seen.to, seen.via, seen.octets), seen.when)
        for story in stories
        for seen in story.packets
    ]
    packets += more
    pcap.write(path, *zip(*packets, strict=True))
    wireshark.configure(keys, [made for story in stories for made in story.keys])
    return len(packets)


def main():
    print("the demo runs, which takes half a minute ...", flush=True)
    quiet = {"keys": True, "say": lambda line: None}
    with broker() as behind:
        stories = [demo_tunnel.publish(behind, **quiet), demo_tunnel.play(**quiet)]
    number = save(stories, without_sa(), DEMO, KEYS)
    print(f"{number} packets in {DEMO}, the keys of the tunnel in {KEYS}; to look inside:")
    print(f"WIRESHARK_CONFIG_DIR={KEYS} wireshark {DEMO}")
    wrong = [line for story in stories for line in story.wrong]
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    arguments(sys.argv[1:])
    sys.exit(main())
