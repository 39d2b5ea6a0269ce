// Load one lite-interpreter file, zip or flatbuffer, run it once on a ramp of the given shape, and
// print what that took as one line of JSON. The runner of `runtime_check` cannot do this: it opens
// every file as a zip, to read the metadata inside.
//
//     load_probe FILE EXTENT...

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/mobile/module.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A memory field of /proc/self/status, in bytes.
long long status_bytes(const std::string &field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(field + ":", 0) == 0) return std::stoll(line.substr(field.size() + 1)) * 1024;
  }
  return 0;
}

void print_memory(const char *when) {
  std::printf(
      "\"%s\": {\"VmRSS\": %lld, \"RssAnon\": %lld, \"VmHWM\": %lld}, ", when,
      status_bytes("VmRSS"), status_bytes("RssAnon"), status_bytes("VmHWM"));
}

}  // namespace

int main(int count, char **words) {
  try {
    at::globalContext().setQEngine(at::QEngine::QNNPACK);
    at::globalContext().setUserEnabledMkldnn(false);  // a phone has none
    // Phone builds drop a weight once XNNPACK has packed it (C10_MOBILE in ATen/Context.h).
    at::globalContext().setReleaseWeightsWhenPrepacking(true);
    at::set_num_threads(1);
    c10::InferenceMode inference(true);
    std::vector<int64_t> shape;
    for (int i = 2; i < count; ++i) shape.push_back(std::stoll(words[i]));
    int64_t values = 1;
    for (const auto extent : shape) values *= extent;
    const auto ramp = at::remainder(at::arange(values, at::kFloat), 255).div(255).reshape(shape);
    std::ofstream("/proc/self/clear_refs") << "5";
    std::printf("{");
    print_memory("before");
    const double started = now();
    auto module = torch::jit::_load_for_mobile(std::string(words[1]), at::Device(at::kCPU));
    const double loaded = now();
    print_memory("loaded");
    const double first = now();
    const auto output = module.forward({ramp}).toTensor().contiguous();
    const double ran = now();
    print_memory("ran");
    uint64_t digest = 14695981039346656037ull;  // FNV-1a
    const auto *bytes = static_cast<const unsigned char *>(output.data_ptr());
    for (size_t i = 0; i < output.nbytes(); ++i) digest = (digest ^ bytes[i]) * 1099511628211ull;
    std::printf(
        "\"load\": %.6f, \"first\": %.6f, \"digest\": \"%016llx\"}\n", loaded - started,
        ran - first, static_cast<unsigned long long>(digest));
    return 0;
  } catch (const c10::Error &error) {
    std::cerr << error.what_without_backtrace() << std::endl;
  } catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
  }
  return 1;
}
