"""The answers of RFC 7296 section 1.5 as scapy builds them."""

from ikev2 import wire
from scapy.contrib.ikev2 import IKEv2, IKEv2_Notify
from scapy.layers.ipsec import AH, ESP

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
