"""An IKEv2 initiator with a pre-shared key that calls our hub, for tests: sans-I/O, with no code of the library's.

    caller = Caller(psk, "sensor-7")
    octets = caller.first()                        IKE_SA_INIT
    octets = caller.hear(response)                 what to send next, None: nothing

`changes(what, parts)` gets the payloads of each request before it leaves, "IKE_SA_INIT" or "IKE_AUTH", and returns
those that leave instead. What the hub says is verified; `child` is what came of it, `refused` the notify type that it
said.
"""

import struct

from library.scripted_gateway import (
    AUTH,
    COOKIE,
    CP,
    ID_I,
    ID_R,
    IKE_AUTH,
    IKE_SA_INIT,
    KE,
    NO_PPK_AUTH,
    NONCE,
    NOTIFY,
    PPK_IDENTITY,
    SA,
    SK,
    TS_I,
    TS_R,
    USE_PPK,
    Child,
    Group,
    IkeSa,
    chain,
    key_octets,
    notifies,
    notify,
    of,
    payloads,
    prf,
    prf_plus,
    proposal,
    proposals,
    seal,
    selectors,
    transforms,
    unseal,
)  # fmt: skip

_PAD = b"Key Pad for IKEv2"


class Caller:
    """See above. `groups`: the first is sent; `address`: asks for that one, four octets; "": any; None: no CP.

    ppk -- (PPK_ID, octets) of RFC 8784; optional_ppk: with NO_PPK_AUTH, for who has not got it
    """

    def __init__(self, psk, id, hub_id=None, groups=(31, 14), cipher="aes-cbc-256", address="", networks=("0.0.0.0/0",),
                 contact=False, random=None, changes=lambda what, parts: parts, ppk=None,
                 optional_ppk=False):  # fmt: skip
        self.psk = psk
        self.id = b"\x02\0\0\0" + id.encode()
        self.hub_id = b"\x02\0\0\0" + hub_id.encode() if hub_id else None
        self.groups, self.cipher, self.address, self.networks = groups, cipher, address, networks
        self.contact = contact
        self.ppk, self.optional_ppk = ppk, optional_ppk
        self.mixed = False
        self.said = {}  # the notifies of the hub's IKE_SA_INIT
        self.random = random
        self.changes = changes
        self.sa = IkeSa(random(8), bytes(8), None, 500, cipher, ours=True)
        self.nonce = random(32)
        self.exchange = Group(groups[0], random)
        self.cookie = b""
        self.child = None
        self.refused = 0
        self.marker = False  # from IKE_AUTH on

    def first(self):
        """IKE_SA_INIT."""
        offered = [t for t in transforms(1, self.cipher) if t[0] != 4] + [(4, group, 0) for group in self.groups]
        parts = [
            (SA, proposal(1, 1, b"", offered)),
            (KE, struct.pack(">HH", self.exchange.number, 0) + self.exchange.value),
            (NONCE, self.nonce),
            (NOTIFY, struct.pack(">BBH", 0, 0, 16388) + self.random(20)),
            (NOTIFY, struct.pack(">BBH", 0, 0, 16389) + self.random(20)),
        ]
        if self.ppk:
            parts.append(notify(USE_PPK))
        if self.cookie:
            parts.insert(0, (NOTIFY, struct.pack(">BBH", 0, 0, COOKIE) + self.cookie))
        first, octets = chain(self.changes("IKE_SA_INIT", parts))
        header = self.sa.spi_i, bytes(8), first, 0x20, IKE_SA_INIT, 0x08, 0, 28 + len(octets)
        self.sa.first_request = struct.pack(">8s8sBBBBII", *header) + octets
        return self.sa.first_request

    def hear(self, message):
        """The next request because of this response; None."""
        assert message[:8] == self.sa.spi_i and message[19] == 0x20
        return self._init(message) if message[18] == IKE_SA_INIT else self._auth(message)

    def _init(self, message):
        parts = payloads(message[16], message[28:])
        said = self.said = notifies(parts)
        if COOKIE in said:
            self.cookie = said[COOKIE][1]
            return self.first()
        if 17 in said:
            self.exchange = Group(int.from_bytes(said[17][1], "big"), self.random)
            return self.first()
        errors = [kind for kind in said if kind < 16384]
        if errors:
            self.refused = errors[0]
            return None
        ((_, _, _, chosen),) = proposals(of(parts, SA))
        assert (4, self.exchange.number, 0) in chosen and {16388, 16389} <= set(said)
        sa = self.sa
        sa.spi_r, sa.first_response = message[8:16], message
        sa.nonces = self.nonce, of(parts, NONCE)
        assert of(parts, KE)[:2] == struct.pack(">H", self.exchange.number) and len(sa.nonces[1]) >= 16
        sa.derive(prf(b"".join(sa.nonces), self.exchange.secret(of(parts, KE)[4:])))
        self.marker = True
        return self._ask(self.ppk is not None and USE_PPK in said)

    def _signed(self):
        sa = self.sa
        return prf(prf(self.psk, _PAD), sa.first_request, sa.nonces[1], prf(sa.keys[5], self.id))

    def _ask(self, agreed):
        sa = self.sa
        self._unmixed = sa.keys
        plain = self._signed()
        if agreed:
            sa.mix(self.ppk[1])
        self.spi = self.random(4)
        parts = [(ID_I, self.id), (AUTH, b"\x02\0\0\0" + self._signed())]
        if agreed:
            parts.append(notify(PPK_IDENTITY, b"\2" + self.ppk[0].encode()))
        if agreed and self.optional_ppk:
            parts.append(notify(NO_PPK_AUTH, plain))
        if self.contact:
            parts.append((NOTIFY, struct.pack(">BBH", 0, 0, 16384)))
        if self.hub_id:
            parts.append((ID_R, self.hub_id))
        if self.address is not None:
            parts.append((CP, struct.pack(">BBHHH", 1, 0, 0, 1, len(self.address or b"")) + (self.address or b"")))
        parts += [
            (SA, proposal(1, 3, self.spi, transforms(3, self.cipher))),
            (TS_I, selectors(*self.networks)),
            (TS_R, selectors("0.0.0.0/0")),
        ]
        return self.request(IKE_AUTH, 1, self.changes("IKE_AUTH", parts))

    def request(self, exchange, message_id, parts):
        """A request over the IKE SA."""
        sa = self.sa
        header = struct.pack(">8s8sBBBBI", sa.spi_i, sa.spi_r, SK, 0x20, exchange, 0x08, message_id)
        return seal(sa.cipher, sa.keys[3], sa.keys[1], header, parts, self.random(8 if "gcm" in sa.cipher else 16))

    def opened(self, message):
        """The payloads of a message of the hub's."""
        return unseal(self.sa.cipher, self.sa.keys[4], self.sa.keys[2], message)

    def _auth(self, message):
        sa = self.sa
        parts = self.opened(message)
        assert parts is not None and message[20:24] == b"\0\0\0\1"
        errors = [kind for kind in notifies(parts) if kind < 16384]
        self.refused = errors[0] if errors else 0
        body = of(parts, AUTH)
        if body is None:
            return None
        self.mixed = PPK_IDENTITY in notifies(parts)
        if not self.mixed:
            sa.keys = self._unmixed
        id = of(parts, ID_R)
        signed = prf(prf(self.psk, _PAD), sa.first_response, sa.nonces[0], prf(sa.keys[6], id))
        assert body == b"\x02\0\0\0" + signed
        sa.established = True
        if not errors:
            ((_, _, spi, _),) = proposals(of(parts, SA))
            size = sum(key_octets(self.cipher))
            made = prf_plus(sa.keys[0], b"".join(sa.nonces), 2 * size)
            ts = of(parts, TS_I), of(parts, TS_R)
            self.child = Child(self.cipher, self.spi, spi, made[size:], made[:size], *ts)
        return None
