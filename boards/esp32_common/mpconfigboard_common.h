// Modules without native USB have their REPL on the UART.
#define MICROPY_HW_ENABLE_UART_REPL (1)
// Its memory is better spent on the network; sdkconfig.ble is left out with it.
#define MICROPY_PY_BLUETOOTH (0)
// AES-CTR for protected messages.
#define MICROPY_PY_CRYPTOLIB_CTR (1)

#include "mpconfigimage.h"
