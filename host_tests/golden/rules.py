"""The rules by id, in a few words each, and which vector cases name them. RULES.md of the design has them whole."""

import sys

from golden import vector_files

RULES = {
    "S1.1": "an established IKE SA to the source carries INVALID_SPI",
    "S1.2": "the data is the four-octet offending SPI",
    "S1.3": "Protocol ID 0, SPI size 0: the SPI is never in the SPI field",
    "S1.4": "without an IKE SA, one unprotected message to the source address",
    "S1.5": "to the source port if it came in UDP, to 500 for bare ESP and AH",
    "S1.6": "random IKE SPIs",
    "S1.7": "INFORMATIONAL, I set, R clear, version 2.0, Message ID 0",
    "S1.8": "never retransmitted, at most one a packet",
    "S1.9": "never for SPI 0 to 255, never for a keepalive",
    "S2.1": "only outside any known IKE SA and not for what starts one",
    "S2.2": "only for an encrypted request: SK or SKF first",
    "S2.3": "a response is never answered",
    "S2.4": "to the address and port it came from, from the port it arrived on",
    "S2.5": "SPIs, Message ID and exchange type are copied",
    "S2.6": "R set, version 2.0, all else in the flags clear",
    "S2.7": "I is the inverse of the request's",
    "S2.8": "one INVALID_IKE_SPI without data, Protocol ID or SPI, unprotected",
    "S2.9": "I set: the responder SPI is ours; clear: the initiator SPI",
    "S3.1": "nothing behind the header is trusted; asked before the SPIs",
    "S3.2": "INVALID_MAJOR_VERSION, shaped like case 2",
    "S3.3": "only requests are answered",
    "S3.4": "minor version, V and reserved bits are ignored, and sent as 0",
    "S3.5": "major 0 and 1 are dropped",
    "R1": "an unprotected notify is never answered",
    "R2": "it never changes an SA",
    "R3": "it is a hint: a liveness check at most",
    "R4": "and not often",
    "R5": "fresh protected traffic makes it void",
    "R6": "INVALID_SPI counts only for an outbound SPI towards that address",
    "R7": "the other two count only as responses to an outstanding request",
    "R8": "INVALID_SPI with random SPIs is not taken for a request",
    "R9": "Protocol ID ignored, unknown types ignored, malformed dropped",
    "P1": "INVALID_SPI over an IKE SA: one request at a time, repeated the same until it is answered",
    "P2": "a request over an IKE SA is answered; INVALID_SPI in it changes nothing",
    "P3": "a peer that stays silent for minutes is dead, and its SAs go",
    "P4": "outside the window: no answer; a request repeated: the same answer",
    "P5": "what fails its integrity check is met with silence, and counted",
    "F1": "500: IKE; 4500: marker and IKE, keepalive, or ESP",
    "F2": "sent from 4500 with a marker, from 500 without",
    "F3": "any source port is answered",
    "F4": "too short or of another length than it says: dropped",
    "F5": "an empty datagram does no harm",
    "F6": "a source that cannot be answered is dropped",
    "L1": "answers have a budget, for the node and for each source",
    "L2": "never more octets out than came in",
    "L3": "our own answers fed back are silence",
    "L4": "one liveness check because of hints in ten seconds",
    "L5": "limits hold across the wrap of the clock",
    "L6": "every verdict is counted",
}


def table():
    """{rule: [(case name, has a step that is answered, delivered or a hint, has one that is dropped)]}"""
    found = {rule: [] for rule in RULES}
    for case in vector_files.all_cases():
        dropped = {verdict.startswith("drop-") for verdict, _ in case["expected"] if verdict}
        for rule in case["rules"]:
            found.setdefault(rule, []).append((case["name"], False in dropped, True in dropped))
    return found


def main():
    empty = 0
    for rule, cases in table().items():
        print(f"{rule}: {RULES.get(rule, 'no such rule')}")
        for name, acts, drops in cases:
            print(f"    {'+' if acts else ' '}{'-' if drops else ' '} {name}")
        empty += not cases
    print(f"{len(RULES)} rules, {empty} without a case (+ answered, delivered or a hint; - dropped)")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
