// The machine timer ends a halt; its interrupt is enabled, but none is taken, for all of them are off in mstatus. The UART
// cannot end it, so it is looked at each millisecond.

#include "board_timer.h"

#define UART_STATE (*(volatile uint8_t *)0x10000005)
#define TIMER_AT (*(volatile uint64_t *)0x02004000)
#define TIMER_INTERRUPT (1 << 7)
#define LOOK_US (1000)

static bool heard(void) {
    return UART_STATE & 1;
}

static void halt(uint32_t us) {
    TIMER_AT = ticks() + MIN(us, LOOK_US) * TICKS_PER_US;
    __asm volatile ("csrs mie, %0\n wfi" :: "r" (TIMER_INTERRUPT) : "memory");
}
