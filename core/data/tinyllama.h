// TinyLlama's packed files, written and read: how corpora come from and go to programs of the lit-gpt family.
//
// A file is "LITPKDS", u64 version 1, u8 type of a token (4 = int32, 8 = uint16), u64 number of tokens, all
// little-endian and 24 bytes together, then the tokens. A corpus is a row of such files of the same length; the last
// one is filled up with the token that begins documents. Documents are joined as in ours.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/files.h"
#include "core/data/packed.h"
#include "core/data/prepare.h"

namespace mestre {

/// Blocks of 2049 tokens, as TinyLlama has them, 4096 to a file: 16.8 MB.
inline constexpr std::int64_t kTinyLlamaChunk = std::int64_t{2049} * 4096;

struct TinyLlamaExport {
  std::int64_t files = 0;
  std::int64_t tokens = 0;   // without the filling
  std::int64_t filling = 0;  // tokens behind the last
};

/// Writes `corpus` as `folder`/`prefix`_0000000000.bin and so on, uint16, `chunk` tokens to a file. The folder is made
/// where it is not there, and appears when all of it is durable. Throws Error: bad_input where it holds anything or
/// `chunk` is less than 1; those of files.h.
TinyLlamaExport export_tinyllama(const PackedCorpus& corpus, const fs::path& folder, const std::string& prefix,
                                 std::int64_t chunk);

struct TinyLlamaImport {
  fs::path root;     // the data root
  std::string name;  // of the result, below the root
  std::vector<fs::path>
      inputs;             // files, in order; or folders, of which all *.bin are taken in the order of their names
  std::string tokenizer;  // what the tokens are of: see open_tokenizer
  bool force = false;     // replace other data of the same name
};

/// Packs such files into <root>/<name>/train.bin with its manifest. What fills up a file, where the next one does not
/// carry on from it (another prefix, or none), is left out. Throws Error: bad_input where a file is of another format
/// or holds a token that the tokenizer does not have; as prepare() where other data are in the way.
Manifest import_tinyllama(const TinyLlamaImport& options);

}  // namespace mestre
