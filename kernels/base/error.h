// The one exception of the project, and the checks that throw it. A message is a single sentence that
// names the file, tensor or flag and says what to do; the program prints it and exits with code 1.
#pragma once
#include <charconv>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tenon {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Concatenates its arguments: text as it is, numbers in their shortest exact decimal form.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::string text;
  const auto append = [&text]<class T>(const T& part) {
    if constexpr (std::same_as<T, char>) {
      text += part;
    } else if constexpr (std::same_as<T, bool>) {
      text += part ? "true" : "false";
    } else if constexpr (std::is_arithmetic_v<T>) {
      char digits[64];
      text.append(digits, std::to_chars(digits, digits + sizeof digits, part).ptr);
    } else if constexpr (std::convertible_to<T, std::string_view>) {
      text += std::string_view(part);
    } else {
      text += to_string(part);  // found beside the type: DType, Device, Shape
    }
  };
  (append(parts), ...);
  return text;
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(str(parts...));
}

// The parts are put together only when the check fails.
template <class... Parts>
void check(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(parts...);
}

}  // namespace tenon
