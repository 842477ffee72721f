"""An IKEv2 responder with a pre-shared key, for tests, simulations and demos: sans-I/O, with no code of the library's.

    gateway = Gateway(psk, "gateway.example", cookies=True, ...)
    for via, to, octets in gateway.receive(500, ("192.0.2.1", 500), datagram): ...send...
    gateway.rekey_child(sa), rekey_ike(sa), delete_child(sa, child), delete(sa), check(sa) -> its own requests likewise
    gateway.repeat(sa) -> the last of them again

`via` is our port. What it does is a matter of plain attributes, which may change at any time. For faults there is
`tamper(what, parts)`: it gets the payloads [(type, body)] of each message before it leaves, "IKE_SA_INIT response" and
the like, and returns those that leave instead, or None for silence. Its cryptography is the cryptography package's.
"""

import hmac
import ipaddress
import os
import struct
from dataclasses import dataclass, field
from hashlib import sha1

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SA, KE, ID_I, ID_R, AUTH, NONCE, NOTIFY, DELETE, TS_I, TS_R, SK, CP = 33, 34, 35, 36, 39, 40, 41, 42, 44, 45, 46, 47
IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
NAMES = {34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL"}
INVALID_SYNTAX, NO_PROPOSAL_CHOSEN, INVALID_KE_PAYLOAD, AUTHENTICATION_FAILED = 7, 14, 17, 24
INTERNAL_ADDRESS_FAILURE, FAILED_CP_REQUIRED, TS_UNACCEPTABLE = 36, 37, 38
COOKIE, REKEY_SA, INITIAL_CONTACT, AUTH_LIFETIME = 16390, 16393, 16384, 16403
USE_PPK, PPK_IDENTITY, NO_PPK_AUTH = 16435, 16436, 16437
CIPHERS = {"aes-cbc-128": (12, 128), "aes-cbc-256": (12, 256), "aes-gcm-16-128": (20, 128), "aes-gcm-16-256": (20, 256)}
P = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D"
    "670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"
    "3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF", 16
)  # fmt: skip


def prf(key, *parts):
    return hmac.digest(key, b"".join(parts), "sha256")


def prf_plus(key, seed, size):
    made = last = b""
    while len(made) < size:
        last = prf(key, last, seed, bytes((len(made) // 32 + 1,)))
        made += last
    return made[:size]


def aead(cipher):
    return "gcm" in cipher


def key_octets(cipher):
    """(of encryption, with the salt of AEAD; of integrity)."""
    return CIPHERS[cipher][1] // 8 + (4 if aead(cipher) else 0), 0 if aead(cipher) else 32


class Group:
    """One Diffie-Hellman exchange."""

    def __init__(self, number, random):
        self.number = number
        secret = random(32)
        if number == 31:
            self._x25519 = X25519PrivateKey.from_private_bytes(secret)
            self.value = self._x25519.public_key().public_bytes_raw()
        else:
            self._exponent = int.from_bytes(secret, "big")
            self.value = pow(2, self._exponent, P).to_bytes(256, "big")

    def secret(self, peer):
        if self.number == 31:
            return self._x25519.exchange(X25519PublicKey.from_public_bytes(peer))
        return pow(int.from_bytes(peer, "big"), self._exponent, P).to_bytes(256, "big")


# Payloads: [(type, body)].


def payloads(first, octets):
    found = []
    while first:
        following, _, size = struct.unpack_from(">BBH", octets)
        found.append((first, octets[4:size]))
        first, octets = following, octets[size:]
    assert not octets
    return found


def chain(parts):
    octets = b""
    following = [*[kind for kind, _ in parts], 0][1:]
    for (_, body), kind in zip(parts, following, strict=True):
        octets += struct.pack(">BBH", kind, 0, 4 + len(body)) + body
    return (parts[0][0] if parts else 0), octets


def of(parts, kind):
    """The body of the first payload of that type; None."""
    return next((body for its_kind, body in parts if its_kind == kind), None)


def notify(kind, data=b"", protocol=0, spi=b""):
    return NOTIFY, struct.pack(">BBH", protocol, len(spi), kind) + spi + data


def notifies(parts):
    """{type: (SPI, data)} of all Notify payloads."""
    found = {}
    for kind, body in parts:
        if kind == NOTIFY:
            found.setdefault(int.from_bytes(body[2:4], "big"), (body[4 : 4 + body[1]], body[4 + body[1] :]))
    return found


def proposals(body):
    """[(number, protocol, SPI, [(type, ID, bits)])] of an SA payload."""
    found = []
    while body:
        _, _, size, number, protocol, spi_size, count = struct.unpack_from(">BBHBBBB", body)
        rest = body[8 + spi_size : size]
        transforms = []
        for _ in range(count):
            _, _, length, kind, _, identifier = struct.unpack_from(">BBHBBH", rest)
            bits = int.from_bytes(rest[10:12], "big") if length > 8 else 0
            transforms.append((kind, identifier, bits))
            rest = rest[length:]
        found.append((number, protocol, body[8 : 8 + spi_size], transforms))
        body = body[size:]
    return found


def proposal(number, protocol, spi, transforms, more=False):
    rest = b""
    for i, (kind, identifier, bits) in enumerate(transforms):
        attribute = struct.pack(">HH", 0x800E, bits) if bits else b""
        more_of_them = 3 if i + 1 < len(transforms) else 0
        rest += struct.pack(">BBHBBH", more_of_them, 0, 8 + len(attribute), kind, 0, identifier) + attribute
    size = 8 + len(spi) + len(rest)
    return struct.pack(">BBHBBBB", 2 * more, 0, size, number, protocol, len(spi), len(transforms)) + spi + rest


def transforms(protocol, cipher, group=0):
    """One of each type, in strongSwan's order."""
    integrity = [] if aead(cipher) else [(3, 12, 0)]
    return [
        (1, *CIPHERS[cipher]), *integrity, *([(2, 5, 0)] if protocol == 1 else []), *([(4, group, 0)] if group else []),
        *([(5, 0, 0)] if protocol == 3 else []),
    ]  # fmt: skip


def selectors(*networks):
    """Body of a TS payload: networks, or (network, protocol, port)."""
    body = struct.pack(">BBH", len(networks), 0, 0)
    for entry in networks:
        network, protocol, port = (entry, 0, None) if isinstance(entry, str) else entry
        network = ipaddress.ip_network(network)
        ports = (0, 65535) if port is None else (port, port)
        body += struct.pack(">BBHHH", 7, protocol, 16, *ports) + network[0].packed + network[-1].packed
    return body


def seal(cipher, encryption, integrity, header, parts, iv):
    """An IKE message of 24 octets of header and these payloads."""
    first, octets = chain(parts)
    block = 1 if aead(cipher) else 16
    padding = -(len(octets) + 1) % block
    octets += bytes(padding) + bytes((padding,))
    length = 28 + 4 + len(iv) + len(octets) + 16
    clear = header + struct.pack(">IBBH", length, first, 0, length - 28)
    if aead(cipher):
        return clear + iv + AESGCM(encryption[:-4]).encrypt(encryption[-4:] + iv, octets, clear)
    encryptor = Cipher(algorithms.AES(encryption), modes.CBC(iv)).encryptor()
    message = clear + iv + encryptor.update(octets)
    return message + prf(integrity, message)[:16]


def unseal(cipher, encryption, integrity, message):
    """The payloads of an IKE message; None if its integrity fails."""
    if message[16] != SK:
        return None
    iv_size = 8 if aead(cipher) else 16
    iv, octets = message[32 : 32 + iv_size], message[32 + iv_size :]
    if aead(cipher):
        try:
            octets = AESGCM(encryption[:-4]).decrypt(encryption[-4:] + iv, octets, message[:32])
        except InvalidTag:
            return None
    else:
        if prf(integrity, message[:-16])[:16] != message[-16:]:
            return None
        octets = Cipher(algorithms.AES(encryption), modes.CBC(iv)).decryptor().update(octets[:-16])
    return payloads(message[28], octets[: len(octets) - 1 - octets[-1]])


@dataclass
class Child:
    """A pair of Child SAs: `key_in` and `key_out` as IKE makes them, `ts_here` and `ts_there` bodies of TS payloads."""

    cipher: str
    spi_in: bytes
    spi_out: bytes
    key_in: bytes
    key_out: bytes
    ts_here: bytes
    ts_there: bytes
    sent: int = 0
    received: int = 0

    def seal(self, inner, random=os.urandom):
        """An ESP packet with this IPv4 packet (RFC 4303)."""
        self.sent += 1
        head = self.spi_out + self.sent.to_bytes(4, "big")
        block = 4 if aead(self.cipher) else 16
        padding = -(len(inner) + 2) % block
        octets = inner + bytes(range(1, padding + 1)) + bytes((padding, 4))
        if aead(self.cipher):
            iv = self.sent.to_bytes(8, "big")
            return head + iv + AESGCM(self.key_out[:-4]).encrypt(self.key_out[-4:] + iv, octets, head)
        iv = random(16)
        octets = Cipher(algorithms.AES(self.key_out[:-32]), modes.CBC(iv)).encryptor().update(octets)
        return head + iv + octets + prf(self.key_out[-32:], head + iv + octets)[:16]

    def open(self, packet):
        """The inner packet; None if its integrity fails, or its number is old."""
        number = int.from_bytes(packet[4:8], "big")
        if aead(self.cipher):
            try:
                octets = AESGCM(self.key_in[:-4]).decrypt(self.key_in[-4:] + packet[8:16], packet[16:], packet[:8])
            except InvalidTag:
                return None
        else:
            if prf(self.key_in[-32:], packet[:-16])[:16] != packet[-16:]:
                return None
            cipher = Cipher(algorithms.AES(self.key_in[:-32]), modes.CBC(packet[8:24]))
            octets = cipher.decryptor().update(packet[24:-16])
        if number <= self.received:
            return None
        self.received = number
        return octets[: len(octets) - 2 - octets[-2]]


@dataclass
class IkeSa:
    """An IKE SA. `ours`: we are its original initiator."""

    spi_i: bytes
    spi_r: bytes
    peer: tuple
    via: int
    cipher: str = ""
    ours: bool = False
    keys: tuple = ()  # SK_d, ai, ar, ei, er, pi, pr
    established: bool = False
    id: bytes = b""  # of the peer, body of its ID payload
    first_request: bytes = b""  # IKE_SA_INIT, as it came
    first_response: bytes = b""
    nonces: tuple = ()
    children: list = field(default_factory=list)
    send_id: int = 0  # of our next request
    receive_id: int = 0  # of the peer's next request
    answer: bytes = b""  # the last response
    pending: tuple = ()  # our request: (octets, what it is, what it is about)

    def derive(self, seed):
        encryption, integrity = key_octets(self.cipher)
        made = prf_plus(seed, b"".join((*self.nonces, self.spi_i, self.spi_r)), 96 + 2 * (encryption + integrity))
        keys = []
        for size in (32, integrity, integrity, encryption, encryption, 32, 32):
            keys.append(made[:size])
            made = made[size:]
        self.keys = tuple(keys)

    def mix(self, ppk):
        """RFC 8784 section 3: SK_d, SK_pi and SK_pr with that PPK."""
        self.keys = tuple(
            prf_plus(ppk, key, 32) if number in (0, 5, 6) else key for number, key in enumerate(self.keys)
        )


class Gateway:
    """A gateway that knows one psk; see above. `ciphers`, `groups`: what it takes, its own order wins."""

    def __init__(self, psk, id="gateway.example", ciphers=("aes-cbc-256", "aes-cbc-128"), groups=(31, 14),
                 esp=None, networks=("0.0.0.0/0",), pool="10.77.0.2", cookies=False, random=os.urandom):  # fmt: skip
        self.psk = psk
        self.id = b"\x02\0\0\0" + id.encode()
        self.ciphers = ciphers
        self.groups = groups
        self.esp = ciphers if esp is None else esp
        self.networks = networks
        self.pool = pool  # the address that it gives; None: it has none
        self.servers = ()  # name servers that it gives with it, to who asks for them
        self.cookies = cookies
        self.random = random
        self.refuse = 0  # a notify type in place of a Child SA
        self.lifetime = 0  # AUTH_LIFETIME, in seconds
        self.ppk = None  # (PPK_ID, octets), of everybody
        self.tamper = lambda what, parts: parts
        self.sas = []
        self.said = []  # what has happened, in words
        self._answers = {}  # IKE_SA_INIT request: response
        self._cookie_secret = random(16)

    # The wire.

    def receive(self, via, source, datagram):
        """[(our port, peer, octets)] to send because of this datagram."""
        marker = via == 4500
        if marker and datagram[:4] != bytes(4):
            return []
        message = bytes(datagram[4 * marker :])
        if len(message) < 28 or int.from_bytes(message[24:28], "big") != len(message):
            return []
        if message[18] == IKE_SA_INIT and not message[19] & 0x20:
            answer = self._init(via, source, message)
        else:
            answer = self._protected(via, source, message)
        return [(via, source, bytes(4 * marker) + answer)] if answer else []

    def _init(self, via, source, message):
        if message in self._answers:
            return self._answers[message]
        parts = payloads(message[16], message[28:])
        spi_i = message[:8]
        nonce = of(parts, NONCE)

        def answer(spi_r, parts):
            parts = self.tamper("IKE_SA_INIT response", parts)
            if parts is None:
                return b""
            first, octets = chain(parts)
            header = spi_i, spi_r, first, 0x20, IKE_SA_INIT, 0x20, 0, 28 + len(octets)
            return struct.pack(">8s8sBBBBII", *header) + octets

        if self.cookies:
            cookie = prf(self._cookie_secret, spi_i, nonce, repr(source).encode())[:20]
            if parts[0] != notify(COOKIE, cookie):
                self.said.append("COOKIE")
                return answer(bytes(8), [notify(COOKIE, cookie)])
        found = self._choose(of(parts, SA), 1, self.ciphers, self.groups)
        if not found:
            self.said.append("NO_PROPOSAL_CHOSEN")
            return answer(bytes(8), [notify(NO_PROPOSAL_CHOSEN)])
        number, _, cipher, group = found
        ke = of(parts, KE)
        if int.from_bytes(ke[:2], "big") != group:
            self.said.append("INVALID_KE_PAYLOAD")
            return answer(bytes(8), [notify(INVALID_KE_PAYLOAD, struct.pack(">H", group))])
        sa = IkeSa(spi_i, self.random(8), source, via, cipher, first_request=message)
        exchange = Group(group, self.random)
        sa.nonces = nonce, self.random(32)
        sa.derive(prf(nonce + sa.nonces[1], exchange.secret(ke[4:])))
        agreed = [notify(USE_PPK)] if self.ppk and USE_PPK in notifies(parts) else []
        sa.first_response = answer(
            sa.spi_r,
            [
                (SA, proposal(number, 1, b"", transforms(1, cipher, group))),
                (KE, struct.pack(">HH", group, 0) + exchange.value),
                (NONCE, sa.nonces[1]),
                notify(16388, self._digest(sa, ("192.0.2.1", 500))),
                notify(16389, self._digest(sa, source)),
                *agreed,
            ],
        )
        sa.receive_id = 1
        self.sas.append(sa)
        self._answers = {message: sa.first_response}
        return sa.first_response

    @staticmethod
    def _digest(sa, endpoint):
        octets = ipaddress.ip_address(endpoint[0]).packed + endpoint[1].to_bytes(2, "big")
        return sha1(sa.spi_i + sa.spi_r + octets).digest()

    def find(self, spi_i, spi_r):
        """The IKE SA with these SPIs; None."""
        return next((sa for sa in self.sas if (sa.spi_i, sa.spi_r) == (spi_i, spi_r)), None)

    @staticmethod
    def _choose(body, protocol, ciphers, groups, any_group=True):
        """(number, SPI, cipher, group) of what we take; None."""
        for cipher in ciphers:
            for number, its_protocol, spi, offered in proposals(body):
                integrity = aead(cipher) or (3, 12, 0) in offered
                if its_protocol == protocol and (1, *CIPHERS[cipher]) in offered and integrity:
                    theirs = [identifier for kind, identifier, _ in offered if kind == 4]
                    group = next((group for group in groups if group in theirs), 0)
                    if group or (protocol == 3 and not theirs):
                        return number, spi, cipher, group
        return None

    def _sealed(self, sa, exchange, message_id, parts, response=False):
        what = NAMES[exchange] + (" response" if response else " request")
        parts = self.tamper(what, parts)
        if parts is None:
            return b""
        flags = 0x08 * sa.ours | 0x20 * response
        header = struct.pack(">8s8sBBBBI", sa.spi_i, sa.spi_r, SK, 0x20, exchange, flags, message_id)
        encryption, integrity = (sa.keys[3], sa.keys[1]) if sa.ours else (sa.keys[4], sa.keys[2])
        return seal(sa.cipher, encryption, integrity, header, parts, self.random(8 if aead(sa.cipher) else 16))

    def opened(self, sa, message):
        """The payloads of a message of the peer's; None if it is not."""
        encryption, integrity = (sa.keys[4], sa.keys[2]) if sa.ours else (sa.keys[3], sa.keys[1])
        return unseal(sa.cipher, encryption, integrity, message)

    def _protected(self, via, source, message):
        sa = self.find(message[:8], message[8:16])
        if sa is None:
            self.said.append("unknown SPIs")
            return b""
        parts = self.opened(sa, message)
        message_id = int.from_bytes(message[20:24], "big")
        if parts is None:
            self.said.append("integrity")
            return b""
        sa.peer, sa.via = source, via
        if message[19] & 0x20:
            if sa.pending and message_id == sa.send_id - 1:
                pending, sa.pending = sa.pending, ()
                self._finish(sa, parts, *pending[1:])
            return b""
        if message_id == sa.receive_id - 1:
            return sa.answer
        if message_id != sa.receive_id:
            return b""
        answer = {IKE_AUTH: self._auth, CREATE_CHILD_SA: self._create, INFORMATIONAL: self._inform}[message[18]]
        sa.answer = self._sealed(sa, message[18], message_id, answer(sa, parts), True)
        sa.receive_id += 1
        return sa.answer

    # Requests of the peer's.

    def _auth(self, sa, parts):
        peer_id = of(parts, ID_I)
        _, named = notifies(parts).get(PPK_IDENTITY, (b"", b""))
        mixed = bool(self.ppk) and named == b"\2" + self.ppk[0].encode()
        if mixed:
            sa.mix(self.ppk[1])
        signed = prf(prf(self.psk, b"Key Pad for IKEv2"), sa.first_request, sa.nonces[1], prf(sa.keys[5], peer_id))
        wanted = of(parts, ID_R)
        if of(parts, AUTH) != b"\x02\0\0\0" + signed or (wanted is not None and wanted != self.id):
            self.sas.remove(sa)
            self.said.append("AUTHENTICATION_FAILED")
            return [notify(AUTHENTICATION_FAILED)]
        if INITIAL_CONTACT in notifies(parts):
            self.sas = [other for other in self.sas if other is sa or other.id != peer_id]
        sa.id = peer_id
        sa.established = True
        signed = prf(prf(self.psk, b"Key Pad for IKEv2"), sa.first_response, sa.nonces[0], prf(sa.keys[6], self.id))
        answer = [(ID_R, self.id), (AUTH, b"\x02\0\0\0" + signed)]
        if mixed:
            answer.append(notify(PPK_IDENTITY))
        if self.lifetime:
            answer.append(notify(AUTH_LIFETIME, self.lifetime.to_bytes(4, "big")))
        return answer + self._first_child(sa, parts)

    def _first_child(self, sa, parts):
        refusal = self.refuse
        found = self._choose(of(parts, SA), 3, self.esp, ())
        answer = []
        ts_there = of(parts, TS_I)
        if of(parts, CP) is not None:
            if self.pool:
                address = ipaddress.ip_address(self.pool).packed
                given = struct.pack(">BBHHH", 2, 0, 0, 1, 4) + address
                for server in self.servers if b"\0\3\0\0" in of(parts, CP) else ():
                    given += b"\0\3\0\4" + ipaddress.ip_address(server).packed
                answer.append((CP, given))
                ts_there = selectors(self.pool + "/32")
            refusal = refusal or (0 if self.pool else INTERNAL_ADDRESS_FAILURE)
        refusal = refusal or (0 if found else NO_PROPOSAL_CHOSEN)
        if refusal:
            self.said.append(f"refused with {refusal}")
            return [notify(refusal)]
        number, spi, cipher, _ = found
        ts_here = selectors(*self.networks)
        child = self._pair(sa, cipher, self.random(4), spi, sa.nonces, b"", ts_here, ts_there, False)
        sa.children.append(child)
        self.said.append("established")
        chosen = proposal(number, 3, child.spi_in, transforms(3, cipher))
        return [*answer, (SA, chosen), (TS_I, ts_there), (TS_R, ts_here)]

    @staticmethod
    def _pair(sa, cipher, spi_in, spi_out, nonces, secret, ts_here, ts_there, ours):
        size = sum(key_octets(cipher))
        made = prf_plus(sa.keys[0], secret + b"".join(nonces), 2 * size)
        mine, theirs = (made[:size], made[size:]) if ours else (made[size:], made[:size])
        return Child(cipher, spi_in, spi_out, theirs, mine, ts_here, ts_there)

    def _create(self, sa, parts):
        return [notify(35)]  # NO_ADDITIONAL_SAS: the devices that are tested ask for nothing

    def _inform(self, sa, parts):
        answer = []
        for kind, body in parts:
            if kind == DELETE and body[0] == 1:
                self.sas.remove(sa)
                self.said.append("deleted by the peer")
                return []
            if kind == DELETE:
                spis = [body[i : i + 4] for i in range(4, len(body), 4)]
                gone = [child for child in sa.children if child.spi_out in spis]
                sa.children = [child for child in sa.children if child not in gone]
                answer.append((DELETE, struct.pack(">BBH", 3, 4, len(gone)) + b"".join(c.spi_in for c in gone)))
        for kind in notifies(parts):
            self.said.append(f"notified of {kind}")
            if kind == AUTHENTICATION_FAILED:
                self.sas.remove(sa)
        return answer

    # Requests of ours: each returns what to send, [] if another one is pending.

    def _request(self, sa, exchange, parts, what, about=None):
        if sa.pending:
            return []
        octets = self._sealed(sa, exchange, sa.send_id, parts)
        sa.send_id += 1
        sa.pending = octets, what, about
        return self.repeat(sa)

    def repeat(self, sa):
        """The request that is pending, again."""
        return [(sa.via, sa.peer, bytes(4 * (sa.via == 4500)) + sa.pending[0])] if sa.pending else []

    def check(self, sa):
        """A liveness check."""
        return self._request(sa, INFORMATIONAL, [], "check")

    def inform(self, sa, *parts):
        """An INFORMATIONAL request with these payloads."""
        return self._request(sa, INFORMATIONAL, list(parts), "inform")

    def delete(self, sa):
        """Delete of the IKE SA."""
        return self._request(sa, INFORMATIONAL, [(DELETE, b"\x01\0\0\0")], "delete")

    def delete_child(self, sa, child):
        """Delete of a Child SA."""
        return self._request(sa, INFORMATIONAL, [(DELETE, b"\x03\x04\0\x01" + child.spi_in)], "delete child", child)

    def rekey_child(self, sa, child=None, group=0, cipher=None):
        """A successor of a Child SA, with PFS if `group` is one; once it is there it is the last of sa.children."""
        child = child or sa.children[-1]
        cipher = cipher or child.cipher
        spi = self.random(4)
        nonce = self.random(32)
        exchange = Group(group, self.random) if group else None
        parts = [
            notify(REKEY_SA, b"", 3, child.spi_in),
            (SA, proposal(1, 3, spi, transforms(3, cipher, group))),
            (NONCE, nonce),
            *([(KE, struct.pack(">HH", group, 0) + exchange.value)] if group else []),
            (TS_I, child.ts_here),
            (TS_R, child.ts_there),
        ]
        return self._request(sa, CREATE_CHILD_SA, parts, "rekey child", (child, cipher, spi, nonce, exchange))

    def rekey_ike(self, sa, group=31, cipher=None):
        """A successor of the IKE SA; once it is there it is the last of `sas`, and has the Child SAs."""
        spi = self.random(8)
        nonce = self.random(32)
        exchange = Group(group, self.random)
        cipher = cipher or sa.cipher
        parts = [
            (SA, proposal(1, 1, spi, transforms(1, cipher, group))),
            (NONCE, nonce),
            (KE, struct.pack(">HH", group, 0) + exchange.value),
        ]
        return self._request(sa, CREATE_CHILD_SA, parts, "rekey ike", (cipher, spi, nonce, exchange))

    def _finish(self, sa, parts, what, about):
        """The response to one of them has come."""
        errors = [kind for kind in notifies(parts) if kind < 16384]
        self.said.append(f"{what}: {errors[0] if errors else 'done'}")
        if what == "delete":
            self.sas.remove(sa)
        elif what == "delete child":
            sa.children.remove(about)
        elif what == "rekey child" and not errors:
            _, cipher, spi, nonce, exchange = about
            secret = exchange.secret(of(parts, KE)[4:]) if exchange else b""
            (chosen,) = proposals(of(parts, SA))
            nonces = nonce, of(parts, NONCE)
            ts = of(parts, TS_I), of(parts, TS_R)
            sa.children.append(self._pair(sa, cipher, spi, chosen[2], nonces, secret, *ts, True))
        elif what == "rekey ike" and not errors:
            cipher, spi, nonce, exchange = about
            (chosen,) = proposals(of(parts, SA))
            new = IkeSa(spi, chosen[2], sa.peer, sa.via, cipher, True, established=True, id=sa.id)
            new.nonces = nonce, of(parts, NONCE)
            new.derive(prf(sa.keys[0], exchange.secret(of(parts, KE)[4:]), *new.nonces))
            new.children, sa.children = sa.children, []
            self.sas.append(new)


def echoed(gateway, source, octets):
    """[(our port, peer, octets)]: a packet of a Child SA with its inner addresses, and UDP ports, exchanged."""
    for sa in gateway.sas:
        for child in sa.children:
            inner = child.open(octets) if octets[:4] == child.spi_in else None
            if inner:
                ports = inner[22:24] + inner[20:22] if inner[9] == 17 else inner[20:24]
                back = inner[:12] + inner[16:20] + inner[12:16] + ports + inner[24:]
                return [(4500, source, sa.children[-1].seal(back, gateway.random))]
    return []
