#include "trailing_zip.h"

#include "inflate.h"

#include <cstdint>
#include <fstream>
#include <stdexcept>

namespace {

// Every number in the file is its own claim: offsets and sizes are held against the file's size
// before anything is read by them.
constexpr uint32_t kEnd = 0x06054b50, kEntry = 0x02014b50, kLocal = 0x04034b50;
constexpr uint32_t kStored = 0, kDeflated = 8;
constexpr size_t kEndBytes = 22, kEntryBytes = 46, kLocalBytes = 30;
constexpr uint64_t kMaxDirectory = 1 << 20;
constexpr uint64_t kMaxRecord = 64 << 20;

uint32_t number(const std::string &data, size_t at, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; ++i) {
    value |= static_cast<uint32_t>(static_cast<unsigned char>(data[at + i])) << (8 * i);
  }
  return value;
}

uint32_t crc32(const std::string &data) {
  uint32_t crc = 0xffffffff;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

[[noreturn]] void damaged(const std::string &what) {
  throw std::runtime_error("the zip behind the program is damaged: " + what);
}

class File {
 public:
  explicit File(const std::string &path) : stream_(path, std::ios::binary | std::ios::ate) {
    if (!stream_) throw std::runtime_error("the file cannot be opened");
    size_ = static_cast<uint64_t>(stream_.tellg());
  }

  uint64_t size() const { return size_; }

  std::string read(uint64_t at, uint64_t bytes) {
    if (at > size_ || bytes > size_ - at) damaged("it points outside the file");
    std::string data(bytes, '\0');
    stream_.seekg(static_cast<std::streamoff>(at));
    if (bytes && !stream_.read(&data[0], static_cast<std::streamsize>(bytes))) {
      damaged("it cannot be read");
    }
    return data;
  }

 private:
  std::ifstream stream_;
  uint64_t size_ = 0;
};

// What the directory says of one record.
struct Entry {
  uint32_t method, crc, stored, size, start;
};

bool find_entry(const std::string &directory, const std::string &name, Entry *entry) {
  for (size_t at = 0; at < directory.size();) {
    if (directory.size() - at < kEntryBytes || number(directory, at, 4) != kEntry) {
      damaged("its directory is cut short");
    }
    const size_t length = number(directory, at + 28, 2);
    const size_t rest = length + number(directory, at + 30, 2) + number(directory, at + 32, 2);
    if (directory.size() - at - kEntryBytes < rest) damaged("its directory is cut short");
    const std::string full = directory.substr(at + kEntryBytes, length);
    const size_t folder = full.find('/');
    if (folder != std::string::npos && full.compare(folder + 1, std::string::npos, name) == 0) {
      *entry = Entry{
          number(directory, at + 10, 2), number(directory, at + 16, 4),
          number(directory, at + 20, 4), number(directory, at + 24, 4),
          number(directory, at + 42, 4)};
      return true;
    }
    at += kEntryBytes + rest;
  }
  return false;
}

}  // namespace

bool read_trailing_record(const std::string &path, const std::string &name, std::string *content) {
  File file(path);
  if (file.size() < kEndBytes) return false;
  const std::string end = file.read(file.size() - kEndBytes, kEndBytes);
  if (number(end, 0, 4) != kEnd) return false;
  const uint64_t bytes = number(end, 12, 4);
  if (bytes > kMaxDirectory) damaged("its directory is too large");
  const std::string directory = file.read(number(end, 16, 4), bytes);
  Entry entry{};
  if (!find_entry(directory, name, &entry)) return false;
  if (entry.method != kStored && entry.method != kDeflated) {
    damaged(name + " is compressed in a way that nobody writes");
  }
  if (entry.size > kMaxRecord) damaged(name + " is too large");
  const std::string local = file.read(entry.start, kLocalBytes);
  if (number(local, 0, 4) != kLocal) damaged(name + " is not where the directory says");
  const uint64_t names = uint64_t{number(local, 26, 2)} + number(local, 28, 2);
  *content = file.read(entry.start + kLocalBytes + names, entry.stored);
  if (entry.method == kDeflated) {
    try {
      *content = inflate(*content, entry.size);
    } catch (const std::runtime_error &error) {
      damaged(name + ": " + error.what());
    }
  }
  if (content->size() != entry.size) damaged(name + " has another size than is said");
  if (crc32(*content) != entry.crc) damaged(name + " has a wrong checksum");
  return true;
}
