// A qemu plugin: count the guest instructions between two marker system calls.
//
// runner.cpp brackets one inference with system call 0x5eed (argument 1, then 0). At the closing
// one this appends a record to the file given as out=PATH:
//   total INSTRUCTIONS
//   block ADDRESS INSTRUCTIONS EXECUTIONS      (with blocks=1; one line a translation block)
//   misses LINES                               (with cache=BYTES)
//   end
// Counts are of executed blocks times their length: exact for one thread, and repeatable.
//
// With cache=BYTES all data accesses go through a model of one core's caches: 32 KiB with 4 ways,
// then BYTES with 8 ways, lines of 64 bytes, least recently used out first, no prefetching. LINES
// are what the second level had to fetch from farther away. They say how much memory traffic a
// program causes, not what it costs.
//
// No Debian package ships qemu-plugin.h, so the few functions used are declared here, as in qemu
// 7.2 (plugin API 1). Only calls that later versions kept are used; install.py tries which
// PLUGIN_VERSION this machine's qemu accepts.
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info_t;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_RW = 3 };
typedef void (*tb_trans_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*exec_cb)(unsigned int, void *);
typedef void (*mem_cb)(unsigned int, uint32_t, uint64_t, void *);
typedef void (*syscall_cb)(
    qemu_plugin_id_t, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
    uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(
    struct qemu_plugin_tb *tb, exec_cb cb, enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, syscall_cb cb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
void qemu_plugin_register_vcpu_mem_cb(
    struct qemu_plugin_insn *insn, mem_cb cb, enum qemu_plugin_cb_flags flags,
    enum qemu_plugin_mem_rw rw, void *data);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

enum { MARKER = 0x5eed };

// One translation of one block; the same address is translated anew when qemu flushes its cache.
struct block {
  uint64_t address;
  uint64_t instructions;
  uint64_t executions;
  struct block *next;
};

static struct block *blocks;
static int counting;
static int with_blocks;
static const char *out_path;

// One level: `sets` rows of `ways` line numbers, the most recently used first. 0 is empty: no
// program has data at address 0.
struct cache {
  uint64_t *lines;
  uint64_t sets;
  int ways;
};

enum { LINE_BITS = 6, FIRST_LEVEL_BYTES = 32 << 10, FIRST_LEVEL_WAYS = 4, SECOND_LEVEL_WAYS = 8 };
static struct cache first_level, second_level;
static uint64_t misses;

static int make_cache(struct cache *cache, uint64_t bytes, int ways) {
  cache->ways = ways;
  cache->sets = bytes / ways >> LINE_BITS;
  if (cache->sets == 0 || (cache->sets & (cache->sets - 1))) return 0;
  cache->lines = calloc(cache->sets * ways, sizeof *cache->lines);
  return cache->lines != NULL;
}

// Move a line to the front of its set; return whether it was there.
static int touch(struct cache *cache, uint64_t line) {
  uint64_t *set = cache->lines + (line & (cache->sets - 1)) * cache->ways;
  int at = 0;
  while (at < cache->ways - 1 && set[at] != line) at++;
  int found = set[at] == line;
  memmove(set + 1, set, at * sizeof *set);
  set[0] = line;
  return found;
}

static void on_access(unsigned int cpu, uint32_t info, uint64_t address, void *data) {
  (void)cpu, (void)info, (void)data;
  if (!counting) return;
  uint64_t line = address >> LINE_BITS;
  if (!touch(&first_level, line) && !touch(&second_level, line)) misses++;
}

static void on_exec(unsigned int cpu, void *data) {
  (void)cpu;
  if (counting) ((struct block *)data)->executions++;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  struct block *block = malloc(sizeof *block);
  if (block == NULL) return;
  block->address = qemu_plugin_tb_vaddr(tb);
  block->instructions = qemu_plugin_tb_n_insns(tb);
  block->executions = 0;
  // Threads translate under qemu's own lock or not, depending on its version: push atomically.
  do {
    block->next = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE);
  } while (!__sync_bool_compare_and_swap(&blocks, block->next, block));
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_exec, QEMU_PLUGIN_CB_NO_REGS, block);
  for (size_t i = 0; second_level.lines != NULL && i < block->instructions; i++) {
    qemu_plugin_register_vcpu_mem_cb(
        qemu_plugin_tb_get_insn(tb, i), on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
  }
}

static void report(void) {
  uint64_t total = 0;
  FILE *out = fopen(out_path, "a");
  if (out == NULL) return;
  for (struct block *b = blocks; b != NULL; b = b->next) total += b->instructions * b->executions;
  fprintf(out, "total %" PRIu64 "\n", total);
  for (struct block *b = blocks; with_blocks && b != NULL; b = b->next) {
    if (b->executions) {
      fprintf(
          out, "block %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", b->address, b->instructions,
          b->executions);
    }
  }
  if (second_level.lines != NULL) fprintf(out, "misses %" PRIu64 "\n", misses);
  fprintf(out, "end\n");
  fclose(out);
}

static void on_syscall(
    qemu_plugin_id_t id, unsigned int cpu, int64_t number, uint64_t argument, uint64_t a2,
    uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != MARKER) return;
  if (argument == 1) {
    for (struct block *b = blocks; b != NULL; b = b->next) b->executions = 0;
    misses = 0;
    counting = 1;
  } else {
    counting = 0;
    report();
  }
}

EXPORT int qemu_plugin_install(
    qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "out=", 4) == 0) out_path = strdup(argv[i] + 4);
    if (strcmp(argv[i], "blocks=1") == 0) with_blocks = 1;
    if (strncmp(argv[i], "cache=", 6) == 0 &&
        !(make_cache(&first_level, FIRST_LEVEL_BYTES, FIRST_LEVEL_WAYS) &&
          make_cache(&second_level, strtoull(argv[i] + 6, NULL, 10), SECOND_LEVEL_WAYS))) {
      fprintf(stderr, "instruction_count: cache=BYTES has to be a power of two from 512 on\n");
      return 1;
    }
  }
  if (out_path == NULL) {
    fprintf(stderr, "instruction_count: out=PATH is missing\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
