// libFuzzer entry: clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -I.
// tests/fuzz/safetensors_fuzz.cpp
//   engine/io/{file,pickle,safetensors,tensor_file,torch_file,zip}.cpp -o safetensors_fuzz
#include "engine/io/safetensors.h"
#include "tests/io_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tenon::read_or_refuse(std::string(reinterpret_cast<const char*>(data), size), tenon::read_safetensors);
  return 0;
}
