#include "kernels/simt/locate.h"

#include <dlfcn.h>
#include <link.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "kernels/base/error.h"

namespace tenon::simt {
namespace {

std::string hexadecimal(uintptr_t value) {
  char digits[20];
  return "0x" + std::string(digits, std::to_chars(digits, digits + sizeof digits, value, 16).ptr);
}

std::string quoted(std::string_view path) {
  std::string text = "'";
  for (char c : path) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// The innermost line that addr2line gives, callers of inlined functions included, which is not a helper's.
std::string ask_addr2line(const char* module, uintptr_t offset) {
  const std::string command = str("addr2line -ie ", quoted(module), " ", hexadecimal(offset), " 2>/dev/null");
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return "";
  std::string found;
  char buffer[4096];
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    std::string_view line(buffer);
    line = line.substr(0, line.find_first_of(" \n"));  // " (discriminator 2)"
    if (line.starts_with("??") || line.ends_with(":?") || line.ends_with(":0")) continue;
    if (found.empty() || found.find("kernels/simt/") != std::string::npos) found = line;
  }
  pclose(pipe);
  return found;
}

// Some versions of addr2line give lines of a device source to the generated file that includes it.
std::string without_generated(const std::string& line) {
  const size_t suffix = line.find(".cu.cpp:"), folder = line.find("/simt/");
  if (suffix == line.npos || folder == line.npos) return line;
  return line.substr(folder + 6, suffix + 3 - folder - 6) + line.substr(suffix + 7);
}

}  // namespace

std::string locate(const void* return_address) {
  const auto address = reinterpret_cast<uintptr_t>(return_address) - 1;  // inside the call
  Dl_info info;
  if (!dladdr(return_address, &info) || !info.dli_fname) return "an unknown place";
  const auto base = reinterpret_cast<uintptr_t>(info.dli_fbase);
  const bool relocated = static_cast<const ElfW(Ehdr)*>(info.dli_fbase)->e_type == ET_DYN;
  const uintptr_t offset = relocated ? address - base : address;
  const std::string line = without_generated(ask_addr2line(info.dli_fname, offset));
  return line.empty() ? str(info.dli_fname, "+", hexadecimal(offset)) : line;
}

}  // namespace tenon::simt
