"""How much memory there is, and what a lack of it is in words; ports differ in where it is."""

import gc


def octets_free():
    """How many the heap has free; on an ESP32 how many the system has, if those are fewer. -1: nobody knows."""
    gc.collect()
    free = gc.mem_free() if hasattr(gc, "mem_free") else -1
    try:
        from esp32 import HEAP_DATA, idf_heap_info
    except ImportError:
        return free
    return min(free, sum([region[1] for region in idf_heap_info(HEAP_DATA)]))


def in_words(error):
    """Why, for a person: of a MemoryError how much room there is, of any other its last argument."""
    if not isinstance(error, MemoryError):
        return str(error.args[-1]) if error.args else repr(error)
    free = octets_free()
    return "no room, %d octets free" % free if free >= 0 else "no room"
