#include "mpconfigboard_common.h"
#ifndef BOARD_AS_STOCK
#include "../esp32_common/mpconfigimage.h"
#endif

#define MICROPY_PY_MACHINE_MEMX (1)
#define MICROPY_PY_LWIP_SOCK_RAW (1)
#undef MICROPY_PY_MACHINE_INCLUDEFILE
#define MICROPY_PY_MACHINE_INCLUDEFILE "board_machine.h"
#define MICROPY_KBD_EXCEPTION (1)

// lwIP and the console are polled wherever MicroPython waits: there are no interrupts here.
void board_poll(void);
#define MICROPY_INTERNAL_EVENT_HOOK board_poll()

#define MICROPY_PY_TIME_TIME_TIME_NS (1)
#define MICROPY_PY_TIME_INCLUDEFILE "board_time.h"

// The clock goes on through deep sleep and reset.
unsigned long long board_before_ns(void);
#define BOARD_BEFORE_NS board_before_ns()
