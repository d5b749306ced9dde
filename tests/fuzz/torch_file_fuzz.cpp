// libFuzzer entry: clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -I.
// tests/fuzz/torch_file_fuzz.cpp
//   engine/io/{file,pickle,safetensors,tensor_file,torch_file,zip}.cpp -o torch_file_fuzz
#include "engine/io/torch_file.h"
#include "tests/io_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tenon::read_or_refuse(std::string(reinterpret_cast<const char*>(data), size), tenon::read_torch_file);
  return 0;
}
