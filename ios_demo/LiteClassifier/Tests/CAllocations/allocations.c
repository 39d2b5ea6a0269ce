#include "allocations.h"

// In a program these take the place of the C library's own, which go on doing the work: glibc keeps
// them under a second name. Swift's objects and arrays come from here, too.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static _Thread_local size_t asked;

void *malloc(size_t size) {
  asked += size;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  asked += count * size;
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  asked += size;
  return __libc_realloc(memory, size);
}

size_t allocated_bytes(void) { return asked; }
