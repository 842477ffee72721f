// The qemu port's configuration, and what the library needs beyond it.
#include "mpconfigport.h"

#undef MICROPY_PY_SELECT
#undef MICROPY_PY_TIME
#undef MICROPY_PY_ASYNCIO

#define MICROPY_PY_SELECT (1)
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_ASYNCIO (1)
#define MICROPY_PY_OS_URANDOM (1)
#define MICROPY_PY_OS_INCLUDEFILE "board_urandom.h"
#define MICROPY_PY_CRYPTOLIB (1)
#define MICROPY_SSL_MBEDTLS (1)
#define MICROPY_PY_HASHLIB_SHA1 (1)
#define MICROPY_ENABLE_SCHEDULER (1)
#define MICROPY_OPT_COMPUTED_GOTO (1)

void board_wait(unsigned ms);
#define MICROPY_INTERNAL_WFE(MS) board_wait(MS)
