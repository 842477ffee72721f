"""Tries a device's configuration: each step with its milliseconds, what was chosen, echoes through the tunnel.

One program for CPython, MicroPython's unix port and the emulated board; nothing is left behind, no port need be free.
Its lines are for people, and the last ones for scripts: `up after 0.031 s`, `3 of 3 echoes answered`, or the reason.
"""

import asyncio

from ikev2.net.addresses import resolve
from ikev2.net.sockets import sleep_ms, ticks_ms
from portable import ipv4

from ..tunnel import Tunnel
from .watch import Watch, address, networks

_KEYS = ("id", "gateway_id", "inside", "remote", "groups", "ciphers", "liveness_s", "keepalive_s", "lifetime_s")
_UP_S = 40
_EVERY_MAX_S = 3600
_GRACE_MS = 5000  # for the answer to an echo, until it is said to be lost
_LOOK_MS = 50
_WRAP = 0x3FFFFFFF


class Failed(Exception):
    """The reason in words."""


def _since(then):
    return (ticks_ms() - then) & _WRAP


class Try:
    """One try: `run()` is the whole of it.

    ping -- address behind the gateway that gets `count` echoes, `every` so many seconds; "": none
    contact -- end the older tunnel of this id, if there is one (N11); `spare` is how whoever calls can say no
    """

    def __init__(self, config, say=print, ping="", count=3, every=0.5, contact=True, spare="--no-contact"):
        self._config = config
        self._ping = ping
        self._count = count
        self._every = every
        self._contact = contact
        self._spare = spare
        self._say = say
        self._began = ticks_ms()
        self._tunnel = None
        self._sent = {}  # of each echo without an answer: when it was sent
        self._lost = {}  # those that were said to be lost
        self._due = 0
        self._answered = 0
        self._task = None
        self._over = False

    def _step(self, text):
        self._say("%6d ms  %s" % (_since(self._began), text))

    async def run(self):
        """0, or 1 with the reason in the last line."""
        self._task = asyncio.current_task()
        try:
            self._check()
            await self._up()
            good = await self._echoes() if self._ping else True
        except Failed as failed:
            await self.close()
            self._say(str(failed))
            return 1
        finally:
            await self.close()
            self._over = True
        if self._ping:
            self._say(self.summary())
        return 0 if good else 1

    def _check(self):
        if self._count < 1 or not 0 < self._every <= _EVERY_MAX_S:
            raise Failed("at least 1 echo, and one every %d seconds at most, not %d every %s"
                         % (_EVERY_MAX_S, self._count, self._every))  # fmt: skip
        if self._ping and ipv4(self._ping) is None:
            raise Failed("%s is no IPv4 address of something behind the gateway" % self._ping)

    def summary(self):
        """The echoes, so far."""
        return "%d of %d echoes answered" % (self._answered, self._due)

    async def end(self):
        """The end where Ctrl-C has stopped the loop: MicroPython's goes on with all its tasks, CPython's has ended."""
        if not self._over:
            self._task.cancel()
        while not self._over:
            await sleep_ms(_LOOK_MS)

    async def close(self):
        """Delete is sent, if there is anything to delete."""
        tunnel, self._tunnel = self._tunnel, None
        if tunnel:
            await tunnel.close()

    async def _look_up(self):
        gateway = self._config["gateway"]
        try:
            found = address(await resolve(gateway))
        except OSError as error:
            raise Failed("%s; look at gateway, and at the name server of this place" % error) from None
        self._step("gateway %s%s" % (gateway, "" if found == gateway else " is " + found))

    async def _up(self):
        config, contact = self._config, self._contact
        for key in ("gateway", "id", "psk"):
            if not config[key]:
                raise Failed('"%s" is missing in the configuration: there is no tunnel without it' % key)
        if contact:
            self._say(
                "Ends the tunnel that a device with the id %s may have; %s leaves it alone."
                % (config["id"], self._spare)
            )
        await self._look_up()
        settings = {name: config[name] for name in _KEYS}
        if config["ppk"]:
            settings["ppk"] = config["ppk_id"], config["ppk"].encode()
        try:
            self._tunnel = tunnel = Tunnel(
                config["gateway"], psk=config["psk"].encode(), contact=contact, local={500: 0, 4500: 0}, **settings
            )
        except ValueError as error:
            raise Failed("the configuration cannot be: %s" % error) from None
        watch = Watch(tunnel.node, self._step)
        try:
            await asyncio.wait_for(tunnel.up(), _UP_S)
        except (OSError, asyncio.TimeoutError) as error:
            late = "no tunnel after %d s: look at the gateway's log" % _UP_S
            raise Failed(error.args[-1] if error.args else late) from None
        took = _since(self._began)
        watch.quiet = True
        child = tunnel.child
        self._step("ESP %s, inside %s, to %s" % (child.cipher, networks(child.inside), networks(child.remote)))
        self._say("up after %d.%03d s" % (took // 1000, took % 1000))

    async def _echoes(self):
        """True if every echo was answered."""
        host, count, every = self._ping, self._count, int(self._every * 1000)
        begun = ticks_ms()
        for number in range(count):
            while _since(begun) < number * every:
                await sleep_ms(min(number * every - _since(begun), _LOOK_MS))
                self._look()
            self._echo(number, host)
        last = ticks_ms()
        while self._answered < count and _since(last) <= _GRACE_MS:
            await sleep_ms(_LOOK_MS)
            self._look()
        self._look(True)
        return self._answered == count

    def _echo(self, number, host):
        self._due += 1
        try:
            self._tunnel.ping(host, number)
        except OSError as error:
            self._miss(number, error.args[-1])
        else:
            self._sent[number] = ticks_ms()

    def _look(self, end=False):
        for number in self._tunnel.pongs():
            if self._sent.pop(number, None) is not None:
                self._answered += 1
            elif self._lost.pop(number, None):
                self._answered += 1
                self._say("echo %d was answered late" % (number + 1))
        for number in list(self._sent):
            if end or _since(self._sent[number]) > _GRACE_MS:
                del self._sent[number]
                self._miss(number, "no answer")

    def _miss(self, number, why):
        self._lost[number] = True
        self._say("echo %d lost: %s" % (number + 1, why))


def main(config, say=print, **options):
    """The exit status of a try, which Ctrl-C ends politely."""
    attempt = Try(config, say, **options)
    try:
        return asyncio.run(attempt.run())
    except KeyboardInterrupt:
        asyncio.run(attempt.end())
        say("ended by Ctrl-C; " + attempt.summary())
        return 130
