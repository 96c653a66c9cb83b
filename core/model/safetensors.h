// The safetensors format: eight bytes with the length of a JSON header, the header, and the tensors' bytes without
// gaps.
//
// Reading trusts nothing: whatever does not describe exactly the bytes that are there is an Error (checkpoint_corrupt)
// with the file's name.
#pragma once

#include <map>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>

#include "core/base/files.h"

namespace mestre {

struct NamedTensor {
  std::string name;
  at::Tensor value;
};

struct Safetensors {
  std::map<std::string, at::Tensor>
      tensors;  // on the CPU; views of one mapping of the file that they keep alive, private to this process
  std::map<std::string, std::string> metadata;

  /// The tensor of that name; throws Error (checkpoint_corrupt) where there is none.
  [[nodiscard]] const at::Tensor& at(const std::string& name) const;
  std::string file;  // for messages
};

/// Maps and checks the whole file: header, names, types, shapes, offsets without overlap or gap up to the last byte.
/// Throws Error: not_found; checkpoint_corrupt.
[[nodiscard]] Safetensors read_safetensors(const fs::path& path);

/// What was written, for whoever lists the file.
struct FileRecord {
  std::int64_t bytes = 0;
  std::string digest;  // XXH3-128 of the file
};

/// Writes and syncs a new file. Tensors of large elements come first, so that each is aligned, then by name; the data
/// start at a multiple of 64 bytes. Tensors may lie anywhere and have any strides. The same input gives the same bytes.
FileRecord write_safetensors(const fs::path& path, std::span<const NamedTensor> tensors,
                             const std::map<std::string, std::string>& metadata = {});

}  // namespace mestre
