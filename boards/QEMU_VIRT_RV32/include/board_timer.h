// The machine timer counts up at 10 MHz, in two halves.

#define TICKS_PER_US (10)

static uint64_t ticks(void) {
    uint32_t low, high, again;
    do {
        __asm volatile ("csrr %0, timeh" : "=r" (high));
        __asm volatile ("csrr %0, time" : "=r" (low));
        __asm volatile ("csrr %0, timeh" : "=r" (again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}
