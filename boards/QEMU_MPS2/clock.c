// The port has no clock: time comes from the 25 MHz CMSDK timer, which counts down and wraps in 171 s.
// Under `-icount shift=0` one instruction is one nanosecond, a tick of the timer forty of them.

#include "py/mphal.h"
#include "py/runtime.h"

#define TIMER_CTRL (*(volatile uint32_t *)0x40000000)
#define TIMER_VALUE (*(volatile uint32_t *)0x40000004)
#define TIMER_RELOAD (*(volatile uint32_t *)0x40000008)
#define TICKS_PER_US (25)

static uint64_t ticks(void) {
    static uint64_t counted;
    static uint32_t last;
    if (!(TIMER_CTRL & 1)) {
        TIMER_RELOAD = last = 0xffffffff;
        TIMER_VALUE = 0xffffffff;
        TIMER_CTRL = 1;
    }
    uint32_t now = TIMER_VALUE;
    counted += (uint32_t)(last - now);
    last = now;
    return counted;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return ticks();
}

mp_uint_t mp_hal_ticks_us(void) {
    return ticks() / TICKS_PER_US;
}

mp_uint_t mp_hal_ticks_ms(void) {
    return ticks() / (TICKS_PER_US * 1000);
}

uint64_t mp_hal_time_ns(void) {
    return ticks() * (1000 / TICKS_PER_US);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = ticks() + (uint64_t)us * TICKS_PER_US;
    while (ticks() < end) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = ticks() + (uint64_t)ms * TICKS_PER_US * 1000;
    do {
        mp_event_handle_nowait();
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
