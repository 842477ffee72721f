"""strongSwan's charon in a namespace, with ESP in user space (kernel-libipsec) or none at all."""

import re
import subprocess
import time

from peers.net import ASKER, PLACE, run

CHARON = "/usr/lib/ipsec/charon"
INSIDE = {ASKER: "10.77.0.3", PLACE: "10.77.0.2"}  # what each may reach of the other through a tunnel
_PLUGINS = "random nonce aes sha1 sha2 hmac kdf gmp curve25519 %s kernel-netlink socket-default vici counters"
_DAEMON = """charon {
    load = %(plugins)s
    port = %(port)d
    port_nat_t = %(port_nat)d
    retransmit_timeout = 0.4
    retransmit_base = 1
    retransmit_tries = 1000
    receive_delay = %(delay)d
    receive_delay_type = 35
    receive_delay_response = no
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
            id = %%any
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
        secret = "of no value"
    }
}
"""

_PASSING = re.compile(r" ?(established|[a-z]+-time|use-out|(bytes|packets)-out)=[0-9]+")


def version():
    """Its version, from the package."""
    return run("dpkg-query", "-W", "-f", "${Version}", "strongswan-charon").split("-")[0]


class Charon:
    """A running charon with connections to `remote`: {name: port on which it is to speak IKE}."""

    def __init__(self, host, folder, local, remote, connections, esp=True, proposal="aes128-sha256-x25519",
                 delay_auth_ms=0, dpd=None, level=1, keys=False, ports=(500, 4500)):  # fmt: skip
        (folder / "run").mkdir(parents=True)
        self.folder = folder
        values = {
            "plugins": _PLUGINS % ("kernel-libipsec" if esp else ""), "folder": folder, "delay": delay_auth_ms,
            "port": ports[0], "port_nat": ports[1], "level": level, "ike_level": 4 if keys else level,
        }  # fmt: skip
        (folder / "strongswan.conf").write_text(_DAEMON % values)
        texts = [
            _CONNECTION % {
                "name": name, "local": local, "remote": remote, "encap": "no" if port == 500 else "yes",
                "proposal": proposal, "dpd": (dpd or {}).get(name, "0s"), "id": f"{name}@{local}",
                "local_inside": INSIDE[local], "remote_inside": INSIDE[remote],
            }
            for name, port in connections.items()
        ]  # fmt: skip
        (folder / "swanctl.conf").write_text("connections {\n" + "".join(texts) + "}\n" + _SECRETS)
        # A tunnel's route needs an address to start from; the pid file is always in /run.
        start = f"""ip addr replace {INSIDE[local]} dev lo; mount --bind {folder}/run /run &&
            STRONGSWAN_CONF={folder}/strongswan.conf exec {CHARON}"""
        self.process = subprocess.Popen(
            [*host.prefix, "unshare", "--mount", "sh", "-c", start], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            end = time.monotonic() + 20
            while not (folder / "vici").exists():
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("charon did not start: " + self.log())
                time.sleep(0.02)
            self.swanctl("--load-all", "--file", folder / "swanctl.conf", "--noprompt")
        except BaseException:
            self.kill()
            raise

    def swanctl(self, *arguments):
        """swanctl's output."""
        return run("swanctl", *arguments, "--uri", f"unix://{self.folder}/vici")

    def log(self):
        """What it has logged."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def refused(self, since):
        """How many IKE messages it could make nothing of, by its log from that octet on."""
        return self.log()[since:].count(" processing failed")

    def sas(self):
        """All that it says of its SAs, but for time and traffic sent."""
        text = self.swanctl("--list-sas", "--raw")
        return sorted(_PASSING.sub("", text).splitlines())

    def counters(self):
        """{name: count} of its counters."""
        lines = [line.split(":") for line in self.swanctl("--counters").splitlines()]
        return {line[0].strip(): int(line[1]) for line in lines if len(line) == 2 and line[1].strip()}

    def kill(self):
        """End it at once, without a farewell to its peers."""
        self.process.kill()
        self.process.wait()
