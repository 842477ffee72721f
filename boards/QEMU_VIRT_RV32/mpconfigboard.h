#include "mpconfigboard_common.h"
