// The REPL waits for a key without work.

#include "py/mphal.h"

int __real_uart_rx_chr(void);

int __wrap_uart_rx_chr(void) {
    int octet = __real_uart_rx_chr();
    if (octet < 0) {
        board_wait(-1);
    }
    return octet;
}
