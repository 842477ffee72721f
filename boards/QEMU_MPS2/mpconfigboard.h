#include "mpconfigboard_common.h"

#define MICROPY_PY_MACHINE_MEMX (1)
#define MICROPY_PY_LWIP_SOCK_RAW (1)
#define MICROPY_KBD_EXCEPTION (1)

// lwIP and the console are polled wherever MicroPython waits: there are no interrupts here.
void board_poll(void);
#define MICROPY_INTERNAL_EVENT_HOOK board_poll()
