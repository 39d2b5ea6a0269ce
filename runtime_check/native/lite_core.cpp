#include "lite_core.h"

#include "core_common.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/ivalue.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/mobile/module.h>

#if __has_include(<torch/version.h>)
#include <torch/version.h>
#elif __has_include(<torch/csrc/api/include/torch/version.h>)
#include <torch/csrc/api/include/torch/version.h>
#else
#define TORCH_VERSION "unknown"
#endif

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct lite_model {
  // Kept open so that an extra file is read from the very file that was loaded.
  std::unique_ptr<caffe2::serialize::PyTorchStreamReader> archive;
  std::unique_ptr<torch::jit::mobile::Module> module;
  // The lite interpreter keeps state between operators; XNNPACK's contexts are not reentrant.
  std::mutex mutex;
};

struct lite_result {
  std::vector<at::Tensor> tensors;
};

namespace {

// Deep nesting of the output would otherwise recurse as deep as the file asks for.
constexpr int kMaxNesting = 32;

std::atomic<bool> engine_chosen{false};

template <typename Result, typename Body>
Result guarded(char **error, Result failed, Body body) noexcept {
  return core_common::guarded(error, failed, body, [](const std::exception &caught) {
    const auto *torch = dynamic_cast<const c10::Error *>(&caught);
    return std::string(torch ? torch->what_without_backtrace() : caught.what());
  });
}

bool scalar_type(lite_dtype dtype, at::ScalarType *out) {
  switch (dtype) {
    case LITE_UINT8: *out = at::kByte; return true;
    case LITE_INT8: *out = at::kChar; return true;
    case LITE_INT16: *out = at::kShort; return true;
    case LITE_INT32: *out = at::kInt; return true;
    case LITE_INT64: *out = at::kLong; return true;
    case LITE_FLOAT32: *out = at::kFloat; return true;
    case LITE_FLOAT64: *out = at::kDouble; return true;
    case LITE_BOOL: *out = at::kBool; return true;
  }
  return false;
}

bool lite_type(at::ScalarType type, lite_dtype *out) {
  switch (type) {
    case at::kByte: *out = LITE_UINT8; return true;
    case at::kChar: *out = LITE_INT8; return true;
    case at::kShort: *out = LITE_INT16; return true;
    case at::kInt: *out = LITE_INT32; return true;
    case at::kLong: *out = LITE_INT64; return true;
    case at::kFloat: *out = LITE_FLOAT32; return true;
    case at::kDouble: *out = LITE_FLOAT64; return true;
    case at::kBool: *out = LITE_BOOL; return true;
    default: return false;
  }
}

at::Tensor to_tensor(const lite_tensor &input, size_t index) {
  const size_t bytes = core_common::checked_bytes(input, index);
  at::ScalarType type = at::kFloat;
  scalar_type(input.dtype, &type);
  const std::vector<int64_t> shape(input.shape, input.shape + input.rank);
  // A copy: operators that work in place must not write to the caller's memory, and the caller's
  // memory need not be aligned for the element type.
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(type));
  if (bytes != 0) std::memcpy(tensor.data_ptr(), input.data, bytes);
  return tensor;
}

void flatten(const c10::IValue &value, std::vector<at::Tensor> *out, int nesting) {
  if (nesting > kMaxNesting) throw std::runtime_error("the output is nested too deeply");
  if (value.isTensor()) {
    at::Tensor tensor = value.toTensor();
    if (!tensor.defined()) throw std::runtime_error("an output tensor is undefined");
    if (tensor.is_quantized()) tensor = tensor.dequantize();
    if (tensor.layout() != at::kStrided) tensor = tensor.to_dense();
    lite_dtype dtype = LITE_FLOAT32;
    if (!lite_type(tensor.scalar_type(), &dtype)) {
      if (!at::isFloatingType(tensor.scalar_type())) {
        throw std::runtime_error(
            std::string("an output has dtype ") + c10::toString(tensor.scalar_type()) +
            ", which cannot be handed out");
      }
      tensor = tensor.to(at::kFloat);
    }
    out->push_back(tensor.cpu().contiguous());
  } else if (value.isTuple()) {
    const auto tuple = value.toTuple();
    for (const auto &item : tuple->elements()) flatten(item, out, nesting + 1);
  } else if (value.isList()) {
    for (const auto &item : value.toListRef()) flatten(item, out, nesting + 1);
  } else if (value.isGenericDict()) {
    for (const auto &item : value.toGenericDict()) flatten(item.value(), out, nesting + 1);
  } else {
    throw std::runtime_error("an output is a " + value.tagKind() + ", not a tensor");
  }
}

const char *engine_name(at::QEngine engine) {
  switch (engine) {
    case at::QEngine::QNNPACK: return "qnnpack";
    case at::QEngine::FBGEMM: return "fbgemm";
    case at::QEngine::ONEDNN: return "onednn";
    case at::QEngine::X86: return "x86";
    default: return "none";
  }
}

bool use_engine(const std::string &name) {
  for (const auto engine : at::globalContext().supportedQEngines()) {
    if (name == engine_name(engine)) {
      at::globalContext().setQEngine(engine);
      return true;
    }
  }
  return false;
}

}  // namespace

extern "C" {

const char *lite_torch_version(void) { return TORCH_VERSION; }

size_t lite_dtype_size(lite_dtype dtype) { return core_common::dtype_size(dtype); }

const char *lite_engine(void) {
  return guarded<const char *>(
      nullptr, "none", [] { return engine_name(at::globalContext().qEngine()); });
}

int lite_set_engine(const char *name, char **error) {
  return guarded(error, -1, [&] {
    if (name == nullptr || !use_engine(name)) {
      throw std::invalid_argument(
          std::string("this torch has no quantized engine called ") + (name ? name : "NULL"));
    }
    engine_chosen = true;
    return 0;
  });
}

int lite_set_threads(int32_t threads, char **error) {
  return guarded(error, -1, [&] {
    if (threads < 1 || threads > 1024) throw std::invalid_argument("threads must be 1 to 1024");
    at::set_num_threads(threads);
    return 0;
  });
}

lite_model *lite_open(const char *path, char **error) {
  return guarded<lite_model *>(error, nullptr, [&] {
    if (path == nullptr || *path == '\0') throw std::invalid_argument("no path was given");
    // The kernels are chosen when the weights are packed, that is while the file loads.
    if (!engine_chosen) use_engine("qnnpack");
    // oneDNN is a desktop's; a phone has none, and its convolutions round differently.
    at::globalContext().setUserEnabledMkldnn(false);
    auto model = std::make_unique<lite_model>();
    model->archive = std::make_unique<caffe2::serialize::PyTorchStreamReader>(std::string(path));
    c10::InferenceMode inference(true);
    model->module = std::make_unique<torch::jit::mobile::Module>(
        torch::jit::_load_for_mobile(std::string(path), at::Device(at::kCPU)));
    if (!model->module->find_method("forward")) {
      throw std::runtime_error("the model has no method called forward");
    }
    return model.release();
  });
}

void lite_close(lite_model *model) {
  guarded(nullptr, 0, [&] {
    delete model;
    return 0;
  });
}

int lite_extra(lite_model *model, const char *name, char **data, size_t *size, char **error) {
  return guarded(error, -1, [&] {
    if (model == nullptr || name == nullptr || data == nullptr || size == nullptr) {
      throw std::invalid_argument("lite_extra needs a model, a name and somewhere to write to");
    }
    *data = nullptr;
    *size = 0;
    const std::lock_guard<std::mutex> lock(model->mutex);
    const std::string record = std::string("extra/") + name;
    if (!model->archive->hasRecord(record)) return 1;
    auto content = model->archive->getRecord(record);
    const size_t length = std::get<1>(content);
    char *out = static_cast<char *>(std::malloc(length + 1));
    if (out == nullptr) throw std::bad_alloc();
    std::memcpy(out, std::get<0>(content).get(), length);
    out[length] = '\0';
    *data = out;
    *size = length;
    return 0;
  });
}

lite_result *lite_forward(
    lite_model *model, const lite_tensor *inputs, size_t count, char **error) {
  return guarded<lite_result *>(error, nullptr, [&] {
    if (model == nullptr) throw std::invalid_argument("no model was given");
    if (count > 0 && inputs == nullptr) throw std::invalid_argument("no inputs were given");
    c10::InferenceMode inference(true);
    std::vector<c10::IValue> stack;
    stack.reserve(count);
    for (size_t i = 0; i < count; ++i) stack.emplace_back(to_tensor(inputs[i], i));
    auto result = std::make_unique<lite_result>();
    const std::lock_guard<std::mutex> lock(model->mutex);
    flatten(model->module->forward(std::move(stack)), &result->tensors, 0);
    return result.release();
  });
}

size_t lite_result_count(const lite_result *result) {
  return result == nullptr ? 0 : result->tensors.size();
}

lite_tensor lite_result_tensor(const lite_result *result, size_t index) {
  lite_tensor view{LITE_FLOAT32, 0, nullptr, nullptr};
  if (result == nullptr || index >= result->tensors.size()) return view;
  const at::Tensor &tensor = result->tensors[index];
  lite_type(tensor.scalar_type(), &view.dtype);
  view.rank = static_cast<int32_t>(tensor.dim());
  view.shape = tensor.sizes().data();
  view.data = tensor.data_ptr();
  return view;
}

void lite_result_free(lite_result *result) {
  guarded(nullptr, 0, [&] {
    delete result;
    return 0;
  });
}

void lite_free(void *memory) { std::free(memory); }

}  // extern "C"
