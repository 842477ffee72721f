// Where MicroPython waits, the processor halts: what an emulated board does not need, the others on a PC have. `heard`
// and `halt` are of board_idle.h in the board's folder.

#include "py/mphal.h"
#include "board_idle.h"

#define AWAKE_US (300) // since the last octet: the next one comes sooner than a processor wakes
#define LONGEST_MS (10) // lwIP's timers are looked at as often

static mp_uint_t last_us;

void board_wait(unsigned ms) {
    if (heard()) {
        last_us = mp_hal_ticks_us();
    } else if (ms && mp_hal_ticks_us() - last_us >= AWAKE_US) {
        halt(MIN(ms, LONGEST_MS) * 1000);
    }
}
