#include "inflate.h"

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace {

constexpr int kLongestCode = 15;

[[noreturn]] void damaged() { throw std::runtime_error("its compressed data is damaged"); }

class Bits {
 public:
  explicit Bits(const std::string &data) : data_(data) {}

  // The next `count` bits, the first one lowest.
  uint32_t take(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      if (at_ / 8 >= data_.size()) damaged();
      value |= ((static_cast<unsigned char>(data_[at_ / 8]) >> (at_ % 8)) & 1u) << i;
    }
    return value;
  }

  void to_byte() { at_ = (at_ + 7) / 8 * 8; }

 private:
  const std::string &data_;
  size_t at_ = 0;
};

// A canonical Huffman code, by the lengths of its words.
class Code {
 public:
  explicit Code(const std::vector<int> &lengths) : counts_(kLongestCode + 1, 0) {
    for (const int length : lengths) ++counts_[length];
    counts_[0] = 0;
    int64_t left = 1;
    for (int length = 1; length <= kLongestCode; ++length) {
      left = 2 * left - counts_[length];
      if (left < 0) damaged();  // more words than there can be
    }
    for (int length = 1; length <= kLongestCode; ++length) {
      for (size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        if (lengths[symbol] == length) symbols_.push_back(static_cast<int>(symbol));
      }
    }
  }

  int next(Bits &bits) const {
    int word = 0, first = 0, index = 0;
    for (int length = 1; length <= kLongestCode; ++length) {
      word |= static_cast<int>(bits.take(1));
      if (word - first < counts_[length]) return symbols_[index + word - first];
      index += counts_[length];
      first = (first + counts_[length]) << 1;
      word <<= 1;
    }
    damaged();
  }

 private:
  std::vector<int> counts_;
  std::vector<int> symbols_;
};

void add(std::string *out, size_t size, char byte) {
  if (out->size() == size) damaged();
  out->push_back(byte);
}

void stored(Bits &bits, std::string *out, size_t size) {
  bits.to_byte();
  const uint32_t length = bits.take(16);
  if (bits.take(16) != (~length & 0xffff)) damaged();
  for (uint32_t i = 0; i < length; ++i) add(out, size, static_cast<char>(bits.take(8)));
}

void compressed(
    Bits &bits, const Code &lengths, const Code &distances, std::string *out, size_t size) {
  for (int symbol = lengths.next(bits); symbol != 256; symbol = lengths.next(bits)) {
    if (symbol < 256) {
      add(out, size, static_cast<char>(symbol));
      continue;
    }
    if (symbol > 285) damaged();
    int length = symbol - 254;
    if (symbol == 285) {
      length = 258;
    } else if (symbol > 264) {
      const int extra = (symbol - 261) / 4;
      length = ((4 + (symbol - 261) % 4) << extra) + 3 + static_cast<int>(bits.take(extra));
    }
    const int place = distances.next(bits);
    if (place > 29) damaged();
    const int extra = place < 2 ? 0 : place / 2 - 1;
    const size_t distance =
        (place < 2 ? place : (2 + place % 2) << extra) + size_t{1} + bits.take(extra);
    if (distance > out->size()) damaged();
    for (int i = 0; i < length; ++i) add(out, size, (*out)[out->size() - distance]);
  }
}

void with_fixed_codes(Bits &bits, std::string *out, size_t size) {
  std::vector<int> lengths(288, 8);
  for (int symbol = 144; symbol < 256; ++symbol) lengths[symbol] = 9;
  for (int symbol = 256; symbol < 280; ++symbol) lengths[symbol] = 7;
  compressed(bits, Code(lengths), Code(std::vector<int>(30, 5)), out, size);
}

void with_own_codes(Bits &bits, std::string *out, size_t size) {
  static const int order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  const size_t literals = bits.take(5) + 257, distances = bits.take(5) + 1;
  const uint32_t words = bits.take(4) + 4;
  std::vector<int> of_lengths(19, 0);
  for (uint32_t i = 0; i < words; ++i) of_lengths[order[i]] = static_cast<int>(bits.take(3));
  const Code code(of_lengths);
  std::vector<int> lengths;
  while (lengths.size() < literals + distances) {
    const int symbol = code.next(bits);
    int value = 0;
    uint32_t times = 1;
    if (symbol < 16) {
      value = symbol;
    } else if (symbol == 16) {
      if (lengths.empty()) damaged();
      value = lengths.back();
      times = 3 + bits.take(2);
    } else {
      times = symbol == 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    }
    lengths.insert(lengths.end(), times, value);
  }
  if (lengths.size() != literals + distances) damaged();
  const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(literals);
  compressed(
      bits, Code({lengths.begin(), middle}), Code({middle, lengths.end()}), out, size);
}

}  // namespace

std::string inflate(const std::string &data, size_t size) {
  Bits bits(data);
  std::string out;
  for (bool last = false; !last;) {
    last = bits.take(1) != 0;
    switch (bits.take(2)) {
      case 0: stored(bits, &out, size); break;
      case 1: with_fixed_codes(bits, &out, size); break;
      case 2: with_own_codes(bits, &out, size); break;
      default: damaged();
    }
  }
  if (out.size() != size) damaged();
  return out;
}
