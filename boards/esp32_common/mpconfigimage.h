// What images with the library frozen have beyond a stock firmware, for an early first packet after deep sleep.

// Dozens of names in a module, and of modules: tables begin with room for as many, and grow less often.
#define MICROPY_MODULE_DICT_SIZE (73)
#define MICROPY_LOADED_MODULES_DICT_SIZE (64)
// Every other place of this cache stays empty, by the tag of a name.
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (512)
// A class is made without asking each of its members for __get__, __set__ and __delete__.
#define MICROPY_PY_DESCRIPTORS (0)
