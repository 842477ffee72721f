"""What stands behind a gateway for a device's streams: a name server, an MQTT broker, web servers, with TLS as well."""

import contextlib
import subprocess
import sys
from pathlib import Path

from library import certificates
from scapy.layers.dns import DNS, DNSRR
from tools import HERE, device_environment

from peers.namespaces import until
from peers.real_gateways import answering
from peers.router import INNER

MQTT, MQTTS, HTTP, HTTPS, STREAMS, _DNS = 1883, 8883, 80, 443, 9000, 53
NAME = "server.lan"  # of all of them, and in the certificate
_BROKER = """
persistence false
allow_anonymous true
log_dest file {folder}/mosquitto.log
log_type all
listener {mqtt} {address}
listener {mqtts} {address}
certfile {folder}/server.crt
keyfile {folder}/server.key
user root
"""


@contextlib.contextmanager
def name_server(host):
    """It knows NAME; the names that it was asked for."""
    asked = []

    def answer(octets, source):
        question = DNS(octets)
        asked.append(question.qd[0].qname.decode())
        known = asked[-1] == NAME + "."
        found = {"an": DNSRR(rrname=NAME, rdata=INNER, ttl=60)} if known else {"rcode": 3}
        return bytes(DNS(id=question.id, qr=1, ra=1, qd=question.qd, **found))

    with answering(host, INNER, _DNS, answer):
        yield asked


class Broker:
    """mosquitto, by MQTT and MQTTS; it keeps nothing over a restart."""

    def __init__(self, host, folder):
        (folder / "mosquitto.conf").write_text(_BROKER.format(folder=folder, address=INNER, mqtt=MQTT, mqtts=MQTTS))
        self._log = folder / "mosquitto.log"
        self._command = [*host.prefix, "/usr/sbin/mosquitto", "-c", folder / "mosquitto.conf"]
        self._process = None

    def __enter__(self):
        null = subprocess.DEVNULL
        starts = self.log().count(" running")
        self._process = subprocess.Popen(self._command, stdout=null, stderr=null)
        until(lambda: self.log().count(" running") > starts, "mosquitto's start")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def restart(self):
        """Power cut, and it is there again."""
        self.__exit__()
        self.__enter__()

    def log(self):
        """What it has logged, over all its lives."""
        return self._log.read_text() if self._log.exists() else ""


@contextlib.contextmanager
def _served(host, program, *arguments):
    """A server of this folder, for as long as it is needed."""
    command = [*host.prefix, sys.executable, HERE / f"peers/{program}.py", INNER, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=device_environment()) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def web_server(host, port, *folder):
    """Serves as web_server.py says."""
    return _served(host, "web_server", port, *folder)


def stream_server(host):
    """Serves as stream_server.py says."""
    return _served(host, "stream_server", STREAMS)


@contextlib.contextmanager
def services(host, folder: Path):
    """All of them; the broker and what the name server was asked. `folder` has ca.crt and ca.der."""
    certificates.write(folder, name=NAME)
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker(host, folder))
        stack.enter_context(web_server(host, HTTP))
        stack.enter_context(web_server(host, HTTPS, folder))
        yield broker, stack.enter_context(name_server(host))
