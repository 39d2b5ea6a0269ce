// Decompress DEFLATE (RFC 1951), for the records of a zip: small rather than fast.
#ifndef INFLATE_H
#define INFLATE_H

#include <cstddef>
#include <string>

// Return the `size` bytes that `data` decompresses to. Throws std::runtime_error when they are not
// as many, or the data is damaged; never holds more than `size` bytes of output.
std::string inflate(const std::string &data, size_t size);

#endif  // INFLATE_H
