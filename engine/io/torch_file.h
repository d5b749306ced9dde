// The files of torch.save: the zip archive of PyTorch 1.6 and later and the pickle stream of before. The
// pickle is read as data: nothing it asks for is ever run, and whatever a file of tensors does not need is
// refused by name.
#pragma once
#include <string>
#include <string_view>

#include "engine/io/tensor_file.h"

namespace tenon {

// Whether these first bytes of a file are those of either format.
bool looks_like_torch_file(std::string_view bytes);

// Reads a state_dict, also one level or more inside other dicts ({"state_dict": ...}) where it is the only
// mapping of names to tensors. Dense tensors of float, half, bfloat16, double, int, long, byte and bool (as
// u8); strided ones are copied, the rest stays mapped.
TensorFile read_torch_file(const std::string& path);

}  // namespace tenon
