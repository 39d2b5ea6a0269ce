// Drive the C++ core through its C header from C, under a sanitizer: every entry point, good and bad
// files, threads that share a model, then ROUNDS of open, read, run, close. Prints what the heap holds
// before and after the rounds, so that the caller sees growth as a number.
//
// usage: exercise GOOD.ptl DAMAGED.ptl ROUNDS   (GOOD takes one float32 tensor, 1 x 3 x 8 x 8)
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lite_core.h"

size_t __sanitizer_get_current_allocated_bytes(void);

static const int64_t kShape[] = {1, 3, 8, 8};
static float image[1 * 3 * 8 * 8];

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "line %d: %s is false\n", __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

static float run(lite_model *model) {
  lite_tensor input = {LITE_FLOAT32, 4, kShape, image};
  char *error = NULL;
  lite_result *result = lite_forward(model, &input, 1, &error);
  CHECK(result != NULL && error == NULL);
  CHECK(lite_result_count(result) == 1);
  lite_tensor output = lite_result_tensor(result, 0);
  CHECK(output.dtype == LITE_FLOAT32 && output.data != NULL);
  int64_t count = 1;
  for (int32_t i = 0; i < output.rank; ++i) count *= output.shape[i];
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += ((const float *)output.data)[i];
  CHECK(lite_result_tensor(result, 7).data == NULL);
  lite_result_free(result);
  return sum;
}

static void once(const char *good, const char *damaged) {
  char *error = NULL;
  lite_model *model = lite_open(good, &error);
  CHECK(model != NULL && error == NULL);
  char *data = NULL;
  size_t size = 0;
  CHECK(lite_extra(model, "metadata.json", &data, &size, &error) == 0);
  CHECK(size > 0 && data[size] == '\0' && strlen(data) == size);
  lite_free(data);
  CHECK(lite_extra(model, "absent", &data, &size, &error) == 1 && data == NULL);
  run(model);
  // A refused run leaves its message and nothing else behind.
  const int64_t flat[] = {3};
  lite_tensor wrong = {LITE_FLOAT32, 1, flat, image};
  CHECK(lite_forward(model, &wrong, 1, &error) == NULL && error != NULL);
  lite_free(error);
  wrong.rank = -1;
  CHECK(lite_forward(model, &wrong, 1, NULL) == NULL);
  lite_close(model);
  CHECK(lite_open(damaged, &error) == NULL && error != NULL);
  lite_free(error);
  CHECK(lite_open("/nowhere/at/all.ptl", &error) == NULL && error != NULL);
  lite_free(error);
}

static float expected;

static void *share(void *model) {
  for (int i = 0; i < 25; ++i) CHECK(run(model) == expected);
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  for (size_t i = 0; i < sizeof image / sizeof *image; ++i) image[i] = (float)i / 100;
  lite_set_threads(1, NULL);

  lite_model *model = lite_open(argv[1], NULL);
  CHECK(model != NULL);
  expected = run(model);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, share, model) == 0);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  lite_close(model);

  // torch fills caches of its own at first.
  for (int i = 0; i < 20; ++i) once(argv[1], argv[2]);
  const size_t before = __sanitizer_get_current_allocated_bytes();
  const int rounds = atoi(argv[3]);
  for (int i = 0; i < rounds; ++i) once(argv[1], argv[2]);
  const size_t after = __sanitizer_get_current_allocated_bytes();
  printf("torch %s rounds %d before %zu after %zu\n", lite_torch_version(), rounds, before, after);
  return 0;
}
