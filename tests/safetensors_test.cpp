// safetensors files: what is written is read back and is what the format asks for, and every broken file is
// refused with a sentence. The broken files are put together byte by byte.
#include "engine/io/safetensors.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <numeric>

#include "tests/io_testing.h"

namespace tenon {
namespace {

std::string file_bytes(const std::string& header, const std::string& data) {
  return bytes_of<uint64_t>(header.size()) + header + data;
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

std::vector<float> floats(const TensorFile& file, const std::string& name) {
  const TensorView view = file.find(name)->view;
  return {view.as<float>(), view.as<float>() + view.size()};
}

}  // namespace

TEST_CASE("what write_safetensors writes is read back: all dtypes, ranks 0 to 5, no elements, metadata") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  std::vector<double> values(64);
  std::iota(values.begin(), values.end(), 0.5);
  std::vector<TensorEntry> written = {
      {"byte", {values.data(), DType::u8, {3}}},
      {"half", {values.data(), DType::f16, {2, 3}}},
      {"brain \"half\" \xc3\xa9", {values.data() + 1, DType::bf16, {5, 1}}},
      {"single", {values.data(), DType::f32, {2, 1, 3, 1, 2}}},
      {"double", {values.data() + 2, DType::f64, {7}}},
      {"int", {values.data(), DType::i32, {1, 2, 3, 1}}},
      {"long", {values.data(), DType::i64, {4}}},
      {"scalar", {values.data() + 7, DType::f64, {}}},
      {"empty", {nullptr, DType::f32, {3, 0}}},
  };
  write_safetensors(path, written, {{"format", "pt"}, {"note", "a \"b\"\n"}});
  CHECK(files_in(folder) == 1);

  const TensorFile file = read_safetensors(path);
  CHECK(file.path() == path);
  CHECK(file.metadata() == Metadata{{"format", "pt"}, {"note", "a \"b\"\n"}});
  REQUIRE(file.entries().size() == written.size());
  for (const TensorEntry& entry : written) {
    INFO(entry.name);
    const TensorEntry* read = file.find(entry.name);
    REQUIRE(read != nullptr);
    CHECK(to_string(read->view) == to_string(entry.view));
    CHECK(read->view.contiguous());
    if (entry.view.bytes() > 0) CHECK(std::memcmp(read->view.data, entry.view.data, entry.view.bytes()) == 0);
  }
  CHECK(file.find("absent") == nullptr);
}

TEST_CASE("the layout is the one the format recommends: aligned data, wide elements first, then names") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  const double data[4] = {};
  void* memory = const_cast<double*>(data);
  write_safetensors(path, std::vector<TensorEntry>{{"c", {memory, DType::u8, {3}}},
                                                   {"b", {memory, DType::f32, {1}}},
                                                   {"d", {memory, DType::f64, {1}}},
                                                   {"a", {memory, DType::i32, {2}}}});
  const std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);
  std::string header = "{" + tensor("d", "F64", "[1]", "[0,8]") + "," + tensor("a", "I32", "[2]", "[8,16]") +
                       "," + tensor("b", "F32", "[1]", "[16,20]") + "," +
                       tensor("c", "U8", "[3]", "[20,23]") + "}";
  header.resize(length, ' ');
  CHECK(bytes.substr(8, length) == header);
  CHECK(bytes.size() == 8 + length + 23);
}

TEST_CASE("aligned tensors stay mapped and misaligned ones are copied; both keep their values") {
  const test::TemporaryFolder folder;
  const std::string data = "x" + bytes_of(1.5f) + bytes_of(-2.f);
  std::string header =
      "{" + tensor("x", "U8", "[1]", "[0,1]") + "," + tensor("w", "F32", "[2]", "[1,9]") + "}";
  for (size_t padding = 0; padding < 4; ++padding) {
    const TensorFile file = read_safetensors(put(folder, "m.safetensors", file_bytes(header, data)));
    const auto* byte = file.find("x")->view.as<char>();
    const auto* word = file.find("w")->view.as<char>();
    CHECK(reinterpret_cast<uintptr_t>(word) % 4 == 0);
    CHECK((word == byte + 1) == ((8 + header.size() + 1) % 4 == 0));
    CHECK(floats(file, "w") == std::vector<float>{1.5f, -2.f});
    header += ' ';
  }
}

TEST_CASE("views live as long as the memory handle, and released pages are read again from the file") {
  const test::TemporaryFolder folder;
  std::vector<float> values(100'000);
  std::iota(values.begin(), values.end(), 0.f);
  const std::string path = folder / "m.safetensors";
  write_safetensors(path, std::vector<TensorEntry>{{"w", {values.data(), DType::f32, {100, 1000}}}});
  TensorView view;
  std::shared_ptr<const void> memory;
  {
    const TensorFile file = open_tensor_file(path);
    view = file.find("w")->view;
    memory = file.memory();
    CHECK(floats(file, "w") == values);
    file.release_pages(view);
    file.release_pages({values.data(), DType::f32, {100'000}});  // not mapped: left alone
  }
  CHECK(std::memcmp(view.data, values.data(), view.bytes()) == 0);
}

TEST_CASE("a broken file is refused with one sentence that names it and what is wrong") {
  const test::TemporaryFolder folder;
  const std::string eight(8, 'x');
  const std::string good = tensor("w", "F32", "[2]", "[0,8]");
  const auto refused = [&](const std::string& bytes, const std::string& because) {
    const std::string path = put(folder, "broken.safetensors", bytes);
    expect_error("'" + path + "'", [&] { read_safetensors(path); });
    expect_error(because, [&] { read_safetensors(path); });
  };
  const auto header_refused = [&](const std::string& header, const std::string& because) {
    refused(file_bytes(header, eight), because);
  };
  const auto tensors_refused = [&](const std::string& tensors, const std::string& because) {
    header_refused("{" + tensors + "}", because);
  };
  REQUIRE(error_of([&] { read_safetensors(put(folder, "good", file_bytes("{" + good + "}", eight))); }) ==
          "");

  SECTION("the file") {
    expect_error("absent': No such file", [&] { read_safetensors(folder / "absent"); });
    expect_error("is a folder", [&] { read_safetensors(folder / ""); });
    expect_error("not a regular file", [&] { read_safetensors("/dev/zero"); });
    refused("", "is empty");
    refused("1234567", "ends inside the 8 bytes");
    refused(bytes_of<uint64_t>(9) + "12345678", "a header of 9 bytes, and only 8 follow");
    refused(bytes_of<uint64_t>(UINT64_MAX) + eight,
            "a header of 18446744073709551615 bytes, and the most is");
    refused(file_bytes("{" + good + "}", eight.substr(1)),
            "cut short: its tensors end at byte 8 with 'w', and 7 bytes");
    refused(file_bytes("{" + good + "}", eight + "!"), "1 bytes follow the last tensor");
    refused(file_bytes("{}", "!"), "1 bytes follow");
  }
  SECTION("the JSON") {
    header_refused("", "not JSON from byte 1");
    header_refused("{\"w\":}", "not JSON from byte");
    header_refused("{\"\xff\":1}", "not JSON from byte");
    header_refused("{} {}", "not JSON from byte");
    header_refused("{\"w\":1e999}", "a number that is too large");
    header_refused("[1]", "not a JSON object");
    header_refused("7", "not a JSON object");
    header_refused("{\"w\":" + std::string(100'000, '['), "nested too deeply");
    tensors_refused(good + "," + good, "the name 'w' twice");
    tensors_refused("\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}",
                    "'dtype' twice");
    tensors_refused("\"__metadata__\":[1]," + good, "__metadata__ is not an object");
    tensors_refused("\"__metadata__\":{\"a\":1}," + good, "__metadata__ 'a' is not a string");
  }
  SECTION("a tensor") {
    tensors_refused("\"w\":[]", "the tensor 'w' needs exactly");
    tensors_refused("\"w\":{\"dtype\":\"F32\",\"shape\":[2]}", "the tensor 'w' needs exactly");
    tensors_refused("\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}",
                    "needs exactly");
    tensors_refused("\"w\":{\"dtype\":1,\"shape\":[2],\"data_offsets\":[0,8]}",
                    "dtype of the tensor 'w' is not");
    tensors_refused(tensor("w", "F8_E4M3", "[8]", "[0,8]"),
                    "'w' of dtype F8_E4M3, which Tenon does not read");
    tensors_refused(tensor("w", "F32", "2", "[0,8]"), "shape of the tensor 'w' is not a list");
    tensors_refused(tensor("w", "F32", "[-2]", "[0,8]"), "'w' has a size that is not a whole number");
    tensors_refused(tensor("w", "F32", "[2.0]", "[0,8]"), "'w' has a size that is not a whole number");
    tensors_refused(tensor("w", "F32", "[1,1,1,1,1,2]", "[0,8]"), "'w' with 6 dimensions");
    tensors_refused(tensor("w", "F32", "[3]", "[0,8]"),
                    "'w' (3) f32 takes 12 bytes, and its data_offsets span 8");
    tensors_refused(tensor("w", "F32", "[4294967296,4294967296]", "[0,8]"), "'w' overflows 64 bits");
    tensors_refused(tensor("w", "F32", "[18446744073709551615]", "[0,8]"), "'w' overflows 64 bits");
    tensors_refused(tensor("w", "F32", "[4611686018427387905]", "[0,4]"), "'w' overflows 64 bits");
    tensors_refused(tensor("w", "F32", "[0,4294967296,4294967296]", "[0,0]"), "'w' overflows 64 bits");
  }
  SECTION("offsets") {
    tensors_refused(tensor("w", "F32", "[2]", "[8,0]"), "'w' are reversed");
    tensors_refused(tensor("w", "F32", "[2]", "[-8,0]"), "'w' are not two whole numbers");
    tensors_refused(tensor("w", "F32", "[2]", "[0]"), "'w' are not two whole numbers");
    tensors_refused(tensor("w", "F32", "[2]", "[0,8,8]"), "'w' are not two whole numbers");
    tensors_refused(tensor("w", "F32", "[2]", "[8,16]"),
                    "bytes 0 to 8 before the tensor 'w' belong to no tensor");
    tensors_refused(tensor("w", "F32", "[4]", "[0,16]"), "cut short");
    tensors_refused(tensor("w", "F32", "[2]", "[18446744073709551608,18446744073709551615]"), "span 7");
    tensors_refused(tensor("a", "U8", "[5]", "[0,5]") + "," + tensor("b", "U8", "[4]", "[4,8]"),
                    "'a' and 'b' overlap");
    tensors_refused(tensor("a", "U8", "[8]", "[0,8]") + "," + tensor("b", "U8", "[8]", "[0,8]"),
                    "'a' and 'b' overlap");
    tensors_refused(tensor("a", "U8", "[3]", "[0,3]") + "," + tensor("b", "U8", "[4]", "[4,8]"),
                    "bytes 3 to 4 before");
  }
}

TEST_CASE("what cannot be written is refused before a file appears") {
  const test::TemporaryFolder folder;
  float values[6] = {};
  TensorView transposed(values, DType::f32, {2, 3});
  std::swap(transposed.stride[0], transposed.stride[1]);
  const TensorView fine(values, DType::f32, {6});
  const auto refused = [&](std::vector<TensorEntry> tensors, const std::string& because) {
    expect_error(because, [&] { write_safetensors(folder / "m", tensors); });
    CHECK(files_in(folder) == 0);
  };
  refused({{"w", fine}, {"w", fine}}, "'w' is reserved or given twice");
  refused({{"__metadata__", fine}}, "reserved");
  refused({{"w", transposed}}, "'w' is not contiguous");
  refused({{"\xff", fine}}, "not valid UTF-8");
  const auto place_refused = [&](const std::string& path, const std::string& because) {
    expect_error(because, [&] { write_safetensors(path, std::vector<TensorEntry>{{"w", fine}}); });
  };
  place_refused("/dev/full", "/dev/full': it is not a regular file");
  place_refused(folder / "", "is a folder");
  place_refused(folder / "no/m.safetensors", "create its folder first");
}

TEST_CASE(
    "a full disk gives one sentence with the bytes needed, keeps the old file and leaves nothing "
    "half-written") {
  const test::TemporaryFolder folder;
  const std::string path = put(folder, "model.safetensors", "the old file");
  std::vector<float> values(100'000);
  const std::vector<TensorEntry> tensors = {{"w", {values.data(), DType::f32, {100'000}}}};
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{100'000, limit.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = error_of([&] { write_safetensors(path, tensors); });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  INFO(message);
  CHECK(message.find(path) != std::string::npos);
  CHECK(message.find("it needs 400072 bytes") != std::string::npos);
  CHECK(read_file(path) == "the old file");
  CHECK(files_in(folder) == 1);
  write_safetensors(path, tensors);
  CHECK(read_safetensors(path).entries().size() == 1);
  CHECK(files_in(folder) == 1);
}

TEST_CASE("ten thousand mutants of a safetensors file are read or refused, never worse") {
  const test::TemporaryFolder folder;
  double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::string path = folder / "valid";
  write_safetensors(
      path, std::vector<TensorEntry>{{"a", {values, DType::f64, {2, 2}}}, {"b", {values, DType::u8, {5}}}},
      {{"format", "pt"}});
  const int refused = fuzz_reader(read_file(path), 10'000, read_safetensors);
  CHECK(refused > 5'000);
  CHECK(refused < 10'000);
}

}  // namespace tenon
