#include <stddef.h>

// Bytes that this thread has asked the heap for so far, whether they were freed or not.
size_t allocated_bytes(void);
