# A Cortex-M3 that everyone has: MicroPython's qemu port on the MPS2-AN385 with lwIP over SLIP on its second UART.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an385

CFLAGS += -mthumb -mcpu=cortex-m3 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
CFLAGS += -DMP_CONFIGFILE='"mpconfigboard.h"'
CFLAGS += -I$(BOARD_DIR) -I$(BOARD_DIR)/include
MPY_CROSS_FLAGS += -march=armv7m

LDSCRIPT = $(BOARD_DIR)/mps2.ld
LDFLAGS += -Wl,--wrap=uart_rx_chr -Wl,--wrap=pyexec_friendly_repl

MICROPY_PY_LWIP = 1
MICROPY_VFS_LFS2 = 1
FROZEN_MANIFEST ?= $(BOARD_DIR)/manifest.py

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
SRC_C += $(BOARD_DIR)/clock.c $(BOARD_DIR)/link.c $(BOARD_DIR)/start.c
SRC_C += lib/lwip/src/netif/slipif.c

# AES for cryptolib, and with it the SHA-256 that goes with such a build: nothing else of Mbed TLS.
CFLAGS += -DMBEDTLS_CONFIG_FILE='"board_mbedtls.h"' -I$(TOP)/lib/mbedtls/include
SRC_C += $(addprefix lib/mbedtls/library/, aes.c sha256.c platform_util.c)

# For speed, as the ESP32 port is built (CONFIG_COMPILER_OPTIMIZATION_PERF); the interpreter's loop even more.
CFLAGS_EXTRA += -O2
CSUPEROPT = -O3
