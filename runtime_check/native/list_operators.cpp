// Print what one torch build's lite interpreter can run, as JSON lines on stdout.
//
// runtime_check/device/operator_tables.py builds this against a frozen device runtime (torch 2.1.0,
// 1.13.1 for ARM64) and turns the lines into runtime_check/data/operators/*.json. Candidate
// operator and class names come on stdin, one a line: the lite interpreter keeps a private table
// of "promoted" prim operators that no public call enumerates (nor are custom classes), so we ask
// for each name whether it resolves, through the very call the loader makes
// (mobile::Function::initialize_operators).
#include <ATen/core/dispatch/Dispatcher.h>
#include <caffe2/serialize/versions.h>
#if __has_include(<torch/csrc/jit/mobile/function.h>)
#include <torch/csrc/jit/mobile/function.h>
#define HAVE_MOBILE_FUNCTION 1
#endif
#include <torch/csrc/jit/runtime/operator.h>
#include <torch/custom_class.h>
#include <torch/version.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <unordered_set>

namespace torch {
namespace jit {
// Exported by libtorch_cpu, but its header (mobile/compatibility/runtime_compatibility.h) is not
// in the wheel.
std::unordered_set<std::string> _get_mobile_supported_types();
}  // namespace jit
}  // namespace torch

namespace {

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string full_name(const c10::OperatorName& name) {
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

c10::OperatorName split_name(const std::string& name) {
  const auto dot = name.rfind('.');
  if (dot == std::string::npos) return {name, ""};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

// The question the loader asks for every operator of a file.
bool resolves(const c10::OperatorName& name, bool registered) {
#ifndef HAVE_MOBILE_FUNCTION
  return registered;  // wheels before 1.13 do not ship the lite interpreter's headers
#else
  if (registered) return true;  // the loader looks in the same two registries
  torch::jit::mobile::Function function{c10::QualifiedName("probe")};
  function.append_operator(name.name, name.overload_name, c10::nullopt);
  try {
    return function.initialize_operators(/*should_check_operators=*/false);
  } catch (const std::exception&) {
    return false;
  }
#endif
}

std::string argument(const c10::Argument& arg) {
  std::string flags;
  if (arg.default_value().has_value()) flags += 'd';
  if (arg.kwarg_only()) flags += 'k';
  if (arg.is_out()) flags += 'o';
  std::string out = "[" + json_text(arg.name()) + "," + json_text(arg.type()->str());
  if (!flags.empty()) out += "," + json_text(flags);
  return out + "]";
}

std::string schema_json(const c10::FunctionSchema& schema) {
  std::string out = "\"args\":[";
  bool first = true;
  for (const auto& arg : schema.arguments()) {
    out += (first ? "" : ",") + argument(arg);
    first = false;
  }
  out += "]";
  if (schema.is_vararg()) out += ",\"vararg\":true";
  return out;
}

template <typename Names>
void print_names(const char* kind, const Names& names) {
  std::string line = std::string("{\"") + kind + "\":[";
  bool first = true;
  for (const auto& name : std::set<std::string>(names.begin(), names.end())) {
    line += (first ? "" : ",") + json_text(name);
    first = false;
  }
  std::cout << line << "]}\n";
}

}  // namespace

int main() {
  std::cout << "{\"torch\":" << json_text(TORCH_VERSION) << ",\"bytecode\":["
            << caffe2::serialize::kMinSupportedBytecodeVersion << ","
            << caffe2::serialize::kMaxSupportedBytecodeVersion << "],\"operator_version\":["
            << caffe2::serialize::kMinSupportedFileFormatVersion << ","
            << caffe2::serialize::kMaxSupportedFileFormatVersion << "]}\n";
  print_names("types", torch::jit::_get_mobile_supported_types());

  std::map<std::string, std::string> found;
  for (const auto& op : torch::jit::getAllOperators()) {
    const auto& schema = op->schema();
    found.emplace(full_name(schema.operator_name()), schema_json(schema));
  }
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    const auto handle = dispatcher.findSchema(name);
    if (handle.has_value()) found.emplace(full_name(name), schema_json(handle->schema()));
  }
  std::string line;
  std::set<std::string> classes;
  while (std::getline(std::cin, line)) {
    if (line.rfind("__torch__.", 0) == 0) {
      if (torch::getCustomClass(line)) classes.insert(line);
    } else if (!line.empty()) {
      found.emplace(line, "");  // a promoted operator, if it resolves at all
    }
  }
  print_names("classes", classes);
  for (const auto& [name, schema] : found) {
    if (!resolves(split_name(name), !schema.empty())) continue;
    std::cout << "{\"op\":" << json_text(name) << (schema.empty() ? "" : ",") << schema << "}\n";
  }
  return 0;
}
