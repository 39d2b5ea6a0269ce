// Serve one lite-interpreter file over stdin and stdout: one process, many inferences.
//
// A request is a line of text, then raw bytes; the answer is a frame as in runtime_check/runtimes/frames.py
// (uint32 length, JSON header with a `tensors` list, raw tensors). Requests:
//   open ENGINE THREADS LENGTH        then the path, LENGTH bytes
//   extra LENGTH                      then the record's name; its content comes back as a uint8
//                                     tensor, or "found": false
//   forward REPEATS MARK COUNT        then COUNT times: a line DTYPE RANK EXTENT..., raw data
//   maps                              /proc/self/maps as a uint8 tensor, for the profiler
//   bye
// MARK 1 brackets the last repeat with a system call that exists nowhere, which a qemu plugin
// counts instructions between (instruction_count.c).
#include "lite_core.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr long kMarker = 0x5eed;  // no system call has this number
constexpr size_t kMaxRequest = size_t{4} << 30;

FILE *answers = nullptr;

std::string json_text(const char *text) {
  std::string out = "\"";
  for (const char *p = text ? text : ""; *p != '\0'; ++p) {
    const unsigned char c = static_cast<unsigned char>(*p);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += *p;
    } else if (c < 0x20 || c >= 0x7f) {
      // A damaged file may put any bytes into an error: keep the frame valid JSON.
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += *p;
    }
  }
  return out + "\"";
}

const char *dtype_name(lite_dtype dtype) {
  static const char *const names[] = {
      "uint8", "int8", "int16", "int32", "int64", "float32", "float64", "bool"};
  return names[dtype];
}

bool dtype_of(const std::string &name, lite_dtype *out) {
  for (int i = LITE_UINT8; i <= LITE_BOOL; ++i) {
    if (name == dtype_name(static_cast<lite_dtype>(i))) {
      *out = static_cast<lite_dtype>(i);
      return true;
    }
  }
  return false;
}

size_t bytes_of(const lite_tensor &tensor) {
  size_t bytes = lite_dtype_size(tensor.dtype);
  for (int32_t i = 0; i < tensor.rank; ++i) bytes *= static_cast<size_t>(tensor.shape[i]);
  return bytes;
}

void send(const std::string &fields, const std::vector<lite_tensor> &tensors) {
  std::string header = "{" + fields + ", \"tensors\": [";
  for (size_t i = 0; i < tensors.size(); ++i) {
    header += std::string(i ? ", " : "") + "{\"dtype\": \"" + dtype_name(tensors[i].dtype) +
        "\", \"shape\": [";
    for (int32_t d = 0; d < tensors[i].rank; ++d) {
      header += (d ? ", " : "") + std::to_string(tensors[i].shape[d]);
    }
    header += "]}";
  }
  header += "]}";
  const uint32_t length = static_cast<uint32_t>(header.size());
  std::fwrite(&length, sizeof length, 1, answers);
  std::fwrite(header.data(), 1, header.size(), answers);
  for (const auto &tensor : tensors) {
    const size_t bytes = bytes_of(tensor);
    if (bytes) std::fwrite(tensor.data, 1, bytes, answers);
  }
  if (std::fflush(answers) != 0) std::exit(3);  // nobody is listening any more
}

void send_error(char *error) {
  send("\"ok\": false, \"error\": " + json_text(error), {});
  lite_free(error);
}

void send_bytes(const std::string &fields, const char *data, size_t size) {
  const int64_t extent = static_cast<int64_t>(size);
  send(fields, {lite_tensor{LITE_UINT8, 1, &extent, data}});
}

// A request that does not follow the protocol is a mistake of our own parent: stop.
[[noreturn]] void bad_request(const char *what) {
  std::fprintf(stderr, "runner: bad request: %s\n", what);
  std::exit(4);
}

bool read_line(std::string *line) {
  line->clear();
  int c = 0;
  while ((c = std::getchar()) != EOF && c != '\n') {
    if (line->size() > 4096) bad_request("a line without an end");
    line->push_back(static_cast<char>(c));
  }
  return c != EOF;
}

std::string read_bytes(size_t size) {
  if (size > kMaxRequest) bad_request("too large");
  std::string bytes(size, '\0');
  if (size && std::fread(&bytes[0], 1, size, stdin) != size) bad_request("cut short");
  return bytes;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Input {
  std::vector<int64_t> shape;
  std::string data;
  lite_dtype dtype;
};

Input read_input() {
  std::string line;
  if (!read_line(&line)) bad_request("an input is missing");
  std::istringstream words(line);
  std::string dtype;
  int rank = -1;
  words >> dtype >> rank;
  Input input;
  if (!dtype_of(dtype, &input.dtype) || rank < 0 || rank > 16) bad_request("an input's type");
  input.shape.resize(static_cast<size_t>(rank));
  size_t bytes = lite_dtype_size(input.dtype);
  for (auto &extent : input.shape) {
    if (!(words >> extent) || extent < 0) bad_request("an input's shape");
    if (extent && bytes > kMaxRequest / static_cast<size_t>(extent)) bad_request("too large");
    bytes *= static_cast<size_t>(extent);
  }
  input.data = read_bytes(bytes);
  return input;
}

void forward(lite_model *model, std::istringstream &words) {
  int repeats = 1;
  int mark = 0;
  size_t count = 0;
  if (!(words >> repeats >> mark >> count) || repeats < 1 || count > 256) bad_request("forward");
  std::vector<Input> inputs;
  std::vector<lite_tensor> views;
  for (size_t i = 0; i < count; ++i) inputs.push_back(read_input());
  for (const auto &input : inputs) {
    views.push_back(lite_tensor{
        input.dtype, static_cast<int32_t>(input.shape.size()), input.shape.data(),
        input.data.data()});
  }
  char *error = nullptr;
  lite_result *result = nullptr;
  std::string seconds;
  for (int i = 0; i < repeats; ++i) {
    lite_result_free(result);
    const bool marked = mark && i + 1 == repeats;
    const auto start = std::chrono::steady_clock::now();
#ifdef __linux__
    if (marked) syscall(kMarker, 1);
#endif
    result = lite_forward(model, views.data(), views.size(), &error);
#ifdef __linux__
    if (marked) syscall(kMarker, 0);
#endif
    if (result == nullptr) return send_error(error);
    char number[32];
    std::snprintf(number, sizeof number, "%s%.9f", i ? ", " : "", seconds_since(start));
    seconds += number;
  }
  std::vector<lite_tensor> outputs;
  for (size_t i = 0; i < lite_result_count(result); ++i) {
    outputs.push_back(lite_result_tensor(result, i));
  }
  send("\"ok\": true, \"seconds\": [" + seconds + "]", outputs);
  lite_result_free(result);
}

lite_model *open(lite_model *model, std::istringstream &words) {
  std::string engine;
  int threads = 1;
  size_t length = 0;
  if (!(words >> engine >> threads >> length)) bad_request("open");
  const std::string path = read_bytes(length);
  lite_close(model);
  char *error = nullptr;
  const auto start = std::chrono::steady_clock::now();
  if (lite_set_threads(threads, &error) != 0 || lite_set_engine(engine.c_str(), &error) != 0) {
    send_error(error);
    return nullptr;
  }
  model = lite_open(path.c_str(), &error);
  if (model == nullptr) {
    send_error(error);
  } else {
    char fields[160];
    std::snprintf(
        fields, sizeof fields, "\"ok\": true, \"seconds\": %.9f, \"torch\": %s, \"engine\": %s",
        seconds_since(start), json_text(lite_torch_version()).c_str(),
        json_text(lite_engine()).c_str());
    send(fields, {});
  }
  return model;
}

void extra(lite_model *model, std::istringstream &words) {
  size_t length = 0;
  if (!(words >> length)) bad_request("extra");
  const std::string name = read_bytes(length);
  char *data = nullptr;
  char *error = nullptr;
  size_t size = 0;
  const int status = lite_extra(model, name.c_str(), &data, &size, &error);
  if (status < 0) return send_error(error);
  if (status > 0) return send("\"ok\": true, \"found\": false", {});
  send_bytes("\"ok\": true, \"found\": true", data, size);
  lite_free(data);
}

void maps() {
  std::ifstream file("/proc/self/maps");
  const std::string text(
      (std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  send_bytes("\"ok\": true", text.data(), text.size());
}

}  // namespace

int main() {
  // Libraries print to stdout when they please; keep that out of the protocol.
  answers = fdopen(dup(STDOUT_FILENO), "wb");
  if (answers == nullptr || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return 5;
  lite_model *model = nullptr;
  std::string line;
  while (read_line(&line)) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "open") {
      model = open(model, words);
    } else if (verb == "extra") {
      extra(model, words);
    } else if (verb == "forward") {
      forward(model, words);
    } else if (verb == "maps") {
      maps();
    } else if (verb == "bye") {
      break;
    } else {
      bad_request(line.c_str());
    }
  }
  lite_close(model);
  // Static destructors of a library this size are slow under emulation and free nothing we need.
  std::fflush(answers);
  _exit(0);
}
