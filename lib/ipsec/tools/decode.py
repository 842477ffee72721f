"""Fields of a datagram by name, for people. Reads with the library's own offsets."""

from ikev2 import wire

EXCHANGES = {
    34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL", 38: "IKE_SESSION_RESUME",
    43: "IKE_INTERMEDIATE",
}  # fmt: skip
PAYLOADS = {0: "none", 33: "SA", 35: "IDi", 41: "Notify", 42: "Delete", 46: "SK", 53: "SKF"}
NOTIFIES = {4: "INVALID_IKE_SPI", 5: "INVALID_MAJOR_VERSION", 11: "INVALID_SPI", 16384: "INITIAL_CONTACT"}


def _named(names, number):
    return f"{names[number]} ({number})" if number in names else str(number)


def flag_names(flags):
    """'I R' for the flags octet."""
    return " ".join(name for name, bit in (("I", 0x08), ("V", 0x10), ("R", 0x20)) if flags & bit) or "none"


def fields(via, octets):
    """(name, value) of every field of a datagram on UDP 500 or 4500, or of an ESP (50) or AH (51) packet."""
    found = []
    at = 0
    protocol = via if via in (wire.ESP, wire.AH) else 0
    if not octets:
        return [("nothing", "empty datagram")]
    if via == wire.PORT_NAT:
        if octets == b"\xff":
            return [("keepalive", "ff")]
        if len(octets) >= wire.MARKER and not any(octets[: wire.MARKER]):
            found.append(("non-ESP marker", "00000000"))
            at = wire.MARKER
        else:
            protocol = wire.ESP
    if protocol:
        name, spi = ("ESP", 0) if protocol == wire.ESP else ("AH", wire.AH_SPI)
        if len(octets) < spi + 8:
            return [("octets", f"{len(octets)}, too few for {name}")]
        return [(f"{name} SPI", octets[spi : spi + 4].hex()), ("sequence number", octets[spi + 4 : spi + 8].hex())]
    if not wire.header_fits(octets, at, len(octets)):
        return [*found, ("octets", f"{len(octets)}, no whole IKE message")]
    header = octets[at:]
    version = header[wire.VERSION]
    found += [
        ("initiator SPI", header[:8].hex()),
        ("responder SPI", header[8:16].hex()),
        ("next payload", _named(PAYLOADS, header[wire.NEXT_PAYLOAD])),
        ("version", f"{version >> 4}.{version & 15}"),
        ("exchange type", _named(EXCHANGES, header[wire.EXCHANGE])),
        ("flags", flag_names(header[wire.FLAGS])),
        ("Message ID", str(int.from_bytes(header[20:24], "big"))),
        ("length", str(len(header))),
    ]
    notify = wire.lone_notify(octets, at, len(octets))
    if notify:
        found.append(("Notify", _named(NOTIFIES, notify)))
        data = octets[wire.notify_data(octets, at) :]
        if data:
            found.append(("Notification Data", data.hex()))
    return found


def summary(via, octets):
    """One line: 'IKE 2.0 INFORMATIONAL, flags R, Notify INVALID_IKE_SPI (4)'."""
    said = dict(fields(via, octets))
    if "version" in said:
        kind = f"IKE {said['version']} {said['exchange type'].split(' ')[0]}, flags {said['flags']}"
        return (
            f"{kind}, Notify {said['Notify']}" if "Notify" in said else f"{kind}, first payload {said['next payload']}"
        )
    return ", ".join(f"{name} {value}" for name, value in said.items() if name != "sequence number")


def name(via, octets):
    """What a datagram is, in a few words."""
    said = dict(fields(via, octets))
    if "version" in said:
        exchange, kind = said["exchange type"].split()[0], "response" if "R" in said["flags"] else "request"
        unprotected = said["Notify"].split()[0] + ", unprotected " if "Notify" in said else ""
        return f"{unprotected}{exchange} {kind}"
    if "ESP SPI" in said:
        return f"ESP, number {int(said['sequence number'], 16)}"
    return "keepalive" if "keepalive" in said else "?"
