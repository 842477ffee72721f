// The port has no clock: time comes from the machine's timer, as board_timer.h of the board's folder reads it.

#include "py/mphal.h"
#include "py/runtime.h"
#include "board_timer.h"

mp_uint_t mp_hal_ticks_cpu(void) {
    return ticks();
}

mp_uint_t mp_hal_ticks_us(void) {
    return ticks() / TICKS_PER_US;
}

mp_uint_t mp_hal_ticks_ms(void) {
    return ticks() / (TICKS_PER_US * 1000);
}

#ifndef BOARD_BEFORE_NS
#define BOARD_BEFORE_NS 0
#endif

uint64_t mp_hal_time_ns(void) {
    return BOARD_BEFORE_NS + ticks() * (1000 / TICKS_PER_US);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = ticks() + (uint64_t)us * TICKS_PER_US;
    while (ticks() < end) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = ticks() + (uint64_t)ms * TICKS_PER_US * 1000;
    uint64_t now;
    do {
        now = ticks();
        mp_event_wait_ms(now < end ? (end - now) / (TICKS_PER_US * 1000) : 0);
    } while (ticks() < end);
}

uint32_t sys_now(void) {
    return mp_hal_ticks_ms();
}

uint32_t board_random(void) {
    static uint32_t state = 0x2545f491;
    state ^= (uint32_t)ticks();
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}
