// The memory that an ESP32's firmware shares out: blocks of the GC heap, machine code, lwIP, and what Wi-Fi takes.
// lwIP's allocator is that of all of them. The figures are those of a stock ESP32 (lwipopts.h); its own heap is of
// several regions, this one is of one.

#include <string.h>

#include "py/mperrno.h"
#include "py/persistentcode.h"
#include "py/runtime.h"
#include "lwip/mem.h"
#include "lwip/stats.h"

#define RADIO_BUFFERS (30) // taken when the network comes up first: together what joining takes of an ESP32
#define RADIO_OCTETS (1613)
#define BLOCK_OVERHEAD (12)

typedef struct _code_t {
    struct _code_t *next;
    uint8_t octets[];
} code_t;

static code_t *codes;

void __real_mp_init(void);
void __real_mem_init(void);
void __real_lwip_init(void);

void *pool_take(size_t octets) {
    return mem_malloc(octets);
}

void pool_give(void *block) {
    mem_free(block);
}

// The largest block that there is. Looking for it leaves the statistics as they were.
size_t gc_get_max_new_split(void) {
    struct stats_mem before = lwip_stats.mem;
    size_t fits = 0;
    size_t too_large = MEM_SIZE + 1;
    while (too_large - fits > MEM_ALIGNMENT) {
        size_t octets = (fits + too_large) / 2;
        void *block = mem_malloc(octets);
        if (block) {
            mem_free(block);
            fits = octets;
        } else {
            too_large = octets;
        }
    }
    lwip_stats.mem = before;
    return fits & ~(MEM_ALIGNMENT - 1);
}

// As on an ESP32 it lies there until the next reset, whatever becomes of its module.
void *pool_commit_code(void *octets, size_t length, void *relocation) {
    code_t *code = pool_take(sizeof(code_t) + length);
    if (!code) {
        m_malloc_fail(length);
    }
    code->next = codes;
    codes = code;
    if (relocation) {
        mp_native_relocate(relocation, octets, (uintptr_t)code->octets);
    }
    return memcpy(code->octets, octets, length);
}

// A reset frees the machine code; modules are looked for in /lib as well.
void __wrap_mp_init(void) {
    mem_init();
    while (codes) {
        code_t *next = codes->next;
        mem_free(codes);
        codes = next;
    }
    __real_mp_init();
    mp_obj_list_append(mp_sys_path, mp_obj_new_str_from_cstr("/lib"));
}

// lwIP's own start, and every reset, find the pool as it is.
void __wrap_mem_init(void) {
    static bool made;
    if (!made) {
        made = true;
        __real_mem_init();
    }
}

// Called by the first link.up(): the radio takes its buffers, for good.
void __wrap_lwip_init(void) {
    void *taken[RADIO_BUFFERS];
    for (size_t i = 0; i < RADIO_BUFFERS; i++) {
        taken[i] = mem_malloc(RADIO_OCTETS - BLOCK_OVERHEAD);
        if (!taken[i]) {
            while (i--) {
                mem_free(taken[i]);
            }
            mp_raise_OSError(MP_ENOMEM);
        }
    }
    __real_lwip_init();
}

// idf_heap_info(capabilities): [(octets in all, free, the largest block, the least that has been free)].
static mp_obj_t heap_info(mp_obj_t capabilities) {
    size_t octets = lwip_stats.mem.avail;
    mp_obj_t found[] = {
        MP_OBJ_NEW_SMALL_INT(octets), MP_OBJ_NEW_SMALL_INT(octets - lwip_stats.mem.used),
        MP_OBJ_NEW_SMALL_INT(gc_get_max_new_split()), MP_OBJ_NEW_SMALL_INT(octets - lwip_stats.mem.max),
    };
    mp_obj_t region = mp_obj_new_tuple(4, found);
    return mp_obj_new_list(1, &region);
}
static MP_DEFINE_CONST_FUN_OBJ_1(heap_info_obj, heap_info);

// As much of the ESP32's module as there is here.
static const mp_rom_map_elem_t esp32_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_esp32) },
    { MP_ROM_QSTR(MP_QSTR_HEAP_DATA), MP_ROM_INT(4) },
    { MP_ROM_QSTR(MP_QSTR_idf_heap_info), MP_ROM_PTR(&heap_info_obj) },
};
static MP_DEFINE_CONST_DICT(esp32_globals, esp32_globals_table);

const mp_obj_module_t esp32_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&esp32_globals,
};
MP_REGISTER_MODULE(MP_QSTR_esp32, esp32_module);
