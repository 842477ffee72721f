#define MICROPY_HW_BOARD_NAME "ESP32-C3 with ikev2"
#define MICROPY_HW_MCU_NAME "ESP32C3"
#include "../esp32_common/mpconfigboard_common.h"
