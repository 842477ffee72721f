# What the emulated boards have in common, beside MicroPython's qemu port.
COMMON_DIR = $(BOARD_DIR)/../qemu_common

CFLAGS += -DMP_CONFIGFILE='"mpconfigboard.h"'
CFLAGS += -I$(BOARD_DIR) -I$(BOARD_DIR)/include -I$(COMMON_DIR)

FROZEN_MANIFEST ?= $(BOARD_DIR)/manifest.py
SRC_C += $(COMMON_DIR)/clock.c $(COMMON_DIR)/idle.c

# AES for cryptolib, and with it the hashes that go with such a build: nothing else of Mbed TLS.
CFLAGS += -DMBEDTLS_CONFIG_FILE='"board_mbedtls.h"' -I$(TOP)/lib/mbedtls/include
SRC_C += $(addprefix lib/mbedtls/library/, aes.c sha1.c sha256.c platform_util.c)

# For speed, as the ESP32 port is built (CONFIG_COMPILER_OPTIMIZATION_PERF); the interpreter's loop even more.
CFLAGS_EXTRA += -O2
CSUPEROPT = -O3
