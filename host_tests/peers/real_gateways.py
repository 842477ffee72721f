"""Real daemons as gateways of a device: charon with ESP in user space, and pluto; configured by what `make gateway`
prints for the device's configuration, and by levers. Behind them is a UDP echo server.
"""

import contextlib
import copy
import re
import signal
import threading

from ipsec.tools import gateway

from peers.libreswan import TREE, PlutoProcess
from peers.namespaces import run
from peers.router import GATEWAY, INNER, INSIDE
from peers.strongswan import CharonProcess

PSK = "of no value, but long enough"
PPK = {"ppk": "of no value, but 32 octets long or more", "ppk_id": "sensor-7.ppk"}  # of a configuration
ECHO = 7  # UDP port of the echo server
NAME = "sensor-7"
CONFIG = {
    "gateway": GATEWAY, "id": NAME, "psk": PSK, "gateway_id": "gateway.example", "inside": INSIDE,
    "remote": ["10.77.0.0/24"], "keep_keys": False, "lifetime_s": 10800,
    "groups": [31, 14], "ciphers": ["aes-cbc-256", "aes-cbc-128"],
}  # fmt: skip
_PLUGINS = "random nonce aes sha1 sha2 hmac kdf gmp curve25519 gcm openssl %s kernel-netlink socket-default vici updown"


def _facts(config, pool):
    return gateway.Facts({"ppk": "", "ppk_id": "", **config}, pool)


def config(**changes):
    """The device's configuration of the tests."""
    return {**CONFIG, **changes}


class Strongswan(CharonProcess):
    """charon. `settings` are its own, `connection` and `child` change what `make gateway` says, None removes a line.

    With `esp` False it has no ESP at all. `keys` logs all keys. `servers` are the name servers that it gives,
    `authorities` paths of the certificates of CAs that it trusts.
    """

    def __init__(self, host, folder, config=CONFIG, settings=(), connection=(), child=(), pool="10.9.0.0/24", esp=True,
                 keys=False, secret=None, servers=(), authorities=()):  # fmt: skip
        super().__init__(folder)
        self._host = host
        facts = _facts(config, pool)
        self.name = facts.name
        level = 4 if keys else 1
        plugins = ["kernel-libipsec"] * esp + ["x509", "pem"] * bool(authorities)
        daemon = {
            "load": _PLUGINS % " ".join(plugins), "install_virtual_ip": "no",
            "filelog": {"log": {"path": f"{folder}/log", "flush_line": "yes", "append": "yes", "default": 1,
                                "ike": level, "chd": level}},
            "plugins": {"vici": {"socket": f"unix://{folder}/vici"},
                        "kernel-libipsec": {"load": "yes", "allow_peer_ts": "yes"}},
            "retransmit_timeout": "0.5", "retransmit_base": "1.4", "retransmit_tries": "8", **dict(settings),
        }  # fmt: skip
        (folder / "strongswan.conf").write_text("\n".join(gateway.sections({"charon": daemon})) + "\n")
        self._swanctl = gateway.swanctl(facts)
        if secret is not None:
            self._swanctl["secrets"][f"ike-{self.name}"]["secret"] = f'"{secret}"'
        if servers:
            self._swanctl["pools"][self.name]["dns"] = ", ".join(servers)
        if authorities:
            self._swanctl["authorities"] = {path.stem: {"file": path} for path in authorities}
        self.start()
        self.configure(connection, child)

    def start(self):
        """Start it, once more after `stop` or `kill`."""
        self.run_in(self._host)

    def configure(self, connection=(), child=()):
        """Load what `make gateway` says with these changes."""
        nested = copy.deepcopy(self._swanctl)
        ours = nested["connections"][self.name]
        _change(ours, connection)
        _change(ours["children"][self.name], child)
        (self.folder / "swanctl.conf").write_text("\n".join(gateway.sections(nested)) + "\n")
        self.load()

    def sas(self):
        """[(unique id, state, [(state of a Child SA)])] of its IKE SAs."""
        text = self.swanctl("--list-sas")
        return [
            (int(number), state, re.findall(r"^  [^ ].*?: #[0-9]+, reqid [0-9]+, ([A-Z]+),", rest, re.MULTILINE))
            for number, state, rest in re.findall(
                r"^[^ ].*?: #([0-9]+), ([A-Z]+), (.*?)(?=^[^ ]|\Z)", text, re.MULTILINE | re.DOTALL
            )
        ]

    def stop(self):
        """End it politely: it sends Delete."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def keys(self):
        """[{name: hex}] of every IKE SA and Child SA that it made keys for, in order; with `keys` only."""
        found = re.findall(r"\] ([A-Za-z_ ]+?)(?: secret)? => [0-9]+ bytes @.*\n((?:.*[0-9]+: .*\n)+)", self.log())
        return [(name, "".join(re.findall(r": ((?:[0-9A-F]{2} ){1,16})", dump)).replace(" ", "").lower())
                for name, dump in found]  # fmt: skip

    def tunnel_keys(self, packets, said):
        """A row of packets.wireshark: the first IKE SA in the packets and the first Child SA in the log, both with the
        ciphers that `make try` said; with `keys` only."""
        ciphers = [re.search(f" {kind} (aes[a-z0-9-]+)", "\n".join(said))[1] for kind in ("IKE", "ESP")]
        secrets = {}
        for name, octets in self.keys():
            secrets.setdefault(name, octets)
        message = next(packet.octets for packet in packets if not packet.sent and any(packet.octets[8:16]))
        ike = [secrets.get(f"Sk_{name}", "") for name in ("ei", "er", "ai", "ar")]
        spis = re.search(r"established with SPIs ([0-9a-f]{8})_i ([0-9a-f]{8})_o", self.log()).groups()
        esp = [
            secrets.get(f"encryption {who} key", "") + secrets.get(f"integrity {who} key", "")
            for who in ("initiator", "responder")
        ]
        return *ciphers, [message[:8].hex(), message[8:16].hex(), *ike, *spis, *esp]


def _change(section, changes):
    for name, value in dict(changes).items():
        if value is None:
            section.pop(name, None)
        elif isinstance(value, dict):
            section[name] = {**section.get(name, {}), **value}
        else:
            section[name] = value


class Libreswan(PlutoProcess):
    """pluto, its connection loaded by addconn; `conn` changes what `make gateway` says. It has no ESP here."""

    def __init__(self, host, folder, config=CONFIG, conn=(), pool="10.9.0.0/24"):
        super().__init__(folder)
        facts = _facts(config, pool)
        self.name = facts.name
        lines = gateway.libreswan(facts)
        split = lines.index("")
        for name, value in dict(conn).items():
            lines = [f"    {name}={value}" if line.startswith(f"    {name}=") else line for line in lines]
        (folder / "ipsec.conf").write_text("\n".join(lines[:split]) + "\n")
        (folder / "secrets").write_text("\n".join(lines[split:]) + "\n")
        try:
            self.run_in(host, GATEWAY)
            run(*host.prefix, TREE / "ipsec/addconn", "--config", folder / "ipsec.conf", "--ctlsocket",
                self.control, self.name)  # fmt: skip
            self.logged(f'"{self.name}": added')
        except BaseException:
            self.kill()
            raise


def restart(hosts, gateway):
    """The gateway ends as one does, and is there again."""
    gateway.stop()
    gateway.start()


def killed(hosts, gateway):
    """Power cut at the gateway."""
    gateway.kill()
    gateway.start()


def address(hosts, gateway):
    """Another lease for the device."""
    hosts.move_device()


@contextlib.contextmanager
def echo(host, address=INNER, port=ECHO):
    """A UDP server there that answers each datagram with itself; what it heard, [(octets, source)]."""
    heard = []

    def answer(octets, source):
        heard.append((octets, source))
        return octets

    with answering(host, address, port, answer):
        yield heard


@contextlib.contextmanager
def answering(host, address, port, answer):
    """A UDP server there: answer(octets, source) goes back. An empty datagram from its own address ends it."""
    sock = host.socket(address, port)
    sock.settimeout(None)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                octets, source = sock.recvfrom(4096)
                if not octets and source[0] == address:
                    return
                sock.sendto(answer(octets, source), source)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with host.socket(address) as last:
            last.sendto(b"", (address, port))
        thread.join()
        sock.close()
