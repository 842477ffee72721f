"""Deep sleep: the table stays in RTC memory, so that a live SA is known after waking.

RTC memory holds 2,048 octets; a snapshot has 12, 26 for each IKE SA slot (38 with IPv6) and 11 for each Child SA
slot. It outlives deep sleep, not power loss. A snapshot is good for one waking: kept longer, it would name SAs
that are gone.
"""

from machine import RTC, deepsleep

if not hasattr(RTC, "memory"):
    raise ImportError("no RTC memory")

_RTC_OCTETS = 2048


def sleep(node, ms):
    """Keep the node's table and sleep for `ms`; the board then starts anew. ValueError if the table is too large."""
    snapshot = node.table.snapshot()
    if len(snapshot) > _RTC_OCTETS:
        raise ValueError(
            "a table of %d octets; RTC memory holds %d: fewer ike_sas or child_sas" % (len(snapshot), _RTC_OCTETS)
        )
    RTC().memory(snapshot)
    deepsleep(ms)


def restore(table):
    """Fill the table with what `sleep` kept and return True; False if there is nothing, or nothing whole."""
    memory = RTC().memory()
    if not memory or not table.restore(memory):
        return False
    RTC().memory(b"")
    return True
