#include "mpconfigboard_common.h"

// Modules of an image have dozens of names: their tables begin with room for as many, and grow less often.
#define MICROPY_MODULE_DICT_SIZE (32)
