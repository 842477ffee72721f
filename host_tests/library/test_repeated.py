"""MicroPython folds only the constants of the same file, so some stand in several: with the number of their owner."""

from importlib import import_module

import pytest

USERS = {  # owner: who repeats of it
    "ikev2.wire": "ikev2.node ikev2.hints ikev2.notifier ikev2.spi_table",
    "ikev2.notifier": "ikev2.node ikev2.net.udp",
    "ikev2.hints": "ikev2.node ikev2.notifier",
    "ikev2.slots": "ikev2.spi_table",
    "ikev2.sa.window": "ikev2.node",
    "ikev2.sa.selectors": "ikev2.initial.accept ipsec.sleep",
    "ikev2.sa.reasons": "ikev2.owners ikev2.sa.informational ikev2.sa.rekey ikev2.sa.window ipsec.attempts"
    " ipsec.holdings ipsec.life ipsec.members ipsec.sleep",
    "inside.ipv4": "inside.stack inside.tcp_segment ipsec.spd",
    "inside.stack": "inside.tcp",
    "inside.tcp_connection": "inside.tcp_receiving inside.tcp_sending",
    "inside.tcp_segment": "inside.tcp inside.tcp_receiving ipsec.spd ipsec.streams",
    "inside.tcp_receiving": "inside.tcp inside.tcp_sending",
    "ipsec.tunnel": "ipsec.hub",
}
OTHERS = {("inside.tcp", "_MSS"), ("ipsec.spd", "_MALFORMED")}  # mean something else


def constants(module):
    """{name: number} of a module."""
    return {name: number for name, number in vars(import_module(module)).items() if type(number) is int}


@pytest.mark.parametrize(("owner", "user"), [(owner, user) for owner in USERS for user in USERS[owner].split()])
def test_a_constant_that_is_repeated_has_the_number_of_its_owner(owner, user):
    numbers = {name.lstrip("_"): number for name, number in constants(owner).items()}
    repeated = {
        name: number
        for name, number in constants(user).items()
        if name[0] == "_" and name[1:] in numbers and (user, name) not in OTHERS
    }
    assert repeated
    assert repeated == {name: numbers[name[1:]] for name in repeated}
