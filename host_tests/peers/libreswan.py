"""libreswan's pluto in a namespace, from its unpacked package; without ESP, which is the kernel's business."""

import re
import subprocess

from tools import BUILD

from peers.daemon import Daemon
from peers.namespaces import SECRET, run, until

TREE = BUILD / "libreswan/usr/libexec"
_WHACK = "setpriv", "--pdeathsig", "KILL", TREE / "ipsec/whack"
_PASSING = re.compile(r" in -?[0-9]+s")


def version():
    """Its version."""
    return re.search(r"[0-9][0-9.]+", run(TREE / "ipsec/pluto", "--version"))[0]


class PlutoProcess(Daemon):
    """pluto, which takes its secrets from the file of that name in its folder."""

    NAME = "libreswan"

    def run_in(self, host, address):
        """Start it, listening at that address."""
        folder = self.folder
        for name in ("nss", "run", "ipsec.d"):
            (folder / name).mkdir(parents=True)
        run("certutil", "-N", "-d", f"sql:{folder}/nss", "--empty-password")
        # It starts programs from /usr/libexec.
        self._start(host, f"""mount --bind {TREE} /usr/libexec && exec {TREE}/ipsec/pluto --nofork --use-xfrm \
            --no-dnssec --nhelpers 0 --log-no-time --nssdir {folder}/nss --rundir {folder}/run \
            --ipsecdir {folder}/ipsec.d --secretsfile {folder}/secrets --dumpdir {folder} --logfile {folder}/log \
            --listen {address}""")  # fmt: skip
        self._ready(lambda: "listening for IKE messages" in self.log())
        self.whack("--listen")

    @property
    def control(self):
        """Its control socket."""
        return self.folder / "run/pluto.ctl"

    def whack(self, *arguments):
        """whack's output."""
        command = *_WHACK, "--ctlsocket", self.control, *arguments
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr


class Pluto(PlutoProcess):
    """A running pluto with connections to `remote`: {name: port on which it is to speak IKE}."""

    ESP = ()  # ports on which it can have a tunnel
    REFUSALS = {  # noqa: RUF012
        kind: f"dropping unexpected {kind} message containing INVALID_IKE_SPI notification"
        for kind in ("IKE_AUTH", "CREATE_CHILD_SA", "INFORMATIONAL")
    }
    KEEPER = {}  # noqa: RUF012

    def __init__(self, host, folder, local, remote, connections):
        super().__init__(folder)
        (folder / "secrets").write_text(f'%any %any : PSK "{SECRET}"\n')
        try:
            self.run_in(host, local)
            for name, port in connections.items():
                encaps = "no" if port == 500 else "yes"
                self.whack(
                    "--name", name, "--ikev2", "--psk", "--encrypt", "--tunnel", "--encaps", encaps,
                    "--ike", "aes128-sha2_256-dh31", "--esp", "aes128-sha2_256",
                    "--retransmit-interval", "400", "--retransmit-timeout", "60",
                    "--id", f"@{name}.{local}", "--host", local, "--to", "--id", f"@{name}.{remote}", "--host", remote,
                )  # fmt: skip
        except BaseException:
            self.kill()
            raise

    def establish(self, name):
        """Bring up its IKE SA."""
        self.begin(name)
        until(lambda: f'"{name}" #' in self.log() and re.search(f'"{name}" #.*established IKE SA', self.log()), name)

    def begin(self, name):
        """Ask for the IKE SA."""
        self.whack("--initiate", "--name", name, "--asynchronous")

    def rekey(self, name):
        """Ask for a successor of the IKE SA."""
        self.whack("--rekey-ike", "--name", name, "--asynchronous")

    def check(self, name):
        """Ask whether the peer is alive."""
        number = re.search(rf'"{name}" #([0-9]+): .*established IKE SA', self.log())[1]
        command = *_WHACK, "--ctlsocket", self.control, "--impair", f"initiate-v2-liveness:{number}"
        null = subprocess.DEVNULL
        self._waiting.append(subprocess.Popen(command, stdin=null, stdout=null, stderr=null))  # until it is answered

    def sas(self):
        """All that it says of its SAs, but for time."""
        return _PASSING.sub("", self.whack("--showstates")).splitlines()

    def refused(self, since):
        """How many IKE messages it could make nothing of, by its log from that octet on."""
        return sum(self.log()[since:].count(line) for line in self.REFUSALS.values())

    @staticmethod
    def counted(heard):
        """What its counters make of so many answers, by name."""
        return {}

    @staticmethod
    def is_model(asked):
        """True if it answers a request of a higher version, with those fields, as section 1.5 says."""
        return asked["exchange type"].endswith(")") and "I" in asked["flags"].split()  # it never sets I

    def counters(self):
        """{name: count} of its counters."""
        return {}

    def settled(self, unknown):
        """It has one thread and answers in turn."""
