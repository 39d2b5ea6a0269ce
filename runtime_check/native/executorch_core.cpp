// lite_core.h on ExecuTorch 1.5: the same C functions for a .pte file.
//
// A program with a method `preprocess` is run as forward(preprocess(inputs)), any other as
// forward(inputs). Records are read from the zip that follows the program.
#include "core_common.h"
#include "lite_core.h"
#include "trailing_zip.h"

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/platform/platform.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#ifndef EXECUTORCH_VERSION
#define EXECUTORCH_VERSION "unknown"
#endif

// The wheel brings this library without its header.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool *get_threadpool();
}  // namespace executorch::extension::threadpool

using core_common::checked_bytes;
using core_common::kMaxRank;
using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::extension::Module;
using executorch::runtime::Error;
using executorch::runtime::EValue;

namespace {

// A tensor of our own in C order: inputs are copied into one, as the caller's memory need not be
// aligned and operators may write; outputs, as the program's memory is used anew by the next run.
struct Value {
  lite_dtype dtype = LITE_FLOAT32;
  std::vector<int64_t> shape;
  std::vector<char> data;
};

constexpr size_t kMostHeard = 2000;

// Bodies of the program's methods hold pointers to the pool's threads.
std::mutex opening;
int open_models = 0;

}  // namespace

struct lite_model {
  std::string path;
  std::unique_ptr<Module> module;
  bool preprocesses = false;
  // A method's memory belongs to one run at a time.
  std::mutex mutex;

  ~lite_model() {
    module.reset();
    if (counted) {
      const std::lock_guard<std::mutex> lock(opening);
      --open_models;
    }
  }
  bool counted = false;
};

struct lite_result {
  std::vector<Value> values;
};

namespace {

template <typename Result, typename Body>
Result guarded(char **error, Result failed, Body body) noexcept {
  return core_common::guarded(
      error, failed, body, [](const std::exception &caught) { return std::string(caught.what()); });
}

// ExecuTorch returns a number and logs the reason: what this thread logs is kept while one of
// these lives.
class Listener {
 public:
  Listener() { heard_here() = &heard_; }
  ~Listener() { heard_here() = nullptr; }
  Listener(const Listener &) = delete;
  Listener &operator=(const Listener &) = delete;

  // Throw with the number, its name and what was logged, unless `error` is none.
  void require(Error error, const std::string &doing) const {
    if (error == Error::Ok) return;
    char number[16];
    std::snprintf(number, sizeof number, "0x%02x", static_cast<unsigned>(error));
    const std::string name = executorch::runtime::to_string(error);
    throw std::runtime_error(
        doing + " failed with " + number + " (" + name.substr(name.rfind(':') + 1) + ")" +
        (heard_.empty() ? "" : ": " + heard_));
  }

  static void hear(
      et_timestamp_t, et_pal_log_level_t level, const char *, const char *, size_t,
      const char *message, size_t length) {
    if (level != kError && level != kFatal) return;
    // The process aborts after a fatal one: this is its last word.
    if (level == kFatal) std::fprintf(stderr, "%.*s\n", static_cast<int>(length), message);
    std::string *heard = heard_here();
    if (heard == nullptr || heard->size() > kMostHeard) return;
    *heard += (heard->empty() ? "" : "; ") + std::string(message, length);
  }

 private:
  static std::string *&heard_here() {
    static thread_local std::string *here = nullptr;
    return here;
  }
  std::string heard_;
};

void listen() {
  static const bool registered = executorch::runtime::register_pal(
      executorch::runtime::PalImpl::create(Listener::hear, "executorch_core.cpp"));
  (void)registered;
}

ScalarType scalar_type(lite_dtype dtype) {
  switch (dtype) {
    case LITE_UINT8: return ScalarType::Byte;
    case LITE_INT8: return ScalarType::Char;
    case LITE_INT16: return ScalarType::Short;
    case LITE_INT32: return ScalarType::Int;
    case LITE_INT64: return ScalarType::Long;
    case LITE_FLOAT32: return ScalarType::Float;
    case LITE_FLOAT64: return ScalarType::Double;
    case LITE_BOOL: return ScalarType::Bool;
  }
  throw std::invalid_argument("an unknown dtype");
}

// The type an output is handed out as: its own, or float32 for a half-precision one.
lite_dtype lite_type(ScalarType type, size_t index) {
  switch (type) {
    case ScalarType::Byte: return LITE_UINT8;
    case ScalarType::Char: return LITE_INT8;
    case ScalarType::Short: return LITE_INT16;
    case ScalarType::Int: return LITE_INT32;
    case ScalarType::Long: return LITE_INT64;
    case ScalarType::Float:
    case ScalarType::Half:
    case ScalarType::BFloat16: return LITE_FLOAT32;
    case ScalarType::Double: return LITE_FLOAT64;
    case ScalarType::Bool: return LITE_BOOL;
    default:
      throw std::runtime_error(
          "output " + std::to_string(index) + " has dtype " +
          executorch::runtime::toString(type) + ", which cannot be handed out");
  }
}

Value to_value(const lite_tensor &input, size_t index) {
  const size_t bytes = checked_bytes(input, index);
  const std::vector<int64_t> shape(input.shape, input.shape + input.rank);
  for (const int64_t extent : shape) {
    if (extent > std::numeric_limits<int32_t>::max()) {
      throw std::invalid_argument("input " + std::to_string(index) + " has an impossible size");
    }
  }
  const char *data = static_cast<const char *>(input.data);
  return Value{input.dtype, shape, std::vector<char>(data, data + bytes)};
}

// Copy the elements of a tensor, which may be laid out in any order, to C order.
template <typename From, typename To>
void gather(const Tensor &tensor, const std::vector<int64_t> &shape, size_t count, char *out) {
  const From *from = static_cast<const From *>(tensor.const_data_ptr());
  To *to = reinterpret_cast<To *>(out);
  std::vector<int64_t> place(shape.size(), 0);
  int64_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    to[i] = static_cast<To>(from[at]);
    for (size_t d = shape.size(); d-- > 0;) {
      at += tensor.strides()[d];
      if (++place[d] < shape[d]) break;
      at -= tensor.strides()[d] * shape[d];
      place[d] = 0;
    }
  }
}

bool in_c_order(const Tensor &tensor, const std::vector<int64_t> &shape) {
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0; stride *= shape[d]) {
    if (shape[d] != 1 && tensor.strides()[d] != stride) return false;
  }
  return true;
}

// Throws unless `count` elements at the tensor's strides lie inside its memory.
void require_inside(const Tensor &tensor, const std::vector<int64_t> &shape, size_t count) {
  int64_t last = 0;
  for (size_t d = 0; d < shape.size(); ++d) last += (shape[d] - 1) * tensor.strides()[d];
  if (last < 0 || static_cast<size_t>(last) >= count) {
    throw std::runtime_error("the strides of an output are impossible");
  }
}

Value to_value(const Tensor &tensor, size_t index) {
  Value value;
  value.dtype = lite_type(tensor.scalar_type(), index);
  value.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
  const lite_tensor view{
      value.dtype, static_cast<int32_t>(value.shape.size()), value.shape.data(),
      tensor.const_data_ptr()};
  const size_t bytes = checked_bytes(view, index);
  const size_t count = bytes / core_common::dtype_size(value.dtype);
  value.data.resize(bytes);
  if (count == 0) return value;
  require_inside(tensor, value.shape, count);
  char *out = value.data.data();
  const bool same = tensor.scalar_type() == scalar_type(value.dtype);
  if (same && in_c_order(tensor, value.shape)) {
    std::memcpy(out, tensor.const_data_ptr(), bytes);
  } else if (tensor.scalar_type() == ScalarType::Half) {
    gather<executorch::aten::Half, float>(tensor, value.shape, count, out);
  } else if (tensor.scalar_type() == ScalarType::BFloat16) {
    gather<executorch::aten::BFloat16, float>(tensor, value.shape, count, out);
  } else if (bytes == count) {
    gather<uint8_t, uint8_t>(tensor, value.shape, count, out);
  } else if (bytes == 2 * count) {
    gather<uint16_t, uint16_t>(tensor, value.shape, count, out);
  } else if (bytes == 4 * count) {
    gather<uint32_t, uint32_t>(tensor, value.shape, count, out);
  } else {
    gather<uint64_t, uint64_t>(tensor, value.shape, count, out);
  }
  return value;
}

// Throws unless the method takes tensors in C order, which is what it is given.
void require_c_order(Module &module, const std::string &method, const Listener &listener) {
  const auto meta = module.method_meta(method);
  listener.require(meta.error(), "reading " + method);
  for (size_t i = 0; i < meta->num_inputs(); ++i) {
    const auto tensor = meta->input_tensor_meta(i);
    const std::string where = "input " + std::to_string(i) + " of " + method;
    if (!tensor.ok()) throw std::runtime_error(where + " is not a tensor");
    const auto order = tensor->dim_order();
    for (size_t d = 0; d < order.size(); ++d) {
      if (order[d] != d) throw std::runtime_error(where + " is not in C order (NCHW)");
    }
  }
}

std::vector<Value> run(lite_model *model, const std::string &method, std::vector<Value> inputs) {
  const Listener listener;
  const auto meta = model->module->method_meta(method);
  listener.require(meta.error(), method);
  if (meta->num_inputs() != inputs.size()) {
    throw std::runtime_error(
        method + " takes " + std::to_string(meta->num_inputs()) + " inputs, and was given " +
        std::to_string(inputs.size()));
  }
  std::vector<executorch::extension::TensorPtr> tensors;
  std::vector<EValue> arguments;
  for (Value &input : inputs) {
    const std::vector<executorch::aten::SizesType> shape(input.shape.begin(), input.shape.end());
    tensors.push_back(
        executorch::extension::from_blob(input.data.data(), shape, scalar_type(input.dtype)));
    arguments.emplace_back(*tensors.back());
  }
  const auto results = model->module->execute(method, arguments);
  listener.require(results.error(), method);
  std::vector<Value> outputs;
  for (const EValue &result : *results) {
    if (result.isTensor()) {
      outputs.push_back(to_value(result.toTensor(), outputs.size()));
    } else if (result.isTensorList()) {
      for (const Tensor &tensor : result.toTensorList()) {
        outputs.push_back(to_value(tensor, outputs.size()));
      }
    } else {
      throw std::runtime_error(
          "output " + std::to_string(outputs.size()) + " of " + method + " is not a tensor");
    }
  }
  return outputs;
}

}  // namespace

extern "C" {

const char *lite_torch_version(void) { return EXECUTORCH_VERSION; }

size_t lite_dtype_size(lite_dtype dtype) { return core_common::dtype_size(dtype); }

const char *lite_engine(void) { return "xnnpack"; }

int lite_set_engine(const char *name, char **error) {
  return guarded(error, -1, [&] {
    if (name == nullptr || std::strcmp(name, lite_engine()) != 0) {
      throw std::invalid_argument(
          std::string("ExecuTorch computes with xnnpack, and has no quantized engine called ") +
          (name ? name : "NULL"));
    }
    return 0;
  });
}

int lite_set_threads(int32_t threads, char **error) {
  return guarded(error, -1, [&] {
    if (threads < 1 || threads > 1024) throw std::invalid_argument("threads must be 1 to 1024");
    listen();
    const std::lock_guard<std::mutex> lock(opening);
    auto *pool = executorch::extension::threadpool::get_threadpool();
    if (pool == nullptr) throw std::runtime_error("this ExecuTorch has no thread pool");
    if (pool->get_thread_count() == static_cast<size_t>(threads)) return 0;
    if (open_models != 0) {
      throw std::runtime_error("threads can be set only while no model is open");
    }
    if (!pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads))) {
      throw std::runtime_error("the thread pool cannot have " + std::to_string(threads));
    }
    return 0;
  });
}

lite_model *lite_open(const char *path, char **error) {
  return guarded<lite_model *>(error, nullptr, [&] {
    if (path == nullptr || *path == '\0') throw std::invalid_argument("no path was given");
    listen();
    const Listener listener;
    auto model = std::make_unique<lite_model>();
    {
      const std::lock_guard<std::mutex> lock(opening);
      ++open_models;
      model->counted = true;
    }
    model->path = path;
    model->module = std::make_unique<Module>(model->path, Module::LoadMode::File);
    Module &module = *model->module;
    listener.require(
        module.load(executorch::runtime::Program::Verification::InternalConsistency),
        "loading the program");
    const auto names = module.method_names();
    listener.require(names.error(), "reading the methods");
    if (names->count("forward") == 0) {
      throw std::runtime_error("the program has no method called forward");
    }
    model->preprocesses = names->count("preprocess") != 0;
    for (const std::string method : {"preprocess", "forward"}) {
      if (method == "preprocess" && !model->preprocesses) continue;
      require_c_order(module, method, listener);
      listener.require(module.load_method(method), "loading " + method);
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
    std::string content;
    if (!read_trailing_record(model->path, std::string("extra/") + name, &content)) return 1;
    // A zero byte follows the content, and is part of what is copied.
    *data = core_common::copy_text(content);
    if (*data == nullptr) throw std::bad_alloc();
    *size = content.size();
    return 0;
  });
}

lite_result *lite_forward(
    lite_model *model, const lite_tensor *inputs, size_t count, char **error) {
  return guarded<lite_result *>(error, nullptr, [&] {
    if (model == nullptr) throw std::invalid_argument("no model was given");
    if (count > 0 && inputs == nullptr) throw std::invalid_argument("no inputs were given");
    std::vector<Value> values;
    for (size_t i = 0; i < count; ++i) values.push_back(to_value(inputs[i], i));
    auto result = std::make_unique<lite_result>();
    const std::lock_guard<std::mutex> lock(model->mutex);
    if (model->preprocesses) values = run(model, "preprocess", std::move(values));
    result->values = run(model, "forward", std::move(values));
    return result.release();
  });
}

size_t lite_result_count(const lite_result *result) {
  return result == nullptr ? 0 : result->values.size();
}

lite_tensor lite_result_tensor(const lite_result *result, size_t index) {
  if (result == nullptr || index >= result->values.size()) {
    return lite_tensor{LITE_FLOAT32, 0, nullptr, nullptr};
  }
  const Value &value = result->values[index];
  return lite_tensor{
      value.dtype, static_cast<int32_t>(value.shape.size()), value.shape.data(),
      value.data.data()};
}

void lite_result_free(lite_result *result) {
  guarded(nullptr, 0, [&] {
    delete result;
    return 0;
  });
}

void lite_free(void *memory) { std::free(memory); }

}  // extern "C"
