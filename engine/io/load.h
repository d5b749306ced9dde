// Fills a module's parameters from a file of named tensors.
#pragma once
#include <string>
#include <vector>

#include "engine/io/tensor_file.h"
#include "engine/nn/module.h"

namespace tenon {

struct LoadReport {
  std::vector<std::string> unexpected;  // tensors of the file that the module has no place for
};

// Names may stand in the file with or without `optional_prefix` ("bert."), and with the old endings
// .gamma and .beta. fp32 tensors stay in the file's memory, others are converted. Parameters whose name
// begins with one of `may_be_missing` stay as they are if absent; any other missing tensor, and every wrong
// shape, is an error that names the file and the tensors. cls.* and *.position_ids are passed over in
// silence.
LoadReport load_parameters(const NamedParameters& parameters, const TensorFile& file,
                           std::string_view optional_prefix = "",
                           const std::vector<std::string>& may_be_missing = {});

// A tensor of the file as fp32, without a copy where it is fp32 already.
Tensor tensor_of(const TensorFile& file, const TensorEntry& entry);

}  // namespace tenon
