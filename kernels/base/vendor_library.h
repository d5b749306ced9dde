// A library of the vendor's that a yardstick calls. It is opened at the first use, so that Tenon runs where
// it is missing, and the variant says so.
#pragma once
#include <string>

namespace tenon {

class VendorLibrary {
 public:
  // file: a name that the dynamic loader finds, or else a file of the CUDA toolkit that Tenon was built with.
  explicit VendorLibrary(const char* file);
  VendorLibrary(const VendorLibrary&) = delete;
  VendorLibrary& operator=(const VendorLibrary&) = delete;

  // Why it cannot be used; empty if it can.
  const std::string& missing() const { return missing_; }

 protected:
  template <class Function>
  Function* find(const char* name) {
    return reinterpret_cast<Function*>(address(name));
  }

 private:
  void* address(const char* name);

  const char* file_;
  void* handle_;
  std::string missing_;
};

// A member of a class derived from VendorLibrary: the function of this name, declared by the vendor's header.
#define TENON_VENDOR_FUNCTION(name) decltype(::name)* const name = find<decltype(::name)>(#name)

// The digits of a version that a header defines as a number.
#define TENON_DIGITS(number) #number
#define TENON_STRING(macro) TENON_DIGITS(macro)

}  // namespace tenon
