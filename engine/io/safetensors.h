// The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes
// without holes (https://huggingface.co/docs/safetensors). Read F32 F16 BF16 F64 I32 I64 U8 and BOOL (as u8).
#pragma once
#include <span>
#include <string>

#include "engine/io/tensor_file.h"

namespace tenon {

// Maps a file; tensors at offsets that are no multiple of their element size are copied. A file that breaks
// the format in any way is refused with one sentence.
TensorFile read_safetensors(const std::string& path);

// Writes contiguous host tensors, the widest elements first and then by name, so that all of them are
// aligned. The file appears whole or not at all (AtomicFile).
void write_safetensors(const std::string& path, std::span<const TensorEntry> tensors,
                       const Metadata& metadata = {});

}  // namespace tenon
