"""A device that is rekeyed each ten seconds, its IKE SA too, with an echo each second: what stays on its heap."""

from itertools import pairwise

from library import faults

CYCLE = 12  # rekeys, with and without PFS, of the IKE SA too
EVERY_MS = 10000
_TWO_PAIRS_MS = 40  # after the request, the old SA and the new one are there


def in_use(device):
    """Octets of its heap."""
    for _ in range(3):
        device.ask("gc.collect()")
    return device.ask("gc.mem_alloc()")


def rekeys(device, count, progress=None):
    """Octets in use before each CYCLE and at the end, at rest.

    `progress` is called with the number of rekeys, and what is in use at rest and with the old SA beside the new one.
    AssertionError if an echo is lost, a rekey fails, the device makes an SA anew or something is left over.
    """
    device.lingers = True  # packets overtake each other on this wire
    device.echo_ms, device.next_echo = 1000, device.now
    levels = []
    for number in range(count):
        if not number % CYCLE:
            levels.append(in_use(device))
            device.pairs = {}
        group = 31 if number % 4 == 3 else 0
        says = device.gateway.rekey_child(device.sa, group=group) if number % 6 else device.gateway.rekey_ike(device.sa)
        device.says(says)
        device.run(_TWO_PAIRS_MS)
        if progress:
            progress(number, levels[-1], in_use(device))
        device.run(EVERY_MS - _TWO_PAIRS_MS)
    device.echo_ms = 0
    device.run(1000)
    levels.append(in_use(device))
    assert device.answered == device.echoes, f"lost: {list(device.waiting.values())}"
    assert device.gateway.said.count("rekey child: done") == count * 5 // 6
    assert all(later - sooner > 9000000 for sooner, later in pairwise(device.begun))  # its own renewals, K5
    assert levels[-1] - levels[1] < 16 * CYCLE, "an object is left of each rekey"
    wrong = faults.after(device)
    assert not wrong and not device.errors and device.most_ticks <= 10, (wrong, device.errors, device.most_ticks)
    return levels
