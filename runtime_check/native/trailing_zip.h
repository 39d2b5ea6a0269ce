// Read a record of the zip that follows the program in a .pte file.
#ifndef TRAILING_ZIP_H
#define TRAILING_ZIP_H

#include <string>

// Store the content of the record `name`, below the zip's one top folder, in *content. Returns
// false when the file ends in no zip, or the zip has no such record. Throws std::runtime_error when
// the record is damaged.
bool read_trailing_record(const std::string &path, const std::string &name, std::string *content);

#endif  // TRAILING_ZIP_H
