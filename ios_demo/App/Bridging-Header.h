// The C++ core's C header; Swift sees its functions through this. The header search path of the
// target leads to it.
#include "lite_core.h"
