// Linked with a check for an instruction set that hardly any processor has.
#include <cstdio>

namespace {
struct Early {
  Early() { std::puts("a constructor ran"); }
} early;
}  // namespace

int main() { std::puts("main ran"); }
