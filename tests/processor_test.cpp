// A program on a processor that it was not built for ends with one sentence, not with an illegal instruction.
#include <sys/wait.h>

#include "tests/catch.h"

TEST_CASE("a missing instruction set is named before any other code runs") {
  if (__builtin_cpu_supports("xop")) SKIPPED("this processor has xop, which the test takes for missing");
  FILE* program = popen(TENON_BINARY_DIR "/tests/needs_xop 2>&1", "r");
  REQUIRE(program != nullptr);
  char output[1000];
  const size_t length = fread(output, 1, sizeof output, program);
  const int status = pclose(program);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(std::string(output, length) ==
        "tenon: this build uses xop, which this processor lacks; build it on this machine, or with 'cmake "
        "--preset "
        "portable' for any x86-64-v3 processor\n");
}
