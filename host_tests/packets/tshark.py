"""What tshark sees in a pcap file, under the names that decode.fields uses, so that the two can be compared."""

import os
import subprocess
import xml.etree.ElementTree as ElementTree

_OCTETS = {
    "isakmp.ispi": "initiator SPI", "isakmp.rspi": "responder SPI", "isakmp.notify.data": "Notification Data",
    "esp.spi": "ESP SPI", "esp.sequence": "sequence number", "ah.spi": "AH SPI", "ah.sequence": "sequence number",
}  # fmt: skip
_NAMES = {
    "isakmp.version": "version", "isakmp.exchangetype": "exchange type", "isakmp.length": "length",
    "isakmp.notify.msgtype": "Notify",
}  # fmt: skip
_FLAGS = {"Initiator": "I", "A higher version enabled": "V", "Response": "R"}


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
