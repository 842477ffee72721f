// The port's main() goes straight to the REPL and reads its UART without looking for Ctrl-C. A board runs
// _boot.py and main.py first, Ctrl-C ends them, and a program can wait for a key: all of it by wrapping functions
// of the port's at link time.

#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "shared/runtime/interrupt_char.h"
#include "shared/runtime/pyexec.h"

#define UART0_DATA (*(volatile uint32_t *)0x40004000)
#define UART0_STATE (*(volatile uint32_t *)0x40004004)

int __real_uart_rx_chr(void);
int __real_pyexec_friendly_repl(void);
void link_poll(void);

static uint8_t typed[256];
static uint8_t first, count;

// Runs wherever MicroPython waits.
void board_poll(void) {
    int octet;
    while (count < sizeof(typed) - 1 && (octet = __real_uart_rx_chr()) >= 0) {
        if (octet == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
        } else {
            typed[(uint8_t)(first + count++)] = octet;
        }
    }
    link_poll();
}

int __wrap_uart_rx_chr(void) {
    board_poll();
    if (!count) {
        board_wait(-1);
        return -1;
    }
    count--;
    return typed[first++];
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t flags) {
    board_poll();
    return flags & (count ? MP_STREAM_POLL_RD | MP_STREAM_POLL_WR : MP_STREAM_POLL_WR);
}

// What was typed before the UART was on lies in QEMU, which looks again when its data register is read, or in a second.
static void accept_input(void) {
    if (!(UART0_STATE & 2)) {
        (void)UART0_DATA;
    }
}

int __wrap_pyexec_friendly_repl(void) {
    static bool started;
    if (!started) {
        accept_input();
        started = true;
        pyexec_frozen_module("_boot.py", false);
        pyexec_file_if_exists("main.py");
    }
    int ended = __real_pyexec_friendly_repl();
    started = !ended;
    return ended;
}
