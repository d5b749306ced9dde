#include "kernels/simt/locate.h"

#include <dlfcn.h>
#include <link.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
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

// Where an address lies in the program or library that holds it.
struct Offset {
  std::string module;  // path; empty if none holds it
  uintptr_t value = 0;
};

Offset offset_of(const void* address) {
  Dl_info info;
  if (!dladdr(address, &info) || !info.dli_fname) return {};
  const auto value = reinterpret_cast<uintptr_t>(address);
  const bool relocated = static_cast<const ElfW(Ehdr)*>(info.dli_fbase)->e_type == ET_DYN;
  return {info.dli_fname, relocated ? value - reinterpret_cast<uintptr_t>(info.dli_fbase) : value};
}

// What addr2line answers to each offset in a module: lines, from the innermost inlined call outwards.
std::vector<std::vector<std::string>> ask_addr2line(std::string_view options, const std::string& module,
                                                    const std::vector<uintptr_t>& offsets) {
  std::vector<std::vector<std::string>> answers;
  std::string command = str("addr2line -ai", options, " -e ", quoted(module));
  for (uintptr_t offset : offsets) command += " " + hexadecimal(offset);
  if (FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r")) {
    char* line = nullptr;
    size_t room = 0;
    for (ssize_t size; (size = getline(&line, &room, pipe)) > 0;) {
      const std::string_view text(line, static_cast<size_t>(size - (line[size - 1] == '\n')));
      if (text.starts_with("0x"))
        answers.emplace_back();
      else if (!answers.empty())
        answers.back().emplace_back(text);
    }
    std::free(line);
    pclose(pipe);
  }
  answers.resize(offsets.size());
  return answers;
}

// The innermost line that is not a helper's.
std::string choose_line(const std::vector<std::string>& lines) {
  std::string found;
  for (std::string_view line : lines) {
    line = line.substr(0, line.find(' '));  // " (discriminator 2)"
    if (line.starts_with("??") || line.ends_with(":?") || line.ends_with(":0")) continue;
    if (found.empty() || found.find("kernels/simt/") != std::string::npos) found = line;
  }
  return found;
}

// Some versions of addr2line give lines of a device source to the generated file that includes it.
std::string without_generated(const std::string& line) {
  const size_t suffix = line.find(".cu.cpp:"), folder = line.find("/simt/");
  if (suffix == line.npos || folder == line.npos) return line;
  return line.substr(folder + 6, suffix + 3 - folder - 6) + line.substr(suffix + 7);
}

// Without namespaces, result and parameters.
std::string short_name(std::string name) {
  for (std::string_view part : {"(anonymous namespace)::", "simt_build::", "tenon::"})
    for (size_t at; (at = name.find(part)) != name.npos;) name.erase(at, part.size());
  if (name.starts_with("void ")) name.erase(0, 5);
  int depth = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    depth += (name[i] == '<') - (name[i] == '>');
    if (name[i] == '(' && depth == 0) return name.substr(0, i);
  }
  return name;
}

}  // namespace

std::vector<std::string> locate(const std::vector<const void*>& return_addresses) {
  std::vector<Offset> offsets;
  std::map<std::string, std::vector<uintptr_t>> asked;
  for (const void* address : return_addresses) {
    offsets.push_back(offset_of(static_cast<const char*>(address) - 1));  // inside the call
    asked[offsets.back().module].push_back(offsets.back().value);
  }
  std::map<std::string, std::vector<std::vector<std::string>>> answers;
  for (const auto& [module, values] : asked)
    if (!module.empty()) answers[module] = ask_addr2line("", module, values);
  std::map<std::string, size_t> used;
  std::vector<std::string> places;
  for (const Offset& offset : offsets) {
    if (offset.module.empty()) {
      places.emplace_back("an unknown place");
      continue;
    }
    const std::string line = without_generated(choose_line(answers[offset.module][used[offset.module]++]));
    places.push_back(line.empty() ? str(offset.module, "+", hexadecimal(offset.value)) : line);
  }
  return places;
}

std::string locate(const void* return_address) { return locate(std::vector{return_address})[0]; }

std::string name_of_function(const void* function) {
  const Offset offset = offset_of(function);
  if (offset.module.empty()) return "an unknown kernel";
  const std::vector<std::string> lines = ask_addr2line("fC", offset.module, {offset.value})[0];
  const std::string name = lines.size() < 2 ? "??" : short_name(lines[lines.size() - 2]);
  return name == "??" ? str(offset.module, "+", hexadecimal(offset.value)) : name;
}

}  // namespace tenon::simt
