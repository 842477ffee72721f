// os.urandom for a machine without a source of randomness: good enough for SPIs in tests, and for nothing else.
#include "py/objstr.h"

uint32_t board_random(void);

static mp_obj_t mp_os_urandom(mp_obj_t count_in) {
    mp_int_t count = mp_obj_get_int(count_in);
    vstr_t octets;
    vstr_init_len(&octets, count);
    for (mp_int_t i = 0; i < count; i++) {
        octets.buf[i] = board_random() >> 16;
    }
    return mp_obj_new_bytes_from_vstr(&octets);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
