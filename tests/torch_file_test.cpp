// Files of torch.save: those that PyTorch wrote (tests/data/pickle) and hand-made ones, which are nested,
// hostile, damaged, or of forms that PyTorch writes only above 4 GB.
#include "engine/io/torch_file.h"

#include <cstring>

#include "engine/io/safetensors.h"
#include "tests/io_testing.h"

namespace tenon {
namespace {

struct Member {
  std::string name, data;
  uint16_t method = 0, flags = 0;
};

// A zip archive; zip64 puts sizes, offsets and counts into the 64-bit fields.
std::string zip(const std::vector<Member>& members, bool zip64 = false) {
  std::string bytes, directory;
  const auto full = [&](uint64_t value) {
    return bytes_of(zip64 ? 0xffffffffu : static_cast<uint32_t>(value));
  };
  for (const auto& [name, data, method, flags] : members) {
    const std::string extra = zip64 ? bytes_of<uint16_t>(1) + bytes_of<uint16_t>(24) +
                                          bytes_of<uint64_t>(data.size()) + bytes_of<uint64_t>(data.size()) +
                                          bytes_of<uint64_t>(bytes.size())
                                    : "";
    const std::string head = bytes_of<uint16_t>(45) + bytes_of(flags) + bytes_of(method) +
                             std::string(8, '\0') + full(data.size()) + full(data.size()) +
                             bytes_of(static_cast<uint16_t>(name.size())) +
                             bytes_of(static_cast<uint16_t>(extra.size()));
    directory +=
        "PK\1\2" + bytes_of<uint16_t>(45) + head + std::string(10, '\0') + full(bytes.size()) + name + extra;
    bytes += "PK\3\4" + head + name + extra + data;
  }
  const uint64_t offset = bytes.size(), end = offset + directory.size();
  bytes += directory;
  if (zip64)
    bytes += "PK\6\6" + std::string(28, '\0') + bytes_of<uint64_t>(members.size()) +
             bytes_of<uint64_t>(directory.size()) + bytes_of(offset) + "PK\6\7" + bytes_of(0u) +
             bytes_of(end) + bytes_of(1u);
  const auto count = static_cast<uint16_t>(zip64 ? 0xffff : members.size());
  return bytes + "PK\5\6" + bytes_of(0u) + bytes_of(count) + bytes_of(count) + full(directory.size()) +
         full(offset) + bytes_of<uint16_t>(0);
}

// Pickle pieces.
std::string text(const std::string& s) { return "X" + bytes_of(static_cast<uint32_t>(s.size())) + s; }
std::string integer(int64_t value) { return "\x8a\x08" + bytes_of(value); }
std::string tuple(const std::vector<int64_t>& values) {
  std::string items = "(";
  for (int64_t value : values) items += integer(value);
  return items + "t";
}
std::string tensor(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides, int64_t offset = 0,
                   const std::string& storage = "FloatStorage", const std::string& key = "0") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + storage + "\n" + text(key) +
         text("cpu") + integer(6) + "tQ" + integer(offset) + tuple(sizes) + tuple(strides) + "\x89" +
         "ccollections\nOrderedDict\n)RtR";
}
std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string bytes = "}(";
  for (const auto& [key, value] : items) bytes += text(key) + value;
  return bytes + "u";
}

// What torch.save would write for this pickle and one storage of the floats 0 to 5.
std::vector<Member> archive(const std::string& pickle) {
  std::string storage;
  for (float value : {0.f, 1.f, 2.f, 3.f, 4.f, 5.f}) storage += bytes_of(value);
  return {{"model/data.pkl", "\x80\x02" + pickle + "."},
          {"model/byteorder", "little"},
          {"model/data/0", storage}};
}

std::string magic() { return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."; }

std::string golden(const std::string& name) { return test::data_folder() / "pickle" / name; }

void check_equal(const TensorFile& file, const TensorFile& expected) {
  CHECK(file.entries().size() == expected.entries().size());
  for (const TensorEntry& entry : expected.entries()) {
    INFO(entry.name);
    const TensorEntry* read = file.find(entry.name);
    REQUIRE(read != nullptr);
    CHECK(to_string(read->view) == to_string(entry.view));
    CHECK(read->view.contiguous());
    CHECK(reinterpret_cast<uintptr_t>(read->view.data) % size_of(entry.view.dtype) == 0);
    CHECK(
        (entry.view.bytes() == 0 || std::memcmp(read->view.data, entry.view.data, entry.view.bytes()) == 0));
  }
}

}  // namespace

TEST_CASE("both formats of PyTorch give its values: views, transposes, broadcasts, parameters, every dtype") {
  const TensorFile expected = read_safetensors(golden("expected.safetensors"));
  check_equal(open_tensor_file(golden("zip.bin")), expected);
  check_equal(open_tensor_file(golden("legacy.bin")), expected);
}

TEST_CASE(
    "entries keep the order of the dict, and contiguous tensors of one storage share its mapped memory") {
  const TensorFile file = open_tensor_file(golden("zip.bin"));
  CHECK(file.entries()[0].name == "base");
  CHECK(file.entries()[1].name == "transposed");
  const auto* base = file.find("base")->view.as<char>();
  const auto* row = file.find("row")->view.as<char>();
  CHECK(row > base);
  CHECK(row < base + file.find("base")->view.bytes());
}

TEST_CASE("a file is told by its content, whatever its name") {
  const test::TemporaryFolder folder;
  const std::string zipped = read_file(golden("zip.bin")), plain = read_file(golden("expected.safetensors"));
  const TensorFile expected = read_safetensors(golden("expected.safetensors"));
  check_equal(open_tensor_file(put(folder, "a.safetensors", zipped)), expected);
  check_equal(open_tensor_file(put(folder, "a.pt", plain)), expected);
  expect_error("'" + (folder / "b.bin").string() + "' is empty",
               [&] { open_tensor_file(put(folder, "b.bin", "")); });
  expect_error("neither a safetensors file nor",
               [&] { open_tensor_file(put(folder, "c.bin", "<html></html>")); });
  expect_error("git lfs pull", [&] {
    open_tensor_file(put(folder, "d.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"));
  });
}

TEST_CASE("zip and zip64 directories are read, and a state_dict is found inside other dicts") {
  const test::TemporaryFolder folder;
  const std::string weights =
      dict({{"w", tensor({2, 3}, {3, 1})}, {"epoch", integer(3)}, {"t", tensor({3, 2}, {1, 3})}});
  const auto read = [&](const std::string& pickle, bool zip64) {
    return open_tensor_file(put(folder, "model.bin", zip(archive(pickle), zip64)));
  };
  for (bool zip64 : {false, true})
    for (const std::string& pickle : {weights, dict({{"state_dict", weights}, {"lr", "K\1"}}),
                                      dict({{"a", dict({{"model", weights}, {"b", dict({})}})}})}) {
      const TensorFile file = read(pickle, zip64);
      REQUIRE(file.entries().size() == 2);
      const auto* w = file.find("w")->view.as<float>();
      const auto* t = file.find("t")->view.as<float>();
      CHECK(std::vector<float>(w, w + 6) == std::vector<float>{0, 1, 2, 3, 4, 5});
      CHECK(std::vector<float>(t, t + 6) == std::vector<float>{0, 3, 1, 4, 2, 5});
    }
  expect_error("has 2 dicts of names and tensors", [&] {
    read(dict({{"a", weights}, {"b", weights}}), false);
  });
  expect_error("has no dict of names and tensors", [&] { read(tensor({6}, {1}), false); });
  expect_error("has the tensor 'w' twice", [&] {
    read(dict({{"w", tensor({2}, {1})}, {"w", tensor({2}, {1})}}), false);
  });
}

TEST_CASE("a pickle that asks for anything but tensors is refused by the name of what it asks for") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::string& pickle, const std::string& because) {
    expect_error(because, [&] { open_tensor_file(put(folder, "m.bin", zip(archive(pickle)))); });
    expect_error(because,
                 [&] { open_tensor_file(put(folder, "m.bin", magic() + "\x80\x02" + pickle + ".")); });
  };
  expect_error("asks to run posix.system; refused", [] { open_tensor_file(golden("hostile_zip.bin")); });
  expect_error("asks to run posix.system; refused", [] { open_tensor_file(golden("hostile_legacy.bin")); });
  expect_error("torch.save did not write", [] { open_tensor_file(golden("not_torch.bin")); });
  expect_error("asks to run os.system", [&] {
    open_tensor_file(put(folder, "raw.bin",
                         "\x80\x02"
                         "cos\nsystem\n" +
                             text("true") + "\x85R."));
  });
  refused("cos\nsystem\n" + text("true") + "\x85R", "asks to run os.system; refused");
  refused(text("os") + text("system") + "\x93" + text("true") + "\x85R", "asks to run os.system");
  refused("(" + text("true") + "ios\nsystem\n", "asks to run os.system");
  refused("ctorch._utils\n_rebuild_qtensor\n", "asks to run torch._utils._rebuild_qtensor");
  refused("ctorch\nCharStorage\n", "asks to run torch.CharStorage");
  refused("cbuiltins\neval\n", "asks to run builtins.eval");
  refused("c\x1b[2J\n" + std::string(1000, 'x') + "\n", "asks to run ?[2J.xxx");
}

TEST_CASE("tensors that do not fit their storage are refused") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::string& tensor, const std::string& because) {
    const std::string path = put(folder, "m.bin", zip(archive(dict({{"w", tensor}}))));
    expect_error(because, [&] { open_tensor_file(path); });
    expect_error("'" + path + "': the tensor 'w' ", [&] { open_tensor_file(path); });
  };
  const int64_t huge = INT64_MAX;
  refused(tensor({7}, {1}), "past the end of its storage");
  refused(tensor({2}, {6}), "past the end of its storage");
  refused(tensor({6}, {1}, 1), "past the end of its storage");
  refused(tensor({1}, {1}, huge), "past the end of its storage");
  refused(tensor({2}, {1}, 0, "DoubleStorage", "1"), "asks for the storage '1', which the file lacks");
  refused(tensor({4}, {1}, 0, "DoubleStorage"), "past the end of its storage");
  refused(tensor({6}, {1}, -1), "not described as PyTorch does");
  refused(tensor({-6}, {1}), "a size or stride that is not a whole number");
  refused(tensor({6}, {-1}), "a size or stride that is not a whole number");
  refused(tensor({2, 3}, {1}), "no matching sizes and strides");
  refused(tensor({1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1}), "6 dimensions");
  refused(tensor({huge}, {1}), "overflow 64 bits");
  refused(tensor({1 << 30, 1 << 30, 1 << 30}, {0, 0, 0}), "overflow 64 bits");
  refused(tensor({0, huge, huge}, {0, 0, 0}), "overflow 64 bits");
  refused(tensor({3, 3}, {huge / 2, huge / 2}), "overflow 64 bits");
  refused(tensor({1 << 30}, {0}), "repeats elements");
}

TEST_CASE("a pickle that no Python would write ends in an Error") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::string& pickle, const std::string& because) {
    expect_error(because, [&] { open_tensor_file(put(folder, "m.bin", zip(archive(pickle)))); });
  };
  refused("", "takes values that are not there");
  refused(
      "(N\x85"
      "0",
      "takes values that are not there");
  refused("t", "a mark that is not there");
  refused("q\1", "keeps a value that is not there");
  refused("2", "doubles a value that is not there");
  refused("h\1", "a value that was not kept");
  refused("]NNs", "something else than a list or dict");
  refused("}(Nu", "a key without a value");
  refused("NNb", "something else than a dict");
  refused("}Nb", "a state that is no dict");
  refused("N)R", "calls something that is not a function");
  refused("NN\x93", "names something by other than strings");
  refused("ccollections\nOrderedDict\n(Nt\x52", "something else than pairs");
  refused("ctorch", "cut short or damaged");
  refused(
      "X\xff\xff\xff\xff"
      "abc",
      "cut short or damaged");
  refused(
      "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
      "abc",
      "cut short or damaged");
  refused("I1\n", "pickle opcode 73 ");
  refused(")\x81", "pickle opcode 129 ");
  refused("ctorch._utils\n_rebuild_tensor_v2\n)Rq\1" + dict({{"w", "h\1"}}), "not described as PyTorch does");
  // Deep nesting and a list that holds itself need no stack.
  refused(std::string(1'000'000, ']') + std::string(999'999, 'a'), "has no dict of names and tensors");
  refused("]q\1h\1a", "has no dict of names and tensors");
}

TEST_CASE("a zip archive that cannot be used in place is refused") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::string& bytes, const std::string& because) {
    expect_error(because, [&] { open_tensor_file(put(folder, "m.bin", bytes)); });
  };
  const std::vector<Member> good = archive(dict({{"w", tensor({6}, {1})}}));
  const auto with = [&](const Member& member) {
    std::vector<Member> members = good;
    members.push_back(member);
    return zip(members);
  };
  CHECK(open_tensor_file(put(folder, "good.bin", zip(good))).entries().size() == 1);
  refused(zip(good).substr(0, 300), "cut short: it has no zip directory");
  refused(with({"model/data/1", "x", 8}), "the compressed member 'model/data/1'");
  refused(with({"model/data/1", "x", 0, 1}), "the encrypted member 'model/data/1'");
  refused(with(good[2]), "the zip member 'model/data/0' twice");
  refused(zip({good[2]}), "a zip archive without a data.pkl");
  refused(zip({good[0], {"model/byteorder", "big"}, good[2]}), "is big-endian");
  std::string bytes = zip(good);
  bytes[bytes.find("PK\1\2")] = 'x';
  refused(bytes, "damaged zip directory");
  bytes = zip(good);
  bytes.replace(bytes.size() - 6, 4, bytes_of(0xfffffff0u));
  refused(bytes, "cut short or damaged");
}

TEST_CASE("a legacy file cut short, of another version or byte order is refused") {
  const test::TemporaryFolder folder;
  const std::string valid = read_file(golden("legacy.bin"));
  const auto refused = [&](const std::string& bytes, const std::string& because) {
    expect_error(because, [&] { open_tensor_file(put(folder, "m.bin", bytes)); });
  };
  for (size_t length = 1; length < valid.size(); length += 7)
    CHECK(error_of([&] { open_tensor_file(put(folder, "m.bin", valid.substr(0, length))); }) != "");
  refused(valid.substr(0, valid.size() - 1), "cut short or damaged");
  refused(magic() + "\x80\x02K\x07.", "an unknown version");
  refused(magic() + "\x80\x02M\xe9\x03." + dict({{"little_endian", "\x89"}}) + ".", "is big-endian");
}

TEST_CASE("mutants of both formats are read or refused, never worse") {
  const std::string zipped =
      zip(archive(dict({{"w", tensor({2, 3}, {3, 1})}, {"t", tensor({3, 2}, {1, 3})}})), true);
  for (const std::string& valid : {read_file(golden("zip.bin")), read_file(golden("legacy.bin")), zipped}) {
    const int refused = fuzz_reader(valid, 5'000, read_torch_file);
    CHECK(refused > 1'000);
    CHECK(refused < 5'000);
  }
}

}  // namespace tenon
