// SHA-256 against the vectors of FIPS 180-4 and of NIST's CAVP, and against itself in pieces.
#include "engine/io/sha256.h"

#include <filesystem>
#include <fstream>

#include "kernels/base/error.h"
#include "tests/catch.h"

using namespace tenon;

TEST_CASE("SHA-256 gives NIST's digests") {
  CHECK(sha256_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_of(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 does not depend on how the bytes were cut into updates") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (size_t size = 0; size <= text.size(); ++size) {
    const auto bytes = std::string_view(text).substr(0, size);
    Sha256 pieces;
    for (size_t i = 0, step = 1; i < size; i += step, step = step % 67 + 1)
      pieces.update(bytes.substr(i, step));
    REQUIRE(pieces.hex() == sha256_of(bytes));
  }
}

TEST_CASE("SHA-256 of a file is that of its bytes; a missing file is named") {
  const auto path = std::filesystem::temp_directory_path() / "tenon_sha256_test.bin";
  std::string text(3'000'001, 'x');
  text[5] = '\0';
  std::ofstream(path, std::ios::binary) << text;
  CHECK(sha256_of_file(path.string()) == sha256_of(text));
  std::filesystem::remove(path);
  CHECK_THROWS_WITH(sha256_of_file(path.string()), Catch::Contains("tenon_sha256_test.bin"));
}
