// What the two implementations of lite_core.h share: errors as text, and the checks of an input.
#ifndef CORE_COMMON_H
#define CORE_COMMON_H

#include "lite_core.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

namespace core_common {

constexpr int32_t kMaxRank = 16;

inline char *copy_text(const std::string &text) {
  char *out = static_cast<char *>(std::malloc(text.size() + 1));
  if (out != nullptr) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}

inline void set_error(char **error, const std::string &text) {
  if (error != nullptr) *error = copy_text(text);
}

// Run `body`; turn whatever it throws into text, by `describe` what is thrown by a library. Every
// entry point that can throw goes through here, so no exception crosses the C header.
template <typename Result, typename Body, typename Describe>
Result guarded(char **error, Result failed, Body body, Describe describe) noexcept {
  if (error != nullptr) *error = nullptr;
  try {
    try {
      return body();
    } catch (const std::bad_alloc &) {
      set_error(error, "out of memory");
    } catch (const std::exception &caught) {
      set_error(error, describe(caught));
    } catch (...) {
      set_error(error, "an exception of an unknown type");
    }
  } catch (...) {
    // Making the message failed as well; the return value still tells.
  }
  return failed;
}

// Bytes one element takes; 0 for a value that is not a lite_dtype.
inline size_t dtype_size(lite_dtype dtype) {
  switch (dtype) {
    case LITE_UINT8:
    case LITE_INT8:
    case LITE_BOOL: return 1;
    case LITE_INT16: return 2;
    case LITE_INT32:
    case LITE_FLOAT32: return 4;
    case LITE_INT64:
    case LITE_FLOAT64: return 8;
  }
  return 0;
}

// Bytes that input `index` takes; throws std::invalid_argument when it is malformed.
inline size_t checked_bytes(const lite_tensor &input, size_t index) {
  const std::string where = "input " + std::to_string(index);
  if (dtype_size(input.dtype) == 0) throw std::invalid_argument(where + " has an unknown dtype");
  if (input.rank < 0 || input.rank > kMaxRank || (input.rank > 0 && input.shape == nullptr)) {
    throw std::invalid_argument(where + " has an impossible rank");
  }
  int64_t bytes = static_cast<int64_t>(dtype_size(input.dtype));
  for (int32_t i = 0; i < input.rank; ++i) {
    const int64_t extent = input.shape[i];
    if (extent < 0) throw std::invalid_argument(where + " has a negative extent");
    if (extent != 0 && bytes > std::numeric_limits<int64_t>::max() / extent) {
      throw std::invalid_argument(where + " has an impossible size");
    }
    bytes *= extent;
  }
  if (bytes != 0 && input.data == nullptr) throw std::invalid_argument(where + " has no data");
  return static_cast<size_t>(bytes);
}

}  // namespace core_common

#endif  // CORE_COMMON_H
