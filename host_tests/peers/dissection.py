"""What tshark shows inside a recorded tunnel, with the keys that charon has logged."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree

_IKE = {
    "aes-cbc-256": ("AES-CBC-256 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
    "aes-cbc-128": ("AES-CBC-128 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
    "aes-gcm-16-256": ("AES-GCM-256 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    "aes-gcm-16-128": ("AES-GCM-128 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
}
_ESP = {
    True: ("AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
    False: ("AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"),
}


def tables(packets, log, keys, said):
    """Options for tshark: the first IKE SA in the packets, the first Child SA in the log, ciphers as `try` said."""
    ciphers = [re.search(f" {kind} (aes[a-z0-9-]+)", "\n".join(said))[1] for kind in ("IKE", "ESP")]
    secrets = {}
    for name, octets in keys:
        secrets.setdefault(name, octets)
    message = next(packet.octets for packet in packets if not packet.sent and any(packet.octets[8:16]))
    encryption, integrity = _IKE[ciphers[0]]
    ike = [message[:8].hex(), message[8:16].hex(), secrets["Sk_ei"], secrets["Sk_er"], f'"{encryption}"',
           secrets.get("Sk_ai", ""), secrets.get("Sk_ar", ""), f'"{integrity}"']  # fmt: skip
    options = ["-o", "uat:ikev2_decryption_table:" + ",".join(ike), "-o", "esp.enable_encryption_decode:TRUE",
               "-o", "esp.enable_authentication_check:TRUE", "-o", "esp.do_esp_sequence_analysis:FALSE"]  # fmt: skip
    inward, outward = re.search(r"established with SPIs ([0-9a-f]{8})_i ([0-9a-f]{8})_o", log).groups()
    encryption, integrity = _ESP["gcm" in ciphers[1]]
    for spi, who in ((inward, "initiator"), (outward, "responder")):
        key, other = (secrets.get(f"{kind} {who} key", "") for kind in ("encryption", "integrity"))
        row = ["IPv4", "*", "*", f"0x{spi}", encryption, f"0x{key}", integrity, f"0x{other}" if other else ""]
        options += ["-o", "uat:esp_sa:" + ",".join(f'"{field}"' for field in row)]
    return options


def dissected(path, options):
    """tshark's view of each packet of a pcap file, as an element of its PDML."""
    ran = subprocess.run(["tshark", "-r", path, *options, "-T", "pdml"], check=True, capture_output=True)
    return ElementTree.fromstring(ran.stdout).findall("packet")
