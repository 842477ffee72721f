#define BOARD_AS_STOCK  // its firmware has nothing frozen
#include "../QEMU_MPS2/mpconfigboard.h"

// As the ESP32 port: the GC heap grows by blocks of the pool, machine code lies in the pool.
#define MICROPY_GC_SPLIT_HEAP (1)
#define MICROPY_GC_SPLIT_HEAP_AUTO (1)
void *pool_take(size_t octets);
void pool_give(void *block);
void *pool_commit_code(void *code, size_t octets, void *relocation);
#define MP_PLAT_ALLOC_HEAP(octets) pool_take(octets)
#define MP_PLAT_FREE_HEAP(block) pool_give(block)
#define MP_PLAT_COMMIT_EXEC(code, octets, relocation) pool_commit_code(code, octets, relocation)
