// The qemu port's configuration, and what a network node needs beyond it.
#include "mpconfigport.h"

#undef MICROPY_PY_SELECT
#undef MICROPY_PY_TIME
#undef MICROPY_PY_ASYNCIO
#undef MICROPY_PY_SYS_PLATFORM

#define MICROPY_PY_SELECT (1)
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_ASYNCIO (1)
#define MICROPY_PY_SYS_PLATFORM "qemu"
#define MICROPY_PY_MACHINE_MEMX (1)
#define MICROPY_PY_OS_URANDOM (1)
#define MICROPY_PY_OS_INCLUDEFILE "board_urandom.h"
#define MICROPY_PY_LWIP_SOCK_RAW (1)
#define MICROPY_PY_CRYPTOLIB (1)
#define MICROPY_SSL_MBEDTLS (1)
#define MICROPY_ENABLE_SCHEDULER (1)
#define MICROPY_KBD_EXCEPTION (1)
#define MICROPY_OPT_COMPUTED_GOTO (1)

// lwIP and the console are polled wherever MicroPython waits: there are no interrupts here.
void board_poll(void);
#define MICROPY_INTERNAL_EVENT_HOOK board_poll()
