// Part of extmod/modmachine.c: reset, deep sleep and RTC memory as an ESP32 has them. Deep sleep takes no time, its
// milliseconds are added to the clock, and what lies behind the file system in the second RAM outlives both resets.

#include "py/objtype.h"

#define RTC_OCTETS (2048)
#define POWER_ON (1)
#define HARD_RESET (2)
#define DEEPSLEEP_RESET (4)

static struct {
    uint32_t cause; // of the next start; 0 after power-on
    uint32_t length;
    uint64_t before_ns; // of the clock, before this start
    uint8_t octets[RTC_OCTETS];
} *const rtc = (void *)0x21100000;

static uint32_t cause;

unsigned long long board_before_ns(void) {
    return rtc->before_ns;
}

NORETURN static void start_anew(uint32_t why, uint32_t ms) {
    rtc->cause = why;
    rtc->before_ns = mp_hal_time_ns() + ms * 1000000ull;
    __asm volatile ("dsb" ::: "memory");
    *(volatile uint32_t *)0xe000ed0c = 0x05fa0004; // SYSRESETREQ
    for (;;) {
    }
}

static void mp_machine_idle(void) {
}

NORETURN static void mp_machine_reset(void) {
    start_anew(HARD_RESET, 0);
}

static mp_int_t mp_machine_reset_cause(void) {
    if (!cause) {
        cause = rtc->cause ? rtc->cause : POWER_ON;
        rtc->cause = 0;
    }
    return cause;
}

NORETURN static mp_obj_t board_deepsleep(size_t n_args, const mp_obj_t *args) {
    start_anew(DEEPSLEEP_RESET, n_args ? mp_obj_get_int(args[0]) : 0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(board_deepsleep_obj, 0, 1, board_deepsleep);

static mp_obj_t rtc_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 0, 0, false);
    return mp_obj_malloc(mp_obj_base_t, type);
}

static mp_obj_t rtc_memory(size_t n_args, const mp_obj_t *args) {
    if (n_args == 1) {
        return mp_obj_new_bytes(rtc->octets, rtc->length);
    }
    mp_buffer_info_t given;
    mp_get_buffer_raise(args[1], &given, MP_BUFFER_READ);
    if (given.len > RTC_OCTETS) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer too long"));
    }
    rtc->length = given.len;
    memcpy(rtc->octets, given.buf, given.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(rtc_memory_obj, 1, 2, rtc_memory);

static const mp_rom_map_elem_t rtc_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_memory), MP_ROM_PTR(&rtc_memory_obj) },
};
static MP_DEFINE_CONST_DICT(rtc_locals, rtc_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(rtc_type, MP_QSTR_RTC, MP_TYPE_FLAG_NONE, make_new, rtc_make_new, locals_dict, &rtc_locals);

#define MICROPY_PY_MACHINE_EXTRA_GLOBALS \
    { MP_ROM_QSTR(MP_QSTR_RTC), MP_ROM_PTR(&rtc_type) }, \
    { MP_ROM_QSTR(MP_QSTR_deepsleep), MP_ROM_PTR(&board_deepsleep_obj) }, \
    { MP_ROM_QSTR(MP_QSTR_PWRON_RESET), MP_ROM_INT(POWER_ON) }, \
    { MP_ROM_QSTR(MP_QSTR_HARD_RESET), MP_ROM_INT(HARD_RESET) }, \
    { MP_ROM_QSTR(MP_QSTR_DEEPSLEEP_RESET), MP_ROM_INT(DEEPSLEEP_RESET) },
