// The 25 MHz CMSDK timer counts down and wraps in 171 s.
// Under `-icount shift=0` one instruction is one nanosecond, a tick of the timer forty of them.

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
