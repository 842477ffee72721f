// Interrupts of both UARTs and of SysTick end a halt and are not taken: they are masked, and there are no handlers.
// As the processor knows it (ARM DDI 0403) and the UARTs do (ARM DDI 0479).

#define UART(number, offset) (*(volatile uint32_t *)(0x40004000 + 0x1000 * (number) + (offset)))
#define RECEIVED (2) // in its state, and in its interrupts
#define CONTROL (8)
#define INTERRUPTS (12)
#define INTERRUPT_RECEIVED (8)
#define NVIC_SET (*(volatile uint32_t *)0xe000e100)
#define NVIC_UNPEND (*(volatile uint32_t *)0xe000e280)
#define UART_INTERRUPTS (1 << 0 | 1 << 2)
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xe000e010)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xe000e014)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xe000e018)
#define SYSTICK_RUNS (7) // by the processor's clock, with its interrupt
#define ICSR (*(volatile uint32_t *)0xe000ed04)
#define UNPEND_SYSTICK (1 << 25)

static bool heard(void) {
    return (UART(0, 4) | UART(1, 4)) & RECEIVED;
}

static void halt(uint32_t us) {
    __asm volatile ("cpsid i" ::: "memory");
    for (int number = 0; number < 2; number++) {
        UART(number, INTERRUPTS) = RECEIVED;
        UART(number, CONTROL) |= INTERRUPT_RECEIVED;
    }
    SYSTICK_RELOAD = us * 25;
    SYSTICK_VALUE = 0;
    ICSR = UNPEND_SYSTICK;
    NVIC_UNPEND = UART_INTERRUPTS;
    NVIC_SET = UART_INTERRUPTS;
    SYSTICK_CONTROL = SYSTICK_RUNS;
    if (!heard()) {
        __asm volatile ("dsb\n wfi" ::: "memory");
    }
    SYSTICK_CONTROL = 0;
}
