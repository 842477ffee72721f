"""strongSwan's charon in a namespace, with ESP in user space (kernel-libipsec) or none at all."""

import contextlib
import re
import socket
import subprocess

from peers.daemon import Daemon
from peers.namespaces import INSIDE, SECRET, run, until

CHARON = "/usr/lib/ipsec/charon"
_PLUGINS = "random nonce aes sha1 sha2 hmac kdf gmp curve25519 gcm %s kernel-netlink socket-default vici counters"
_DAEMON = """charon {
    load = %(plugins)s
    port = %(port)d
    port_nat_t = %(port_nat)d
    retransmit_timeout = 0.4
    retransmit_base = 1
    retransmit_tries = 1000
    filelog {
        log {
            path = %(folder)s/log
            flush_line = yes
            default = %(level)d
            ike = %(ike_level)d
        }
    }
    plugins {
        vici {
            socket = unix://%(folder)s/vici
        }
        kernel-libipsec {
            load = yes
        }
    }
}
"""
_CONNECTION = """    %(name)s {
        version = 2
        local_addrs = %(local)s
        remote_addrs = %(remote)s
        encap = %(encap)s
        mobike = no
        unique = never
        childless = allow
        proposals = %(proposal)s
        dpd_delay = %(dpd)s
        local {
            auth = psk
            id = %(id)s
        }
        remote {
            auth = psk
            id = %(other)s
        }
        children {
            tunnel {
                local_ts = %(local_inside)s
                remote_ts = %(remote_inside)s
                esp_proposals = aes128-sha256
            }
        }
    }
"""
_SECRETS = """secrets {
    ike {
        secret = "%s"
    }
}
"""

_PASSING = re.compile(r" ?(established|[a-z]+-time|use-out|(bytes|packets)-out)=[0-9]+")


def version():
    """Its version, from the package."""
    return run("dpkg-query", "-W", "-f", "${Version}", "strongswan-charon").split("-")[0]


class CharonProcess(Daemon):
    """charon, which reads strongswan.conf and then swanctl.conf in its folder; vici is its control socket there."""

    NAME = "strongSwan"

    def run_in(self, host, before=":"):
        """Start it, once more after `stop` or `kill`, behind the commands `before`."""
        (self.folder / "run").mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "vici").unlink()
        # The pid file is always in /run.
        self._start(host, f"""{before}; mount --bind {self.folder}/run /run && rm -f /run/charon.pid &&
            STRONGSWAN_CONF={self.folder}/strongswan.conf exec {CHARON}""")  # fmt: skip
        try:
            self._ready(self._listens)
            if (self.folder / "swanctl.conf").exists():
                self.load()
        except BaseException:
            self.kill()
            raise

    def _listens(self):
        """True once the socket, which is there before charon listens, takes a connection."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.folder / "vici"))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
        return True

    def load(self):
        """Load swanctl.conf."""
        self.swanctl("--load-all", "--file", self.folder / "swanctl.conf", "--noprompt")

    def swanctl(self, *arguments):
        """swanctl's output."""
        return run("swanctl", *arguments, "--uri", f"unix://{self.folder}/vici")


class Charon(CharonProcess):
    """A running charon with connections to `remote`: {name: port on which it is to speak IKE}."""

    ESP = (4500,)  # ports on which it can have a tunnel: it encapsulates all or nothing
    REFUSALS = {  # noqa: RUF012
        "IKE_AUTH": "IKE_AUTH response with message ID 1 processing failed",
        "CREATE_CHILD_SA": "CREATE_CHILD_SA response with message ID 2 processing failed",
        "INFORMATIONAL": "INFORMATIONAL response with message ID 2 processing failed",
        "INVALID_SPI": "INFORMATIONAL request with message ID 0 processing failed",
    }
    KEEPER = {"dpd": {"dpd": "1s"}}  # noqa: RUF012

    def __init__(self, host, folder, local, remote, connections, esp=None, proposal="aes128-sha256-x25519", dpd=None,
                 level=1, keys=False, ports=(500, 4500)):  # fmt: skip
        esp = 4500 in connections.values() if esp is None else esp
        super().__init__(folder)
        values = {
            "plugins": _PLUGINS % ("kernel-libipsec" if esp else ""), "folder": folder, "port": ports[0],
            "port_nat": ports[1], "level": level, "ike_level": 4 if keys else level,
        }  # fmt: skip
        (folder / "strongswan.conf").write_text(_DAEMON % values)
        texts = [
            _CONNECTION % {
                "name": name, "local": local, "remote": remote, "encap": "no" if port == 500 else "yes",
                "proposal": proposal, "dpd": (dpd or {}).get(name, "0s"), "id": f"{name}.{local}",
                "other": f"{name}.{remote}", "local_inside": INSIDE[local], "remote_inside": INSIDE[remote],
            }
            for name, port in connections.items()
        ]  # fmt: skip
        (folder / "swanctl.conf").write_text("connections {\n" + "".join(texts) + "}\n" + _SECRETS % SECRET)
        # A tunnel's route needs an address to start from.
        self.run_in(host, f"ip addr replace {INSIDE.get(local, local)} dev lo")

    def establish(self, name):
        """Bring up its IKE SA."""
        self.swanctl("--initiate", "--ike", name)

    def begin(self, name):
        """Ask for the IKE SA."""
        command = (
            "setpriv",
            "--pdeathsig",
            "KILL",
            "swanctl",
            "--initiate",
            "--ike",
            name,
            "--uri",
            f"unix://{self.folder}/vici",
        )
        null = subprocess.DEVNULL
        self._waiting.append(subprocess.Popen(command, stdin=null, stdout=null, stderr=null))

    def rekey(self, name):
        """Ask for a successor of the IKE SA."""
        self.swanctl("--rekey", "--ike", name)

    def check(self, name):
        """Ask whether the peer is alive: it does so by itself."""

    def tunnel(self, name):
        """Bring up its IKE SA and a tunnel."""
        self.swanctl("--initiate", "--ike", name, "--child", "tunnel")

    def refused(self, since):
        """How many IKE messages it could make nothing of, by its log from that octet on."""
        return sum(self.log()[since:].count(line) for line in self.REFUSALS.values())

    def sas(self):
        """All that it says of its SAs, but for time and traffic sent."""
        text = self.swanctl("--list-sas", "--raw")
        return sorted(_PASSING.sub("", text).splitlines())

    @staticmethod
    def counted(heard):
        """What its counters make of so many answers, by name."""
        return {"invalid": heard["IKE_AUTH"] + heard["CREATE_CHILD_SA"]}

    @staticmethod
    def is_model(asked):
        """True if it answers a request of a higher version, with those fields, as section 1.5 says."""
        return asked["exchange type"].endswith(")")  # those that it knows

    def settled(self, unknown):
        """Wait until it has come to that many requests with unknown SPIs: other threads read them than answer."""
        until(lambda: self.counters()["invalid-spi"] >= unknown, "charon has not read all requests")

    def secrets(self):
        """{name: octets} of the keys, 'Sk_ei' and so on, of the one IKE SA that was made; with `keys` only."""
        found = re.findall(r"\] (Sk_[ae][ir]) secret => .*\n((?:[0-9]+\[IKE\] +[0-9]+: .*\n)+)", self.log())
        return {name: bytes.fromhex("".join(re.findall(r": ((?:[0-9A-F]{2} ){1,16})", dump))) for name, dump in found}

    def counters(self):
        """{name: count} of its counters."""
        lines = [line.split(":") for line in self.swanctl("--counters").splitlines()]
        return {line[0].strip(): int(line[1]) for line in lines if len(line) == 2 and line[1].strip()}
