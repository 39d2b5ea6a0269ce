// Run a model file from C, Swift or anything else that can call C.
//
// Two implementations: lite_core.cpp runs lite-interpreter files (.ptl) and compiles against torch
// 1.13 to 2.12, executorch_core.cpp runs ExecuTorch's (.pte). Each is one source for the device
// runtimes of runtime_check (ARM64 under emulation, and this machine's own) and the iOS app.
//
// Rules that hold for every function:
// - Nothing throws across this header. A function that can fail takes `char **error`; when it
//   fails it stores a message in plain words there, which the caller frees with lite_free(). Pass
//   NULL where the message is of no interest. On success *error is set to NULL.
// - What a function returns is owned by the caller, who gives it back with the function named in
//   its comment; pointers got out of a lite_result live as long as that result.
// - Input tensors are only read, and only during the call.
// - A model may be used by several threads at once: calls to lite_forward on one model wait for
//   each other. Results belong to no model and may outlive it. The caller makes sure that nobody
//   uses a model while it is being closed.
#ifndef LITE_CORE_H
#define LITE_CORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lite_model lite_model;
typedef struct lite_result lite_result;

typedef enum lite_dtype {
  LITE_UINT8 = 0,
  LITE_INT8 = 1,
  LITE_INT16 = 2,
  LITE_INT32 = 3,
  LITE_INT64 = 4,
  LITE_FLOAT32 = 5,
  LITE_FLOAT64 = 6,
  LITE_BOOL = 7
} lite_dtype;

// A dense tensor in C order. `shape` has `rank` entries; both may be NULL and 0 for a scalar.
typedef struct lite_tensor {
  lite_dtype dtype;
  int32_t rank;
  const int64_t *shape;
  const void *data;
} lite_tensor;

// The torch, or the ExecuTorch, that this was built with, as "2.1.0". A static string.
const char *lite_torch_version(void);

// Name the quantized engine in use: "qnnpack" on a phone, "xnnpack" with ExecuTorch. A static
// string.
const char *lite_engine(void);

// Choose the quantized engine ("qnnpack", "fbgemm", "onednn", "x86") for models opened later;
// lite_open() otherwise takes qnnpack, as phones do. ExecuTorch has "xnnpack" alone. Returns 0, or
// -1 with an error.
int lite_set_engine(const char *name, char **error);

// Set how many threads one inference may use, for the whole process. Returns 0, or -1; ExecuTorch
// can change them only while no model is open.
int lite_set_threads(int32_t threads, char **error);

// Open a file. Free with lite_close(). NULL and an error when it is missing, damaged, or calls
// operators this runtime does not have.
lite_model *lite_open(const char *path, char **error);

// Close a model; NULL is fine.
void lite_close(lite_model *model);

// Read the file's record extra/NAME, for example "metadata.json". Returns 0 with *data (free with
// lite_free(); a zero byte follows the content) and *size; 1 when there is no such record; -1 with
// an error when it is damaged.
int lite_extra(lite_model *model, const char *name, char **data, size_t *size, char **error);

// Run the model on `count` inputs: forward(inputs), or forward(preprocess(inputs)) where a program
// of ExecuTorch's has a method preprocess. Free with lite_result_free(). NULL and an error when an
// input is malformed, the model refuses it, or an output is not made of tensors.
lite_result *lite_forward(
    lite_model *model, const lite_tensor *inputs, size_t count, char **error);

// How many tensors came out: tuples, lists and dicts are flattened in order. Quantized outputs
// are dequantized; half-precision ones are widened to float32.
size_t lite_result_count(const lite_result *result);

// Look at output `index`; the view lives as long as the result. Beyond the last: data is NULL.
lite_tensor lite_result_tensor(const lite_result *result, size_t index);

// Free a result; NULL is fine.
void lite_result_free(lite_result *result);

// Free a message or an extra file; NULL is fine.
void lite_free(void *memory);

// Bytes one element of this type takes; 0 for a value that is not a lite_dtype.
size_t lite_dtype_size(lite_dtype dtype);

#ifdef __cplusplus
}
#endif

#endif  // LITE_CORE_H
