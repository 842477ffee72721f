#include "mpconfigboard_common.h"
#include "../esp32_common/mpconfigimage.h"
